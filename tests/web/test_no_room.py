"""What the pages and the API do while nothing can be written; with a real disk, see `test_disk`."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from asktell.project import Project
from asktell.types import Query

Visit = Callable[[Path], TestClient]
SignIn = Callable[..., TestClient]


@pytest.fixture
def refused(visit: Visit, sign_in: SignIn, folder: Path) -> Iterator[Callable[[], TestClient]]:
    """Signs Ann in at a server that may only read."""

    def refuse(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    visitor = visit(folder)  # asks its first questions
    event.listen(Engine, "connect", refuse)

    def enter() -> TestClient:
        reading = visit(folder)
        reading.cookies, reading.headers = sign_in(visitor).cookies, visitor.headers
        return reading

    yield enter
    event.remove(Engine, "connect", refuse)


def ask(project: Project, *ids: str) -> None:
    project.record(Query(project.next_query, ids, (0.0,) * len(ids), {"name": "bald"}, 0))


def test_open_questions_are_shown_though_no_more_can_be_asked(
    project: Project, refused: Callable[[], TestClient]
) -> None:
    ask(project, "t-05")
    reading = refused()
    project.tell([question.item for question in project.questions() if question.item != "t-05"], ["owl"] * 2, "bob")
    reply = reading.get("/api/questions")
    assert [question["item"] for question in reply.json()["questions"]] == ["t-05"]
    assert reading.get("/").status_code == 200
    reply = reading.post("/api/answers", json={"receipt": "receipt-1", "item": "t-05", "label": "owl"})
    assert (reply.status_code, "make the folder and the file writable" in reply.json()["detail"]) == (503, True)


def test_without_open_questions_everything_says_why_there_are_none(
    project: Project, refused: Callable[[], TestClient]
) -> None:
    reading = refused()
    ids = [question.item for question in project.questions()]
    project.tell(ids, ["owl"] * len(ids), "bob")
    for path in ("/", "/api/questions"):
        reply = reading.get(path)
        assert (reply.status_code, "make the folder and the file writable" in reply.text) == (503, True)
    for path in ("/dashboard", "/items", "/export/labels.csv", "/api/status"):
        assert reading.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/api/answers", {"item": "t-01", "label": "owl"}),
        ("/api/undo", {}),
        ("/api/flags", {"item": "t-01", "flagged": True}),
        ("/items/label", {"id": "t-01", "label": "owl"}),
        ("/items/flag", {"id": "t-01", "flagged": "true"}),
        ("/api/release", None),
    ],
)
def test_no_change_is_taken_and_each_says_why(
    project: Project, refused: Callable[[], TestClient], path: str, sent: dict[str, object] | None
) -> None:
    project.tell(["t-02"], ["owl"], "ann")
    reading, before = refused(), project.changes()
    body = None if sent is None else {"receipt": "receipt-1", **sent}
    reply = reading.post(path, json=body) if path.startswith("/api/") else reading.post(path, data=body)
    assert (reply.status_code, "make the folder and the file writable" in reply.text) == (503, True)
    assert project.changes() == before
