"""Answers of people: sent again they are done once, and one that another overtook says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from asktell.errors import ProjectError, UnknownClassError, UnknownItemError
from asktell.project import Project
from asktell.project.answers import Taken
from asktell.types import SKIP, Query, Skip

from .test_machine import IDS, PEOPLE, Store, some_labels

Reopen = Callable[[], Project]


def ask(project: Project, *ids: str, strategy: str = "random") -> None:
    project.record(Query(project.next_query, ids, (0.0,) * len(ids), {"name": strategy}, 0))


def told(project: Project, id_: str) -> list[tuple[str, str | Skip]]:
    return [(one.annotator, one.label) for one in project.annotations(id_) if one.stands]


@pytest.fixture
def reopened(project: Project) -> Reopen:
    """The project as another process finds it: nothing is left but the database."""

    def reopen() -> Project:
        project.close()
        return Project.open(project.folder)

    return reopen


# Sent again ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["wren", SKIP])
def test_an_answer_has_its_effect_once(project: Project, reopened: Reopen, label: str | Skip) -> None:
    ask(project, "a")
    assert project.answer("a", label, "ann", receipt="r-1") == Taken(True)
    with reopened() as again:
        assert again.answer("a", label, "ann", receipt="r-1") == Taken(False)
        assert told(again, "a") == [("ann", label)]


def test_not_even_when_it_was_overruled_or_taken_back_meanwhile(project: Project, reopened: Reopen) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    project.answer("a", "owl", "ann", receipt="r-2")
    project.answer("b", "wren", "ann", receipt="r-3")
    project.take_back("ann")
    with reopened() as again:
        for receipt in ("r-1", "r-2"):
            assert not again.answer("a", "wren", "ann", receipt=receipt).recorded
        assert not again.answer("b", "wren", "ann", receipt="r-3").recorded
        assert (again.labels, told(again, "b")) == ({"a": "owl"}, [])


def test_an_undo_has_its_effect_once(project: Project, reopened: Reopen) -> None:
    ask(project, "a", "b")
    project.tell(["b", "a"], ["owl", "owl"], "ann")
    assert project.take_back("ann", receipt="r-1") == "a"
    with reopened() as again:
        assert [again.take_back("ann", receipt="r-1") for _ in range(2)] == ["a", "a"]
        assert again.labels == {"b": "owl"}
        assert again.take_back("ann", receipt="r-2") == "b"


def test_a_flag_has_its_effect_once(project: Project, reopened: Reopen) -> None:
    project.flag("a", "ann", True, receipt="r-1")
    project.flag("a", "bob", False)
    with reopened() as again:
        again.flag("a", "ann", True, receipt="r-1")
        assert again.flagged == ()


def test_what_was_refused_can_be_sent_again(project: Project) -> None:
    with pytest.raises(UnknownClassError):
        project.answer("a", "eagle", "ann", receipt="r-1")
    with pytest.raises(ProjectError, match="left to take back"):
        project.take_back("ann", receipt="r-2")
    project.add_class("eagle")
    assert project.answer("a", "eagle", "ann", receipt="r-1").recorded
    assert project.take_back("ann", receipt="r-2") == "a"


def test_receipts_are_each_annotators_own(project: Project) -> None:
    assert project.answer("a", "wren", "ann", receipt="r-1").recorded
    assert project.answer("a", "owl", "bob", receipt="r-1").recorded
    assert told(project, "a") == [("ann", "wren"), ("bob", "owl")]


def test_one_receipt_for_two_items_is_refused_because_one_answer_would_be_lost(project: Project) -> None:
    project.answer("a", "wren", "ann", receipt="1")
    for send in (
        lambda: project.answer("b", "wren", "ann", receipt="1"),
        lambda: project.take_back("ann", "b", receipt="1"),
        lambda: project.flag("b", "ann", receipt="1"),
    ):
        with pytest.raises(ProjectError, match=r"was given for item 'a' .* make up a new one"):
            send()
    assert (project.labels, project.flagged) == ({"a": "wren"}, ())


def test_a_receipt_is_text(project: Project) -> None:
    for send in (
        lambda: project.answer("a", "wren", "ann", receipt=""),
        lambda: project.take_back("ann", receipt=""),
        lambda: project.flag("a", "ann", receipt=""),
    ):
        with pytest.raises(ProjectError, match="receipt names must not be empty"):
            send()


def test_receipts_survive_a_backup(project: Project, tmp_path: Path) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    project.backup(tmp_path / "copy.db")
    with Project.open(tmp_path / "copy.db") as copied:
        assert not copied.answer("a", "wren", "ann", receipt="r-1").recorded


# Two who answer the same question --------------------------------------------------------------------------------


def test_another_label_replaces_the_first_and_says_so_and_undo_brings_that_back(project: Project) -> None:
    ask(project, "a")
    assert project.answer("a", "wren", "ann", receipt="r-1") == Taken(True)
    first = project.annotations("a")[0]
    for _ in range(2):  # the same reply to the same request
        taken = project.answer("a", "owl", "bob", receipt="r-2")
        assert taken.before == first
    assert (project.labels, project.budget.spent) == ({"a": "owl"}, 1)
    project.take_back("bob", "a")
    assert project.labels == {"a": "wren"}


def test_so_does_the_same_person_in_another_window(project: Project) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    taken = project.answer("a", "owl", "ann", receipt="r-2")
    assert taken.before is not None
    assert (taken.recorded, taken.before.annotator, taken.before.label) == (True, "ann", "wren")


def test_who_agrees_is_written_down_too_and_who_repeats_is_not(project: Project) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    assert project.answer("a", "wren", "bob", receipt="r-2") == Taken(True)
    assert project.answer("a", "wren", "bob", receipt="r-3") == Taken(False)
    assert told(project, "a") == [("ann", "wren"), ("bob", "wren")]
    project.answer("a", "owl", "ann", receipt="r-4")
    assert not project.answer("a", "wren", "bob", receipt="r-3").recorded  # an old repetition overrules nothing
    assert project.labels == {"a": "owl"}


def test_a_skip_leaves_the_label_that_came_meanwhile(project: Project) -> None:
    ask(project, "a")
    project.answer("a", "wren", "ann", receipt="r-1")
    taken = project.answer("a", SKIP, "bob", receipt="r-2")
    assert taken.before is not None
    assert (taken.recorded, taken.before.label, project.labels) == (False, "wren", {"a": "wren"})
    project.take_back("ann")
    assert project.answer("a", SKIP, "bob", receipt="r-2") == Taken(False)  # it is done with
    assert project.candidates().pending_ids == ("a",)


def test_a_skip_that_corrects_replaces_the_label(project: Project) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    assert project.answer("a", SKIP, "bob", receipt="r-2", corrects=True).recorded
    assert (project.labels, project.skipped) == ({}, ("a",))


def test_a_label_after_a_skip_needs_no_word(project: Project) -> None:
    project.answer("a", SKIP, "ann", receipt="r-1")
    assert project.answer("a", "wren", "bob", receipt="r-2") == Taken(True)
    assert project.labels == {"a": "wren"}


# Refusals --------------------------------------------------------------------------------------------------------


def test_what_takes_no_answers(tmp_path: Path) -> None:
    with Project.create(tmp_path, list(map(str, range(20))), classes=["owl"], audit=0.5) as project:
        reserved = project.next_audit()[0]
        gone = next(id_ for id_ in project.candidates().ids if id_ != reserved)
        project.withdraw([gone])
        for id_, why in ((reserved, "kept for the audit"), (gone, "was withdrawn")):
            with pytest.raises(ProjectError, match=why):
                project.answer(id_, "owl", "ann", receipt="r-1")
        with pytest.raises(UnknownItemError):
            project.answer("no", "owl", "ann", receipt="r-1")
        ask(project, reserved, strategy="audit")
        assert project.answer(reserved, "owl", "ann", receipt="r-1").recorded


def test_an_answer_to_what_was_withdrawn_since_is_known_again(project: Project) -> None:
    project.answer("a", "wren", "ann", receipt="r-1")
    project.withdraw(["a"])
    assert project.answer("a", "wren", "ann", receipt="r-1") == Taken(False)


# Among all else that may happen ----------------------------------------------------------------------------------


class Sending(Store):
    """The store's machine, with answers, undos and flags that come again, at any time, in any order."""

    @initialize()
    def nothing_sent(self) -> None:
        self.sent: list[Callable[[], object]] = []

    def receipt(self) -> str:
        return f"receipt {len(self.sent)}"

    @rule(id_=st.sampled_from(IDS), label=some_labels, annotator=st.sampled_from(PEOPLE), corrects=st.booleans())
    def answer(self, id_: str, label: str | Skip, annotator: str, corrects: bool) -> None:
        receipt = self.receipt()

        def send() -> object:
            return self.project.answer(id_, label, annotator, receipt=receipt, corrects=corrects).recorded

        if not self.takes_answers(id_):
            with pytest.raises(ProjectError):
                send()
            return
        stood = [answer for answer in self.items[id_].answers if answer.stands][-1:]
        says = [(answer.annotator, answer.label) for answer in stood] == [(annotator, label)]
        leaves = label is SKIP and not corrects and any(answer.label is not SKIP for answer in stood)
        if not (says or leaves) and label is not SKIP and label not in self.classes:
            with pytest.raises(UnknownClassError):
                send()
            return
        assert send() is not (says or leaves)
        if not (says or leaves):
            self.was_told([id_], [label], annotator)
        self.sent.append(send)

    def takes_answers(self, id_: str) -> bool:
        item = self.items.get(id_)
        return item is not None and not item.withdrawn and (item.part, item.state) != ("audit", "free")

    @rule(annotator=st.sampled_from(PEOPLE))
    def undo(self, annotator: str) -> None:
        receipt = self.receipt()
        theirs = [
            (answer.number, of, answer)
            for of, item in self.items.items()
            for answer in item.answers
            if answer.stands and answer.annotator == annotator
        ]
        if theirs:
            _, of, answer = max(theirs, key=lambda one: one[0])
            assert self.project.take_back(annotator, receipt=receipt) == of
            answer.stands = False
            self.sent.append(lambda: self.project.take_back(annotator, receipt=receipt))

    @rule(id_=st.sampled_from(IDS), flagged=st.booleans())
    def flag_once(self, id_: str, flagged: bool) -> None:
        if id_ in self.items:
            receipt = self.receipt()
            self.project.flag(id_, "ann", flagged, receipt=receipt)
            self.items[id_].flagged = flagged
            self.sent.append(lambda: self.project.flag(id_, "ann", flagged, receipt=receipt))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Changes nothing, as the invariants see it."""
        before = self.project.status()
        assert data.draw(st.sampled_from(self.sent))() is not True
        assert self.project.status() == before


TestSending = Sending.TestCase
TestSending.settings = settings(max_examples=15, stateful_step_count=30)
