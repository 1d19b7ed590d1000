"""The API: questions out, answers in."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from asktell.project import Project
from asktell.types import SKIP, Query, Training

Visit = Callable[[Path], TestClient]
SignIn = Callable[..., TestClient]


def receipts(start: int = 0) -> Callable[[], str]:
    state = {"n": start}

    def following() -> str:
        state["n"] += 1
        return f"receipt-{state['n']:06d}"

    return following


def first(client: TestClient) -> str:
    return str(client.get("/api/questions").json()["questions"][0]["item"])


def say(client: TestClient, item: str, label: str | None, receipt: str, **more: object) -> dict[str, object]:
    reply = client.post("/api/answers", json={"receipt": receipt, "item": item, "label": label, **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, object] = reply.json()
    return found


def test_questions_hold_what_there_is_to_see_and_say_how_far_the_project_is(ann: TestClient, project: Project) -> None:
    batch = ann.get("/api/questions").json()
    item = batch["questions"][0]["item"]
    assert batch["questions"][0] == {
        "item": item, "query": 0, "kind": "text", "text": f"Text of {item}.", "cut": False, "image": "", "row": [],
        "trouble": "", "flagged": False,
    }  # fmt: skip
    assert batch["progress"] == {"spent": 0, "pending": 3, "limit": None, "left": None}
    assert [question["item"] for question in batch["questions"]] == [open_.item for open_ in project.questions()]


def test_a_question_does_not_tell_why_it_was_asked(ann: TestClient) -> None:
    question = ann.get("/api/questions").json()["questions"][0]
    assert not {"strategy", "score", "audit", "probability"} & question.keys()


def test_an_answer_is_written_under_the_session_name_and_brings_the_next_questions(
    ann: TestClient, project: Project
) -> None:
    item = first(ann)
    reply = say(ann, item, "wren", "receipt-1", annotator="somebody else")
    assert (reply["item"], reply["recorded"]) == (item, True)
    assert item not in [question["item"] for question in reply["questions"]]  # type: ignore[attr-defined]
    assert reply["progress"]["spent"] == 1  # type: ignore[index]
    (annotation,) = project.annotations(item)
    assert (annotation.annotator, annotation.label, annotation.query) == ("ann", "wren", 0)


def test_programs_answer_with_a_token_under_a_name_of_their_own(program: TestClient, project: Project) -> None:
    one = first(program)
    say(program, one, "owl", "receipt-1", annotator="robot")
    other = first(program)
    say(program, other, "owl", "receipt-2")
    assert project.annotations(one)[0].annotator == "robot"
    assert project.annotations(other)[0].annotator == "me"


def test_an_answer_that_is_sent_again_is_recorded_once(ann: TestClient, project: Project) -> None:
    item = first(ann)
    assert [say(ann, item, "wren", "receipt-1")["recorded"] for _ in range(3)] == [True, False, False]
    assert len(project.annotations(item)) == 1


def test_an_old_answer_that_is_sent_again_does_not_overrule_a_newer_one(ann: TestClient, project: Project) -> None:
    item = first(ann)
    say(ann, item, "wren", "receipt-1")
    say(ann, item, "owl", "receipt-2")
    say(ann, item, "wren", "receipt-1")
    assert project.labels == {item: "owl"}
    assert len(project.annotations(item)) == 2


def test_an_answer_that_is_sent_again_after_a_restart_is_recorded_once(
    visit: Visit, sign_in: SignIn, folder: Path, project: Project
) -> None:
    before = sign_in(visit(folder))
    item = first(before)
    say(before, item, None, "receipt-1")
    after = sign_in(visit(folder))
    say(after, item, None, "receipt-1")
    assert [annotation.label for annotation in project.annotations(item)] == [SKIP]


def test_receipts_of_different_annotators_do_not_meet(
    visit: Visit, sign_in: SignIn, folder: Path, project: Project
) -> None:
    app = visit(folder)
    ann = sign_in(app)
    item = first(ann)
    say(ann, item, "wren", "receipt-1")
    bob = sign_in(TestClient(app.app, base_url="http://localhost", follow_redirects=False), "bob")
    say(bob, item, "owl", "receipt-1")
    assert [(told.annotator, told.label) for told in project.annotations(item)] == [("ann", "wren"), ("bob", "owl")]


def test_two_tabs_answer_the_same_question_and_both_answers_are_kept(ann: TestClient, project: Project) -> None:
    item = first(ann)
    say(ann, item, "wren", "from-tab-1")
    say(ann, item, "owl", "from-tab-2")
    assert [told.label for told in project.annotations(item)] == ["wren", "owl"]
    assert project.labels == {item: "owl"}
    assert project.budget.spent == 1


def test_a_skip_costs_nothing_and_can_be_released(ann: TestClient, project: Project) -> None:
    item = first(ann)
    say(ann, item, None, "receipt-1")
    assert (project.skipped, project.budget.spent) == ((item,), 0)
    assert ann.post("/api/release").status_code == 200
    assert project.skipped == ()


def test_undo_brings_the_item_back_and_is_done_once(ann: TestClient, project: Project) -> None:
    following = receipts()
    items = [first(ann)]
    say(ann, items[0], "wren", following())
    items.append(first(ann))
    say(ann, items[1], "owl", following())
    for _ in range(2):  # the same, sent again
        reply = ann.post("/api/undo", json={"receipt": "undo-0001"}).json()
        assert (reply["item"], reply["questions"][0]["item"]) == (items[1], items[1])
    assert project.labels == {items[0]: "wren"}
    assert ann.post("/api/undo", json={"receipt": "undo-0002", "item": items[0]}).json()["item"] == items[0]
    assert ann.post("/api/undo", json={"receipt": "undo-0003"}).status_code == 409


def test_nobody_undoes_what_others_said(visit: Visit, sign_in: SignIn, folder: Path, project: Project) -> None:
    ann = sign_in(visit(folder))
    item = first(ann)
    say(ann, item, "wren", "receipt-1")
    bob = sign_in(TestClient(ann.app, base_url="http://localhost", follow_redirects=False), "bob")
    assert bob.post("/api/undo", json={"receipt": "receipt-2"}).status_code == 409
    assert project.labels == {item: "wren"}


def test_flags_go_up_and_down(ann: TestClient, project: Project) -> None:
    item = first(ann)
    assert ann.post("/api/flags", json={"item": item, "flagged": True}).json()["flagged"] is True
    assert (project.flagged, ann.get("/api/questions").json()["questions"][0]["flagged"]) == ((item,), True)
    assert ann.post("/api/flags", json={"item": item, "flagged": False}).json()["flagged"] is False
    assert project.flagged == ()


def test_why_tells_strategy_score_rank_model_and_seed(ann: TestClient, project: Project) -> None:
    strategy = {
        "name": "power",
        "parameters": {"beta": 1.0},
        "inner": {"name": "bald", "parameters": {}, "inner": None},
    }
    free = project.candidates().ids[:2]
    project.record(Query(project.next_query, free, (0.5, 0.25), strategy, 7, model="abc", probabilities=(0.1, 0.2)))
    why = ann.get("/api/why", params={"item": free[1]}).json()
    assert why.pop("created")
    assert "disagree" in why.pop("sentence")
    assert why == {
        "item": free[1], "strategy": "power (beta = 1.0) of bald", "score": 0.25, "rank": 2, "probability": 0.2,
        "model": "abc", "seed": 7, "query": 3,
    }  # fmt: skip


def test_why_of_an_item_that_nobody_asked_for_is_not_found(ann: TestClient) -> None:
    nobodys = ann.get("/api/items", params={"state": "free"}).json()[0]["id"]
    assert ann.get("/api/why", params={"item": nobodys}).status_code == 404


def test_status_counts(ann: TestClient, project: Project) -> None:
    say(ann, first(ann), "owl", "receipt-1")
    project.record_training(
        Training(0, "m", 1, "2026-01-01T00:00:00+00:00", 1.0, {"held_out": {"n": 10, "correct": 9}})
    )
    state = ann.get("/api/status").json()
    assert (state["labels"], state["closed"], state["items"]["labelled"]) == ({"owl": 1, "wren": 0, "hawk": 0}, 1, 1)
    assert (state["newest"]["held_out"]["value"], state["newest"]["audit"]) == (0.9, None)
    assert state["newest"]["held_out"]["low"] == pytest.approx(0.596, abs=1e-3)
    assert state["worker"]["kind"] == "waiting"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state": "labelled"}, ["t-03"]),
        ({"label": "owl"}, ["t-03"]),
        ({"flagged": "true"}, ["t-04"]),
        ({"text": "of t-1", "limit": "3"}, ["t-10", "t-11", "t-12"]),
        ({"text": "T-07"}, ["t-07"]),
        ({"after": "28"}, ["t-29", "t-30"]),
        ({"text": "%"}, []),
        ({"text": "_"}, []),
        ({"state": "nonsense"}, []),
        ({"state": "held-out"}, ["t-05"]),
    ],
)
def test_items_are_found(ann: TestClient, project: Project, query: dict[str, str], found: list[str]) -> None:
    project.tell(["t-03"], ["owl"], "ann")
    project.flag("t-04", "ann")
    project.hold_out(["t-05"])
    assert [item["id"] for item in ann.get("/api/items", params=query).json()] == found


def test_an_item_tells_all_its_answers(ann: TestClient, project: Project) -> None:
    project.tell(["t-03"], ["owl"], "ann")
    project.take_back("ann")
    project.tell(["t-03"], [SKIP], "bob")
    whole = ann.get("/api/item", params={"id": "t-03"}).json()
    assert (whole["text"], whole["state"]) == ("Text of t-03.", "skipped")
    assert [(told["annotator"], told["label"], told["stands"]) for told in whole["answers"]] == [
        ("ann", "owl", False), ("bob", None, True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "query"), [("/api/why", {"item": "no"}), ("/api/item", {"id": "no"}), ("/items/item", {"id": "../../etc"})]
)
def test_unknown_items_are_not_found(ann: TestClient, path: str, query: dict[str, str]) -> None:
    assert ann.get(path, params=query).status_code == 404


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"receipt": "receipt-1", "item": "no", "label": "owl"}, 404),
        ({"receipt": "receipt-1", "item": "t-01", "label": "eagle"}, 422),
        ({"receipt": "receipt-1", "item": "t-01", "label": ""}, 422),
        ({"receipt": "short", "item": "t-01", "label": "owl"}, 422),
        ({"receipt": "receipt-1", "item": "t-01"}, 422),
        ({"receipt": "receipt-1", "item": "t-01", "label": "owl", "more": 1}, 422),
        ({"receipt": "receipt-1", "item": "t-01", "label": "owl", "ahead": 21}, 422),
        ({"receipt": "receipt-1", "item": ["t-01"], "label": "owl"}, 422),
    ],
)
def test_wrong_answers_change_nothing(ann: TestClient, project: Project, sent: dict[str, object], status: int) -> None:
    reply = ann.post("/api/answers", json=sent)
    assert (reply.status_code, set(reply.json())) == (status, {"detail"})
    assert project.labels == {}


def test_a_reserved_item_takes_no_answer_before_its_turn(
    make: Callable[..., Path], visit: Visit, sign_in: SignIn
) -> None:
    ann = sign_in(visit(make("audited", audit=0.5)))
    reserved = ann.get("/api/items", params={"state": "audit"}).json()[0]["id"]
    reply = ann.post("/api/answers", json={"receipt": "receipt-1", "item": reserved, "label": "owl"})
    assert (reply.status_code, "audit" in reply.json()["detail"]) == (409, True)


def test_labels_are_exported_as_they_are(ann: TestClient, project: Project) -> None:
    project.tell(["t-03", "t-01"], ["owl", "wren"], "ann")
    table = ann.get("/api/export", params={"what": "labels", "kind": "csv"})
    assert table.text == '"id","label"\n"t-01","wren"\n"t-03","owl"\n'
    assert table.headers["content-disposition"] == 'attachment; filename="labels.csv"'
    lines = ann.get("/api/export").text.splitlines()
    assert [json.loads(line) for line in lines] == [{"id": "t-01", "label": "wren"}, {"id": "t-03", "label": "owl"}]


def test_all_answers_are_exported(ann: TestClient, project: Project) -> None:
    project.tell(["t-03"], ["owl"], "ann")
    project.take_back("ann")
    project.tell(["t-03"], [SKIP], "bob")
    lines = ann.get("/api/export", params={"what": "annotations", "kind": "jsonl"}).text.splitlines()
    told = [json.loads(line) for line in lines]
    assert [(one["number"], one["id"], one["annotator"], one["label"], one["stands"]) for one in told] == [
        (1, "t-03", "ann", "owl", False), (2, "t-03", "bob", None, True)
    ]  # fmt: skip
    assert len(ann.get("/export/annotations.csv").text.splitlines()) == 3
