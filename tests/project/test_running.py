"""Questions, contents, flags, settings, trainings, and noticing that somebody changed something."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from asktell.errors import ConflictError, ProjectError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Query, Question, Training


def ask(project: Project, *ids: str, strategy: str = "bald") -> Query:
    scores = tuple(float(len(ids) - row) for row in range(len(ids)))
    return project.record(Query(project.next_query, ids, scores, {"name": strategy}, seed=5, model="m"))


# Questions -------------------------------------------------------------------------------------------------------


def test_open_questions_come_oldest_first_in_pick_order(project: Project) -> None:
    ask(project, "e", "b"), ask(project, "a", "d", "c")
    project.tell(["b", "d"], ["owl", SKIP], "ann")
    assert [(one.item, one.query, one.position) for one in project.questions()] == [
        ("e", 0, 0),
        ("a", 1, 0),
        ("c", 1, 2),
    ]
    assert project.questions(2) == project.questions()[:2]
    assert project.questions(0) == ()
    assert project.questions(audit=False) == project.questions()
    assert project.questions(audit=True) == ()
    assert project.n_closed_questions == 2
    project.withdraw(["e", "b"])
    assert [one.item for one in project.questions()] == ["a", "c"]
    assert project.n_closed_questions == 2


def test_a_question_says_why_it_was_asked(project: Project) -> None:
    chances = (0.5, 1.0)
    query = Query(0, ("c", "a"), (1.5, -1.0), {"name": "power", "inner": {"name": "bald"}}, 9, "sha", chances)
    created = project.record(query).created
    asked = Question("a", 0, 1, -1.0, 1.0, query.strategy, 9, "sha", created)
    assert project.question("a") == asked
    project.tell(["a"], ["owl"], "ann")
    assert project.question("a") == replace(asked, state="answered")
    assert project.question("b") is None
    with pytest.raises(UnknownItemError):
        project.question("x")


def test_of_several_questions_for_an_item_the_newest_counts(project: Project) -> None:
    ask(project, "a")
    project.tell(["a"], [SKIP], "ann")
    project.release_skipped()
    ask(project, "b", "a")
    found = project.question("a")
    assert found is not None
    assert (found.query, found.position, found.state) == (1, 1, "open")
    assert project.n_closed_questions == 1


# Items and their contents ----------------------------------------------------------------------------------------


def test_contents_are_kept_as_given(tmp_path: Path) -> None:
    texts = ["a\r\nb", "", "🦉" * 100_000]
    with Project.create(tmp_path, ["z", "a", "m"], classes=["owl"], contents=texts) as project:
        project.add_items(["b"], ["new"])
        project.add_items(["c"])
        assert project.contents(["c", "b", "m", "z"]) == {"b": "new", "m": "🦉" * 100_000, "z": "a\r\nb"}
        assert list(project.contents(["m", "z", "a"])) == ["m", "z", "a"]
        assert project.contents([]) == {}
        with pytest.raises(UnknownItemError, match="'x'"):
            project.contents(["a", "x"])


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (["one"], "2 items came with 1 contents"),
        ("ab", "in a list"),
        (["one", None], "'d': its content must be text, not NoneType"),
        (["one", "a\0b"], "'d': its content holds NUL"),
        (["\ud800", "b"], "'c': its content holds NUL or half a surrogate"),
    ],
)
def test_contents_that_do_not_fit(tmp_path: Path, contents: list[str], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        Project.create(tmp_path / "birds", ["c", "d"], classes=["owl"], contents=contents)
    assert not (tmp_path / "birds").exists()
    with Project.create(tmp_path, ["a"], classes=["owl"]) as project:
        with pytest.raises(ProjectError, match=message):
            project.add_items(["c", "d"], contents)
        assert project.ids == ("a",)


def test_items_are_numbered_in_insertion_order_for_good(project: Project) -> None:
    project.withdraw(["a", "d"])
    project.add_items(["0", "z"])
    assert project.ids == ("a", "b", "c", "d", "e", "f", "0", "z")
    assert project.n_items == 8
    assert project.ids_after(0, 3) == ("a", "b", "c")
    assert project.ids_after(6, 100) == ("0", "z")
    assert project.ids_after(8, 5) == project.ids_after(2, 0) == ()
    with pytest.raises(ProjectError, match="whole number"):
        project.ids_after(-1, 5)


def test_a_project_without_items_has_none(tmp_path: Path) -> None:
    with Project.create(tmp_path, [], classes=["owl"], audit=0.5) as project:
        assert (project.ids, project.n_items, project.next_audit(), project.status().items) == ((), 0, (), 0)


# Flags -----------------------------------------------------------------------------------------------------------


def test_the_newest_flag_decides(project: Project) -> None:
    project.flag("d", "ann")
    project.flag("b", "ann")
    project.flag("d", "bob", flagged=False)
    project.flag("e", "bob", flagged=False)
    assert (project.flagged, project.status().flagged) == (("b",), 1)
    project.flag("d", "ann")
    project.flag("d", "ann")
    assert (project.flagged, project.status().flagged) == (("b", "d"), 2)
    project.withdraw(["b"])
    assert (project.flagged, project.status().flagged) == (("d",), 1)
    with pytest.raises(UnknownItemError):
        project.flag("x", "ann")
    with pytest.raises(ProjectError, match="empty"):
        project.flag("a", "")


# Settings --------------------------------------------------------------------------------------------------------


def test_settings_are_json_by_name(project: Project) -> None:
    assert project.settings == {}
    values = {
        "queue": 20,
        "source": {"kind": "text", "id": None},
        "stop": False,
        "名": ["ü", 0.5],
        "zero": 0,
        "empty": "",
    }
    for name, value in values.items():
        project.set(name, value)
    project.set("queue", 30)
    project.set("stop", None)
    project.set("never there", None)
    with Project.open(project.folder) as other:
        assert other.settings == {**{n: v for n, v in values.items() if n != "stop"}, "queue": 30}


@pytest.mark.parametrize("value", [object(), float("nan"), {"x": b""}, {1, 2}])
def test_a_setting_that_is_no_json_changes_nothing(project: Project, value: object) -> None:
    project.set("queue", 20)
    with pytest.raises(ProjectError, match="setting 'queue' must be JSON"):
        project.set("queue", value)
    with pytest.raises(ProjectError, match="empty"):
        project.set("", 1)
    assert project.settings == {"queue": 20}


# Trainings -------------------------------------------------------------------------------------------------------


def test_trainings_are_appended_and_their_reports_grow(project: Project) -> None:
    first = Training(0, "sha", 12, "2026-01-01T00:00:00+00:00", 1.5, {"advice": {}, "audit": {"n": 1}})
    failed = Training(1, None, 12, "2026-01-01T00:01:00+00:00", 0.0, error="no memory")
    assert (project.record_training(first), project.record_training(failed)) == (first, failed)
    project.report_training(0, {"audit": {"n": 9, "correct": 8}, "held_out": {"n": 2, "correct": 2}})
    report = {"advice": {}, "audit": {"n": 9, "correct": 8}, "held_out": {"n": 2, "correct": 2}}
    assert project.trainings == (replace(first, report=report), failed)


def test_a_training_has_the_next_number(project: Project) -> None:
    training = Training(0, "sha", 1, "now", 1.0)
    project.record_training(training)
    for number in (0, 2):
        with pytest.raises(ConflictError) as conflict:
            project.record_training(replace(training, number=number))
        assert (conflict.value.number, conflict.value.taken) == (1, ())
    assert project.trainings == (training,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": -1}, "whole number"),
        ({"n_labelled": -1}, "whole number"),
        ({"seconds": -0.1}, "finite time"),
        ({"seconds": float("nan")}, "finite time"),
        ({"report": {"x": float("inf")}}, "must be JSON"),
    ],
)
def test_malformed_trainings_are_not_recorded(project: Project, change: dict[str, object], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        project.record_training(replace(Training(0, "sha", 1, "now", 1.0), **change))  # type: ignore[arg-type]
    assert project.trainings == ()


def test_a_report_needs_its_training(project: Project) -> None:
    with pytest.raises(ProjectError, match="no training 0"):
        project.report_training(0, {})
    project.record_training(Training(0, "sha", 1, "now", 1.0, {"a": 1}))
    with pytest.raises(ProjectError, match="must be JSON"):
        project.report_training(0, {"b": object()})
    assert project.trainings[0].report == {"a": 1}


# Changes ---------------------------------------------------------------------------------------------------------


def test_changes_of_anybody_are_noticed(project: Project) -> None:
    seen = [project.changes()]

    def changed() -> bool:
        seen.append(project.changes())
        return seen[-1] != seen[-2]

    assert not changed()
    project.tell(["a"], ["owl"], "ann")
    assert changed()
    assert not changed()
    with Project.open(project.folder) as other:
        assert not changed()
        other.set("queue", 1)
        assert changed()
        assert other.labels == {"a": "owl"}
    assert not changed()
    with pytest.raises(ProjectError, match="no class"):
        project.tell(["a"], ["cat"], "ann")
    assert not changed()


def test_watching_leaves_nothing_behind(tmp_path: Path) -> None:
    project = Project.create(tmp_path, ["a"], classes=["owl"])
    watchers = [threading.Thread(target=project.changes) for _ in range(8)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.join()
    project.close()
    assert [path.name for path in tmp_path.iterdir()] == ["project.db"]
    with pytest.raises(ProjectError, match="closed"):
        project.changes()
