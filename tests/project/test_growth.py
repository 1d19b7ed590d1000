"""What a person waits for costs the database the same work whether the project is small or large."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from asktell.project import Project
from asktell.project.audit import keys
from asktell.types import SKIP, Query, Training

FEW, MANY = 200, 2_000
IDS = [f"{number:06d}" for number in range(MANY)]
ORDINARY = next(id_ for id_, key in zip(IDS[3:], keys(0, 0.3, IDS[3:]), strict=True) if key is None)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Two that differ in size only: items, reserved ones, and answers of bob."""
    return {size: make(tmp_path_factory.mktemp(str(size)), size) for size in (FEW, MANY)}


def make(folder: Path, size: int) -> Path:
    ids = IDS[:size]
    with Project.create(folder, ids, classes=["owl", "wren"], audit=0.3, contents=ids) as project:
        project.flag(ids[0], "ann")
        project.tell(ids[1:3], ["owl", "wren"], "import")
        project.hold_out(ids[1:3])
        bulk = ask(project, project.candidates().ids[: size // 2])
        project.tell(bulk.ids, ["owl"] * len(bulk.ids), "bob")
        ask(project, project.candidates().ids[:5])
        project.tell(project.candidates().pending_ids[:3], ["owl", SKIP, "wren"], "ann")
        ask(project, project.next_audit(4), "audit")
        project.tell([one.item for one in project.questions(3, audit=True)], ["owl", SKIP, "wren"], "ann")
        project.record_training(Training(0, "m", 1, "now", 1.0))
    return folder


def ask(project: Project, ids: tuple[str, ...], strategy: str = "bald") -> Query:
    return project.record(Query(project.next_query, ids, (0.0,) * len(ids), {"name": strategy}, 0))


@contextmanager
def counted() -> Iterator[list[int]]:
    """The instructions that SQLite runs, as one number in a list."""
    count = [0]

    def step() -> int:
        count[0] += 1
        return 0

    def watch(connection: sqlite3.Connection, _record: object) -> None:
        connection.set_progress_handler(step, 1)

    event.listen(Engine, "connect", watch)
    try:
        yield count
    finally:
        event.remove(Engine, "connect", watch)


def work(folder: Path, copy: Path, used: Callable[[Project], Any]) -> int:
    with Project.open(folder) as project:
        project.backup(copy)
    with counted() as count, Project.open(copy) as project:
        before = count[0]
        used(project)
        return count[0] - before


USES: dict[str, Callable[[Project], Any]] = {
    "status": Project.status,
    "audit": lambda project: project.audit,
    "next_audit(5)": lambda project: project.next_audit(5),
    "questions()": lambda project: project.questions(),
    "questions(1, audit=True)": lambda project: project.questions(1, audit=True),
    "question(ORDINARY)": lambda project: project.question(ORDINARY),
    "n_closed_questions": lambda project: project.n_closed_questions,
    "unanswered": lambda project: project.unanswered,
    "budget": lambda project: project.budget,
    "next_query": lambda project: project.next_query,
    "n_items": lambda project: project.n_items,
    "ids_after(20, 5)": lambda project: project.ids_after(20, 5),
    "contents([ORDINARY, IDS[8]])": lambda project: project.contents([ORDINARY, IDS[8]]),
    "annotations(ORDINARY)": lambda project: project.annotations(ORDINARY),
    "held_out": lambda project: project.held_out,
    "skipped": lambda project: project.skipped,
    "flagged": lambda project: project.flagged,
    "trainings": lambda project: project.trainings,
    "tell([ORDINARY], ['owl'], 'ann')": lambda project: project.tell([ORDINARY], ["owl"], "ann"),
    "take_back('ann')": lambda project: project.take_back("ann"),
    "take_back('bob')": lambda project: project.take_back("bob"),
    "take_back('bob', ORDINARY)": lambda project: project.take_back("bob", ORDINARY),
    "flag(ORDINARY, 'ann')": lambda project: project.flag(ORDINARY, "ann"),
    "withdraw([ORDINARY])": lambda project: project.withdraw([ORDINARY]),
    "add_items(['new'], ['text'])": lambda project: project.add_items(["new"], ["text"]),
    "hold_out([ids_after(FEW - 1, 1)[0]])": lambda project: project.hold_out([project.ids_after(FEW - 1, 1)[0]]),
    "merge_classes('owl', 'wren')": lambda project: project.merge_classes("owl", "wren"),
    "fold_in(next_audit())": lambda project: project.fold_in(project.next_audit()),
    "fold_in()": lambda project: project.fold_in(),
    "ask(project, next_audit(), 'audit')": lambda project: ask(project, project.next_audit(), "audit"),
    "release_skipped()": lambda project: project.release_skipped(),
}


@pytest.mark.parametrize("used", USES.values(), ids=USES)
def test_work_does_not_grow_with_the_project(
    projects: dict[int, Path], tmp_path: Path, used: Callable[[Project], Any]
) -> None:
    few, many = (work(projects[size], tmp_path / f"{size}.db", used) for size in (FEW, MANY))
    assert few > 10
    assert many < 1.2 * few


def test_what_reads_all_items_does_more(projects: dict[int, Path], tmp_path: Path) -> None:
    few, many = (work(projects[size], tmp_path / f"{size}.db", Project.candidates) for size in (FEW, MANY))
    assert many > 5 * few
