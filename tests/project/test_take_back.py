"""Undo: an answer that is taken back leaves everything as if it had not been given."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import ProjectError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Annotation, Budget, Candidates, Query, Skip


def ask(project: Project, *ids: str) -> Query:
    return project.record(Query(project.next_query, ids, (0.0,) * len(ids), {"name": "random"}, 0))


def view(project: Project) -> tuple[object, ...]:
    """All that answers decide."""
    status = project.status()
    return (
        project.candidates(),
        project.labels,
        project.skipped,
        project.held_out,
        project.audit,
        project.questions(),
        project.unanswered,
        project.n_closed_questions,
        (status.states, status.labels, status.audit, status.held_out, status.unanswered, status.budget),
        [project.question(id_) for id_ in project.ids],
    )


def standing(project: Project, id_: str) -> list[tuple[str, str | Skip]]:
    return [(one.annotator, one.label) for one in project.annotations(id_) if one.stands]


def test_the_question_is_open_again(project: Project) -> None:
    query = ask(project, "a", "b")
    project.tell(["a"], ["owl"], "ann")
    assert project.take_back("ann") == "a"
    assert project.candidates() == Candidates(("c", "d", "e", "f"), pending_ids=("a", "b"))
    assert project.unanswered == (query,)
    assert project.budget == Budget(None, spent=0, pending=2)
    project.tell(["a"], ["wren"], "ann")
    assert project.labels == {"a": "wren"}
    assert project.budget == Budget(None, spent=1, pending=1)


def test_an_imported_label_leaves_a_free_item(project: Project) -> None:
    project.tell(["c", "a"], ["owl", SKIP], "import")
    assert (project.take_back("import"), project.take_back("import")) == ("a", "c")
    assert project.candidates() == Candidates(("a", "b", "c", "d", "e", "f"))


def test_an_answer_that_still_stands_decides_then(project: Project) -> None:
    ask(project, "a")
    for label, annotator in (("owl", "ann"), ("wren", "bob"), (SKIP, "ann"), ("hawk", "cleo")):
        project.tell(["a"], [label], annotator)
    assert project.take_back("cleo") == "a"
    assert (project.labels, project.skipped) == ({}, ("a",))
    assert project.take_back("ann") == "a"
    assert project.labels == {"a": "wren"}
    assert project.take_back("ann") == "a"  # an older answer, overruled already
    assert project.labels == {"a": "wren"}
    assert project.take_back("bob") == "a"
    assert project.candidates().pending_ids == ("a",)
    assert project.budget == Budget(None, 0, 1)


def test_the_newest_answer_to_a_named_item(project: Project) -> None:
    project.tell(["a", "b"], ["owl", "owl"], "ann")
    project.tell(["b"], ["wren"], "bob")
    assert project.take_back("ann", "a") == "a"
    assert project.labels == {"b": "wren"}
    with pytest.raises(ProjectError, match="no answer of 'ann' to item 'a' left"):
        project.take_back("ann", "a")
    with pytest.raises(ProjectError, match="no answer of 'cleo' to item 'b' left"):
        project.take_back("cleo", "b")
    with pytest.raises(UnknownItemError):
        project.take_back("ann", "x")
    with pytest.raises(ProjectError, match="empty"):
        project.take_back("")


def test_nothing_left_to_take_back(project: Project) -> None:
    with pytest.raises(ProjectError, match="no answer of 'ann' left"):
        project.take_back("ann")
    project.tell(["a"], ["owl"], "ann")
    project.take_back("ann")
    with pytest.raises(ProjectError, match="no answer of 'ann' left"):
        project.take_back("ann")


def test_the_answers_themselves_are_kept(project: Project) -> None:
    ask(project, "a")
    project.tell(["a"], ["owl"], "ann")
    project.tell(["a"], ["wren"], "ann")
    project.take_back("ann")
    told = project.annotations("a")
    assert [(one.label, one.query, one.stands) for one in told] == [("owl", 0, True), ("wren", 0, False)]
    assert all(isinstance(one, Annotation) for one in told)
    assert project.status().annotations == 2


def test_a_released_skip_stands_no_longer(project: Project) -> None:
    ask(project, "a")
    project.tell(["b"], ["owl"], "ann")
    project.tell(["a"], [SKIP], "ann")
    project.release_skipped()
    assert standing(project, "a") == []
    ask(project, "a")
    project.tell(["a"], ["owl"], "ann")
    assert project.take_back("ann") == "a"
    assert project.candidates().pending_ids == ("a",)  # and not skipped again
    assert project.take_back("ann") == "b"
    assert project.n_closed_questions == 1


def test_a_late_answer_after_a_release_leaves_a_free_item(project: Project) -> None:
    ask(project, "a")
    project.tell(["a"], [SKIP], "ann")
    project.release_skipped()
    before = view(project)
    project.tell(["a"], ["owl"], "ann")
    assert project.budget == Budget(None, 1, 0)
    project.take_back("ann")
    assert view(project) == before
    assert project.budget == Budget(None, 0, 0)


def test_a_withdrawn_item_stays_withdrawn(project: Project) -> None:
    ask(project, "a")
    project.tell(["a"], ["owl"], "ann")
    project.withdraw(["a"])
    before = view(project)
    assert project.take_back("ann") == "a"
    assert view(project) == before
    assert standing(project, "a") == []


def test_after_classes_were_merged_and_renamed(project: Project) -> None:
    project.tell(["a"], ["owl"], "ann")
    project.tell(["a"], ["hawk"], "ann")
    project.merge_classes("owl", "wren")
    project.rename_class("wren", "bird")
    project.take_back("ann")
    assert project.labels == {"a": "bird"}
    assert project.status().labels == {"bird": 1, "hawk": 0}


some_answers = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["owl", "wren", SKIP]), st.sampled_from(["ann", "bob"])),
    max_size=12,
)


@given(start=some_answers, asked=st.lists(st.sampled_from("abcdef"), unique=True), answers=some_answers)
def test_taking_back_all_answers_one_by_one_leads_back_through_every_state(
    start: list[tuple[str, str | Skip, str]],
    asked: list[str],
    answers: list[tuple[str, str | Skip, str]],
) -> None:
    with (
        TemporaryDirectory() as folder,
        Project.create(folder, list("abcdef"), classes=["owl", "wren"], audit=0.4) as project,
    ):
        for id_, label, annotator in start:
            project.tell([id_], [label], annotator)
        project.release_skipped()
        for id_ in set(asked) & set(project.candidates().ids):
            ask(project, id_)
        views = []
        for id_, label, annotator in answers:
            views.append(view(project))
            project.tell([id_], [label], annotator)
        for id_, _, annotator in reversed(answers):
            assert project.take_back(annotator) == id_
            assert view(project) == views.pop()


def test_it_survives_closing(project: Project, tmp_path: Path) -> None:
    ask(project, "a")
    project.tell(["a"], ["owl"], "ann")
    project.take_back("ann")
    before = view(project)
    project.backup(tmp_path / "copy.db")
    project.close()
    for path in (project.path, tmp_path / "copy.db"):
        with Project.open(path) as opened:
            assert view(opened) == before
