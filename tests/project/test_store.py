import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from asktell.errors import BudgetError, ConflictError, ProjectError, UnknownClassError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Budget, Candidates, Query


def ask(project: Project, *ids: str) -> Query:
    scores = tuple(float(len(ids) - row) for row in range(len(ids)))
    return project.record(Query(project.next_query, ids, scores, {"name": "random"}, seed=0))


# Creating and opening ------------------------------------------------------------------------------------------


def test_a_new_project_holds_its_items_in_insertion_order(tmp_path: Path) -> None:
    with Project.create(tmp_path / "deep" / "birds", ["z", "a", "m"], classes=["owl"], seed=7, budget=3) as project:
        assert project.candidates() == Candidates(ids=("z", "a", "m"))
        assert (project.classes, project.seed, project.budget) == (("owl",), 7, Budget(3, 0, 0))
        assert project.path == tmp_path / "deep" / "birds" / "project.db"
        assert project.folder == tmp_path / "deep" / "birds"


def test_a_project_may_begin_without_items(tmp_path: Path) -> None:
    with Project.create(tmp_path, [], classes=["owl"]) as project:
        assert project.candidates() == Candidates(ids=())


@pytest.mark.parametrize("where", ["birds", "birds/project.db"])
def test_what_was_closed_is_there_when_opened_again(tmp_path: Path, where: str) -> None:
    with Project.create(tmp_path / "birds", ["a", "b", "c"], classes=["owl"], seed=5) as project:
        asked = ask(project, "b", "c")
        project.tell(["b"], ["owl"], "ann")
    with Project.open(tmp_path / where) as project:
        assert project.seed == 5
        assert project.candidates() == Candidates(("a",), ("b",), ("owl",), ("c",))
        assert project.queries == (asked,)


def test_closing_leaves_one_file_and_closing_twice_is_fine(tmp_path: Path) -> None:
    project = Project.create(tmp_path, ["a"], classes=["owl"])
    project.close()
    project.close()
    assert [path.name for path in tmp_path.iterdir()] == ["project.db"]
    with pytest.raises(ProjectError, match="closed"):
        project.candidates()


def test_names_may_be_of_any_script(tmp_path: Path) -> None:
    folder = tmp_path / "vögel #1?% 鳥"
    with Project.create(folder, ["Zaunkönig/1.jpg", "鳥", "🦉", " "], classes=["Käuzchen", "ミソサザイ"]) as project:
        project.tell(["🦉"], ["ミソサザイ"], "Jürgen")
    with Project.open(folder) as project:
        assert project.labels == {"🦉": "ミソサザイ"}
        assert project.candidates().ids == ("Zaunkönig/1.jpg", "鳥", " ")
        assert project.annotations("🦉")[0].annotator == "Jürgen"


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("ids", "classes", "message"),
    [
        (["a", "b", "a"], ["owl"], "item 'a' comes twice"),
        (["a", ""], ["owl"], "must not be empty"),
        (["a", 7], ["owl"], "not int"),
        (["a\0b"], ["owl"], "NUL"),
        (["\ud800"], ["owl"], "surrogate"),
        ("abc", ["owl"], "single text 'abc'"),
        (["a"], [], "at least one class"),
        (["a"], ["owl", "owl"], "class 'owl' comes twice"),
        (["a"], "owl", "single text 'owl'"),
        (["a"], [None], "not NoneType"),
    ],
)
def test_malformed_projects_are_not_created(
    tmp_path: Path, ids: Iterable[str], classes: Iterable[str], message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        Project.create(tmp_path / "birds", ids, classes=classes)
    assert not (tmp_path / "birds").exists()


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("numbers", [{"seed": 2**63}, {"seed": 0.5}, {"budget": -1}, {"budget": True}])
def test_seed_and_budget_are_whole_numbers(tmp_path: Path, numbers: dict[str, Any]) -> None:
    with pytest.raises(ProjectError, match="whole number"):
        Project.create(tmp_path / "birds", ["a"], classes=["owl"], **numbers)


def test_a_second_project_in_the_same_folder_is_refused(project: Project) -> None:
    with pytest.raises(ProjectError, match="already"):
        Project.create(project.folder, ["x"], classes=["y"])
    assert project.candidates().ids == ("a", "b", "c", "d", "e", "f")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "project.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(ProjectError, match="not an asktell project"):
        Project.open(tmp_path)
    with pytest.raises(ProjectError, match="already"):
        Project.create(tmp_path, ["a"], classes=["owl"])


@pytest.mark.parametrize("where", ["nowhere", "empty"])
def test_a_folder_without_a_project_cannot_be_opened(tmp_path: Path, where: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match=r"not a project.*Project\.create"):
        Project.open(tmp_path / where)
    assert not list((tmp_path / "empty").iterdir())


# Asking --------------------------------------------------------------------------------------------------------


def test_a_query_reads_back_as_it_was_recorded(project: Project) -> None:
    query = Query(
        number=0,
        ids=("e", "b"),
        scores=(0.1 + 0.2, -float("inf")),
        strategy={"name": "power", "parameters": {"beta": 0.5}, "inner": {"name": "bald"}},
        seed=-3,
        model="sha256:00ff",
        probabilities=(0.25, 1.0),
        report={"passes": 1, "filled_from": 1},
    )
    recorded = project.record(query)
    assert project.queries == (recorded,)
    assert replace(recorded, created="") == query
    assert datetime.fromisoformat(recorded.created).utcoffset() == timedelta(0)
    assert project.candidates() == Candidates(ids=("a", "c", "d", "f"), pending_ids=("b", "e"))


def test_queries_are_numbered_from_zero(project: Project) -> None:
    assert project.next_query == 0
    assert [ask(project, id_).number for id_ in ("c", "a", "b")] == [0, 1, 2]
    assert [query.ids for query in project.queries] == [("c",), ("a",), ("b",)]


def test_a_conflict_names_what_was_taken_and_the_next_number_and_records_nothing(project: Project) -> None:
    ask(project, "a", "b")
    project.tell(["c"], ["owl"], "ann")
    with pytest.raises(ConflictError, match="3 of the picked items") as conflict:
        project.record(Query(0, ("d", "c", "b", "a"), (0.0,) * 4, {}, 0))
    assert (conflict.value.number, conflict.value.taken) == (1, ("c", "b", "a"))
    with pytest.raises(ConflictError) as conflict:
        project.record(Query(0, ("d",), (0.0,), {}, 0))
    assert (conflict.value.number, conflict.value.taken) == (1, ())
    assert len(project.queries) == 1
    assert project.candidates().ids == ("d", "e", "f")


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (Query(0, (), (), {}, 0), "without items"),
        (Query(0, ("a", "a"), (1.0, 1.0), {}, 0), "comes twice"),
        (Query(0, ("a", "b"), (1.0,), {}, 0), "2 items came with 1 scores"),
        (Query(0, ("a",), (1.0,), {}, 0, probabilities=()), "one probability per item"),
        (Query(0, ("a",), (float("nan"),), {}, 0), "NaN"),
        (Query(0, ("a",), (1.0,), {}, 2**63), "seed"),
        (Query(0, ("a",), (1.0,), {"x": object()}, 0), "must be JSON"),
        (Query(0, ("a",), (1.0,), {}, 0, report={"x": float("inf")}), "must be JSON"),
        (Query(0, ("a", "x"), (1.0, 1.0), {}, 0), "no item 'x'"),
    ],
)
def test_malformed_queries_are_not_recorded(project: Project, query: Query, error: str) -> None:
    with pytest.raises(ProjectError, match=error):
        project.record(query)
    assert project.queries == ()
    assert len(project.candidates().ids) == 6


# Telling -------------------------------------------------------------------------------------------------------


def test_answers_may_be_partial_and_late(project: Project) -> None:
    first, second = ask(project, "a", "b", "c"), ask(project, "d", "e")
    project.tell(["e", "b"], ["owl", "wren"], "ann")
    assert project.labels == {"b": "wren", "e": "owl"}
    assert [(query.number, query.ids, query.scores) for query in project.unanswered] == [
        (0, ("a", "c"), (3.0, 1.0)),
        (1, ("d",), (2.0,)),
    ]
    project.tell(["a", "c", "d"], ["owl", "owl", "hawk"], "ann")
    assert project.unanswered == ()
    assert project.queries == (first, second)


def test_the_newest_answer_decides_and_every_answer_is_kept(project: Project) -> None:
    ask(project, "a")
    for label, annotator in (("owl", "ann"), ("wren", "bob"), (SKIP, "ann"), ("hawk", "bob")):
        project.tell(["a"], [label], annotator)
    assert project.labels == {"a": "hawk"}
    told = project.annotations("a")
    assert [(one.item, one.annotator, one.label, one.query) for one in told] == [
        ("a", "ann", "owl", 0),
        ("a", "bob", "wren", 0),
        ("a", "ann", SKIP, 0),
        ("a", "bob", "hawk", 0),
    ]
    assert sorted(one.number for one in told) == [one.number for one in told]


def test_labels_that_nobody_asked_for_are_imported(project: Project) -> None:
    project.tell(["c", "a"], ["owl", SKIP], "import")
    assert project.labels == {"c": "owl"}
    assert project.skipped == ("a",)
    assert [one.query for one in project.annotations("c")] == [None]
    assert project.budget == Budget(None, 0, 0)


def test_skipped_items_return_only_on_request(project: Project) -> None:
    ask(project, "a", "b")
    project.tell(["a", "b"], [SKIP, SKIP], "ann")
    assert project.candidates() == Candidates(ids=("c", "d", "e", "f"))
    assert project.skipped == ("a", "b")
    project.release_skipped(["b"])
    assert project.candidates().ids == ("b", "c", "d", "e", "f")
    project.release_skipped()
    assert project.candidates().ids == ("a", "b", "c", "d", "e", "f")
    with pytest.raises(ProjectError, match="'a' is free, not skipped"):
        project.release_skipped(["a"])


@pytest.mark.parametrize(
    ("ids", "labels", "error", "message"),
    [
        (["a", "x"], ["owl", "owl"], UnknownItemError, "no item 'x'"),
        (["a", "b"], ["owl", "cat"], UnknownClassError, "no class 'cat'.*'owl', 'wren', 'hawk'"),
        (["a", "b"], ["owl"], ProjectError, "2 items came with 1 labels"),
        (["a", "a"], ["owl", "owl"], ProjectError, "'a' comes twice"),
        (["a", "b", "c"], "owl", ProjectError, "in a list"),
        ("ab", ["owl", "owl"], ProjectError, "single text"),
    ],
)
def test_malformed_answers_change_nothing(
    project: Project, ids: list[str], labels: list[str], error: type[ProjectError], message: str
) -> None:
    ask(project, "a")
    with pytest.raises(error, match=message):
        project.tell(ids, labels, "ann")
    assert project.labels == {}
    assert project.annotations("a") == ()
    assert project.candidates().pending_ids == ("a",)


def test_no_answers_are_no_answers(project: Project) -> None:
    project.tell([], [], "ann")
    assert project.status().annotations == 0


# The budget ----------------------------------------------------------------------------------------------------


def test_the_budget_counts_asked_items_only_and_gives_skipped_ones_back(project: Project) -> None:
    project.set_budget(3)
    project.tell(["f"], ["owl"], "import")
    ask(project, "a", "b", "c")
    assert project.budget == Budget(3, spent=0, pending=3)
    with pytest.raises(BudgetError, match=r"asking for 1 .* 0 are spent and 3 on order: ask for at most 0"):
        ask(project, "d")
    project.tell(["a", "b"], ["owl", SKIP], "ann")
    assert project.budget == Budget(3, spent=1, pending=1)
    ask(project, "d")
    project.tell(["b"], ["wren"], "ann")  # a late answer is taken even if it costs more than was left
    assert (project.budget, project.budget.left) == (Budget(3, spent=2, pending=2), -1)
    project.set_budget(None)
    ask(project, "e")
    assert project.budget == Budget(None, spent=2, pending=3)


def test_a_correction_costs_nothing_and_a_withdrawn_question_is_given_back(project: Project) -> None:
    ask(project, "a", "b", "c")
    project.tell(["a"], ["owl"], "ann")
    project.tell(["a"], ["wren"], "ann")
    assert project.budget == Budget(None, spent=1, pending=2)
    project.withdraw(["a", "b"])
    assert project.budget == Budget(None, spent=1, pending=1)


def test_an_item_that_is_released_and_asked_again_is_bought_once(project: Project) -> None:
    ask(project, "a")
    project.tell(["a"], [SKIP], "ann")
    project.release_skipped()
    ask(project, "a")
    assert project.budget == Budget(None, 0, 1)
    project.tell(["a"], ["owl"], "ann")
    assert project.budget == Budget(None, 1, 0)
    assert [one.query for one in project.annotations("a")] == [0, 1]


# Pool and classes change -----------------------------------------------------------------------------------------


def test_pools_grow(project: Project) -> None:
    project.add_items(["0", "z"])
    assert project.candidates().ids == ("a", "b", "c", "d", "e", "f", "0", "z")
    with pytest.raises(ProjectError, match="holds item 'z' already"):
        project.add_items(["y", "z"])
    with pytest.raises(ProjectError, match="'y' comes twice"):
        project.add_items(["y", "y"])
    assert len(project.candidates().ids) == 8


def test_withdrawn_items_are_gone_but_their_annotations_stay(project: Project) -> None:
    ask(project, "a", "b")
    project.tell(["b", "c", "d"], ["owl", "owl", SKIP], "ann")
    project.withdraw(["a", "b", "d", "f"])
    assert project.candidates() == Candidates(("e",), ("c",), ("owl",))
    assert project.unanswered == ()
    project.tell(["a", "b"], ["wren", "wren"], "late")
    project.withdraw(["a"])
    assert project.labels == {"c": "owl"}
    assert [one.label for one in project.annotations("b")] == ["owl", "wren"]
    with pytest.raises(UnknownItemError):
        project.withdraw(["e", "x"])
    assert project.candidates().ids == ("e",)


def test_classes_are_added_and_renamed(project: Project) -> None:
    project.tell(["a"], ["owl"], "ann")
    project.add_class("kite")
    project.rename_class("owl", "Eule")
    assert project.classes == ("Eule", "wren", "hawk", "kite")
    assert project.labels == {"a": "Eule"}
    assert project.annotations("a")[0].label == "Eule"
    with pytest.raises(UnknownClassError):
        project.tell(["b"], ["owl"], "ann")
    project.tell(["b"], ["kite"], "ann")


def test_a_merged_class_counts_as_the_other(project: Project) -> None:
    project.tell(["a", "b", "c"], ["owl", "wren", "hawk"], "ann")
    project.merge_classes("owl", "wren")
    assert project.candidates().labels == ("wren", "wren", "hawk")
    project.merge_classes("wren", "hawk")
    assert project.labels == {"a": "hawk", "b": "hawk", "c": "hawk"}
    assert project.annotations("a")[0].label == "hawk"
    assert project.classes == ("hawk",)
    project.rename_class("hawk", "bird")
    project.add_class("owl")  # a new class, that has nothing to do with the merged one
    project.tell(["d"], ["owl"], "ann")
    assert project.status().labels == {"bird": 3, "owl": 1}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda project: project.add_class("owl"), "already"),
        (lambda project: project.add_class(""), "empty"),
        (lambda project: project.rename_class("owl", "wren"), "already"),
        (lambda project: project.rename_class("cat", "dog"), "no class 'cat'"),
        (lambda project: project.merge_classes("owl", "owl"), "itself"),
        (lambda project: project.merge_classes("owl", "cat"), "no class 'cat'"),
        (lambda project: project.merge_classes("cat", "owl"), "no class 'cat'"),
        (lambda project: project.set_budget(-1), "whole number"),
    ],
)
def test_changes_that_make_no_sense_are_refused(
    project: Project, change: Callable[[Project], None], error: str
) -> None:
    with pytest.raises(ProjectError, match=error):
        change(project)
    assert project.classes == ("owl", "wren", "hawk")


# At a glance -----------------------------------------------------------------------------------------------------


def test_status_counts_everything(project: Project) -> None:
    ask(project, "a", "b", "c")
    ask(project, "d")
    project.tell(["a", "b", "d"], ["owl", SKIP, "owl"], "ann")
    project.tell(["a"], ["wren"], "bob")
    project.withdraw(["e"])
    status = project.status()
    assert status.states == {"free": 1, "pending": 1, "labelled": 2, "skipped": 1, "withdrawn": 1}
    assert status.labels == {"owl": 1, "wren": 1, "hawk": 0}
    assert (status.items, status.classes) == (6, ("owl", "wren", "hawk"))
    assert (status.queries, status.unanswered, status.annotations) == (2, 1, 4)
    assert status.budget == Budget(None, 2, 1)


def test_more_items_than_fit_in_one_statement(tmp_path: Path) -> None:
    ids = [str(number) for number in range(12_001)]
    with Project.create(tmp_path, ids, classes=["owl"]) as project:
        ask(project, *ids[1:])
        project.tell(ids[2:], ["owl"] * 11_999, "ann")
        project.withdraw(ids[:-1])
        assert project.labels == {"12000": "owl"}
        assert project.budget == Budget(None, 11_999, 0)
        with pytest.raises(UnknownItemError, match="'x'"):
            project.tell([*ids, "x"], ["owl"] * 12_002, "ann")


def test_threads_share_a_project(tmp_path: Path) -> None:
    ids = [str(number) for number in range(40)]
    with Project.create(tmp_path, ids, classes=["owl"]) as project:
        tellers = [threading.Thread(target=project.tell, args=([id_], ["owl"], "ann")) for id_ in ids]
        for teller in tellers:
            teller.start()
        for teller in tellers:
            teller.join()
        assert list(project.labels) == ids
