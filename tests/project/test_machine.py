"""The store against a model of it in a few dictionaries."""

import tempfile
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asktell.errors import BudgetError, ConflictError, ProjectError, UnknownClassError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Audit, Budget, Candidates, Query, Skip

from .model import Answer, Item

NAMES = ("owl", "wren", "hawk", "kite")
PEOPLE = ("ann", "bob")
IDS = tuple("abcdefgh")
some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
some_labels: st.SearchStrategy[str | Skip] = st.sampled_from((*NAMES, SKIP))


class Store(RuleBasedStateMachine):
    """Every rule does the same to the project and to the model, and expects the same refusals."""

    @initialize(
        budget=st.none() | st.integers(0, 8),
        items=st.integers(2, 6),
        seed=st.integers(0, 99),
        share=st.sampled_from([0.0, 0.3, 0.7]),
    )
    def create(self, budget: int | None, items: int, seed: int, share: float) -> None:
        self.folder = tempfile.TemporaryDirectory()
        ids = IDS[:items]
        self.project = Project.create(
            self.folder.name, ids, classes=NAMES[:3], seed=seed, budget=budget, audit=share, contents=ids
        )
        self.seed, self.share = seed, share
        self.items = {id_: self.new(id_) for id_ in ids}
        self.classes = list(NAMES[:3])
        self.limit = budget
        self.queries: list[tuple[str, ...]] = []
        self.audits: set[int] = set()
        self.told = self.looked = 0

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            self.folder.cleanup()

    # The model ---------------------------------------------------------------------------------------------------

    def key(self, id_: str) -> int:
        return int(sha256(f"{self.seed}:{id_}".encode()).hexdigest(), 16)

    def new(self, id_: str) -> Item:
        return Item("audit" if self.key(id_) < self.share * 2**256 else "pool")

    def known(self, ids: list[str]) -> bool:
        return all(id_ in self.items for id_ in ids)

    def where(self, state: str, *parts: str) -> tuple[str, ...]:
        """Ids in a state, of these parts or of all."""
        return tuple(
            id_ for id_, item in self.items.items() if item.state == state and (not parts or item.part in parts)
        )

    def label(self, id_: str) -> str:
        return str(self.items[id_].standing[-1])

    def asked(self) -> list[Item]:
        return [item for item in self.items.values() if item.asked]

    def in_audit_order(self, ids: tuple[str, ...]) -> list[str]:
        return sorted(ids, key=self.key)

    def budget(self) -> Budget:
        states = [item.question for item in self.asked()]
        return Budget(self.limit, states.count("answered"), states.count("open"))

    def left(self) -> float:
        left = self.budget().left
        return float("inf") if left is None else left

    # Asking and answering ----------------------------------------------------------------------------------------

    @rule(ids=some_ids, audit=st.booleans())
    def ask(self, ids: list[str], audit: bool) -> None:
        strategy = {"name": "audit" if audit else "test"}
        query = Query(self.project.next_query, tuple(ids), (1.0,) * len(ids), strategy, seed=0)
        may = self.where("free", "audit" if audit else "pool")
        taken = tuple(id_ for id_ in ids if id_ not in may)
        if not self.known(ids):
            with pytest.raises(UnknownItemError):
                self.project.record(query)
        elif len(ids) > self.left():
            with pytest.raises(BudgetError):
                self.project.record(query)
        elif taken:
            with pytest.raises(ConflictError) as conflict:
                self.project.record(query)
            assert conflict.value.taken == taken
        else:
            self.project.record(query)
            self.was_asked(ids, audit)

    @rule(data=st.data(), audit=st.booleans())
    def ask_what_is_free(self, data: st.DataObject, audit: bool) -> None:
        may = self.where("free", "audit" if audit else "pool")
        if may and self.left() >= 1:
            most = int(min(self.left(), 2))
            self.ask(data.draw(st.lists(st.sampled_from(may), min_size=1, max_size=most, unique=True)), audit)

    def was_asked(self, ids: list[str], audit: bool) -> None:
        for id_ in ids:
            self.items[id_].base = "pending"
            self.items[id_].asked.append(len(self.queries))
        if audit:
            self.audits.add(len(self.queries))
        self.queries.append(tuple(ids))

    @rule(ids=some_ids, annotator=st.sampled_from(PEOPLE), data=st.data())
    def tell(self, ids: list[str], annotator: str, data: st.DataObject) -> None:
        labels = data.draw(st.lists(some_labels, min_size=len(ids), max_size=len(ids)))
        if any(label is not SKIP and label not in self.classes for label in labels):
            with pytest.raises(UnknownClassError):
                self.project.tell(ids, labels, annotator)
        elif not self.known(ids):
            with pytest.raises(UnknownItemError):
                self.project.tell(ids, labels, annotator)
        else:
            self.project.tell(ids, labels, annotator)
            self.was_told(ids, labels, annotator)

    @rule(annotator=st.sampled_from(PEOPLE), data=st.data())
    def answer_what_is_open(self, annotator: str, data: st.DataObject) -> None:
        pending = self.where("pending")
        if pending:
            id_, label = data.draw(st.sampled_from(pending)), self.draw_label(data)
            self.project.tell([id_], [label], annotator)
            self.was_told([id_], [label], annotator)

    def draw_label(self, data: st.DataObject) -> str | Skip:
        answers: list[str | Skip] = [*self.classes, SKIP]
        return data.draw(st.sampled_from(answers))

    def was_told(self, ids: list[str], labels: list[str | Skip], annotator: str) -> None:
        for id_, label in zip(ids, labels, strict=True):
            self.told += 1
            self.items[id_].answers.append(Answer(annotator, label, self.told))

    @rule(annotator=st.sampled_from(PEOPLE), id_=st.none() | st.sampled_from(IDS))
    def take_back(self, annotator: str, id_: str | None) -> None:
        if id_ is not None and id_ not in self.items:
            with pytest.raises(UnknownItemError):
                self.project.take_back(annotator, id_)
            return
        theirs = [
            (answer.number, of, answer)
            for of, item in self.items.items()
            for answer in item.answers
            if answer.stands and answer.annotator == annotator and id_ in (None, of)
        ]
        if not theirs:
            with pytest.raises(ProjectError, match="left to take back"):
                self.project.take_back(annotator, id_)
            return
        _, of, answer = max(theirs, key=lambda one: one[0])
        assert self.project.take_back(annotator, id_) == of
        answer.stands = False

    @rule(data=st.data())
    def tell_and_take_back(self, data: st.DataObject) -> None:
        """Leaves no trace but the answer itself."""
        id_, label = data.draw(st.sampled_from(list(self.items))), self.draw_label(data)
        before = self.project.status()
        self.project.tell([id_], [label], "cleo")
        assert self.project.take_back("cleo") == id_
        self.was_told([id_], [label], "cleo")
        self.items[id_].answers[-1].stands = False
        assert self.project.status() == replace(before, annotations=before.annotations + 1)

    # Changing the pool -------------------------------------------------------------------------------------------

    @rule(id_=st.sampled_from(IDS))
    def add(self, id_: str) -> None:
        if id_ in self.items:
            with pytest.raises(ProjectError):
                self.project.add_items([id_], [id_])
        else:
            self.project.add_items([id_], [id_])
            self.items[id_] = self.new(id_)

    @precondition(lambda self: len(self.where("withdrawn")) < 3)
    @rule(id_=st.sampled_from(IDS))
    def withdraw(self, id_: str) -> None:
        if id_ in self.items:
            self.project.withdraw([id_])
            item = self.items[id_]
            item.withdrawn = item.withdrawn or item.state

    @rule(ids=some_ids)
    def release(self, ids: list[str]) -> None:
        if self.known(ids) and set(ids) <= set(self.where("skipped")):
            self.project.release_skipped(ids)
            self.were_released(ids)
        else:
            with pytest.raises(ProjectError):
                self.project.release_skipped(ids)

    @rule()
    def release_all(self) -> None:
        self.project.release_skipped()
        self.were_released(list(self.where("skipped")))

    def were_released(self, ids: list[str]) -> None:
        for id_ in ids:
            self.items[id_].base = "free"
            for answer in self.items[id_].answers:
                answer.stands = False

    @rule(ids=st.none() | some_ids)
    def fold_in(self, ids: list[str] | None) -> None:
        answered = tuple(id_ for id_ in self.where("labelled", "audit") if self.items[id_].asked)
        chosen = self.in_audit_order(answered) if ids is None else ids
        if self.known(chosen) and all(self.items[id_].part == "audit" for id_ in chosen):
            assert self.project.fold_in(ids) == tuple(chosen)
            for id_ in chosen:
                self.items[id_].part = "pool"
        else:
            with pytest.raises(ProjectError):
                self.project.fold_in(ids)

    @precondition(lambda self: sum(item.part == "held-out" for item in self.items.values()) < 2)
    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=2, unique=True))
    def hold_out(self, ids: list[str]) -> None:
        if self.known(ids) and all(self.may_be_held_out(self.items[id_]) for id_ in ids):
            self.project.hold_out(ids)
            for id_ in ids:
                self.items[id_].part = "held-out"
        else:
            with pytest.raises(ProjectError):
                self.project.hold_out(ids)

    def may_be_held_out(self, item: Item) -> bool:
        return item.part == "held-out" or (not item.asked and item.state in ("free", "labelled"))

    @rule(id_=st.sampled_from(IDS), annotator=st.sampled_from(PEOPLE), flagged=st.booleans())
    def flag(self, id_: str, annotator: str, flagged: bool) -> None:
        if id_ in self.items:
            self.project.flag(id_, annotator, flagged)
            self.items[id_].flagged = flagged
        else:
            with pytest.raises(UnknownItemError):
                self.project.flag(id_, annotator, flagged)

    # Changing the classes and the budget -------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES))
    def add_class(self, name: str) -> None:
        if name not in self.classes:
            self.project.add_class(name)
            self.classes.append(name)

    @precondition(lambda self: len(self.classes) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        source, into = data.draw(st.permutations(self.classes))[:2]
        self.project.merge_classes(source, into)
        self.classes.remove(source)
        self.say_otherwise(source, into)

    @rule(data=st.data(), new_name=st.sampled_from(NAMES))
    def rename(self, data: st.DataObject, new_name: str) -> None:
        name = data.draw(st.sampled_from(self.classes))
        if new_name not in self.classes:
            self.project.rename_class(name, new_name)
            self.classes[self.classes.index(name)] = new_name
            self.say_otherwise(name, new_name)

    def say_otherwise(self, was: str, now: str) -> None:
        for item in self.items.values():
            for answer in item.answers:
                answer.label = now if answer.label == was else answer.label

    @rule(limit=st.none() | st.integers(0, 12))
    def set_budget(self, limit: int | None) -> None:
        self.project.set_budget(limit)
        self.limit = limit

    @rule()
    def reopen(self) -> None:
        self.project.close()
        self.project = Project.open(self.folder.name)

    # What must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def candidates_are_ordinary(self) -> None:
        labelled = self.where("labelled", "pool")
        assert self.project.candidates() == Candidates(
            self.where("free", "pool"), labelled, tuple(map(self.label, labelled)), self.where("pending", "pool")
        )

    @invariant()
    def labels_are_what_stands(self) -> None:
        assert list(self.project.labels.items()) == [(id_, self.label(id_)) for id_ in self.where("labelled")]
        assert self.project.held_out == {id_: self.label(id_) for id_ in self.where("labelled", "held-out")}
        assert self.project.skipped == self.where("skipped")
        assert self.project.classes == tuple(self.classes)
        assert self.project.flagged == tuple(
            id_ for id_, item in self.items.items() if item.flagged and not item.withdrawn
        )

    @invariant()
    def the_audit_is_of_reserved_items(self) -> None:
        labelled = self.in_audit_order(self.where("labelled", "audit"))
        answered = {id_: self.label(id_) for id_ in labelled if self.items[id_].asked}
        assert list(self.project.audit.answered) == list(answered)
        assert self.project.audit == Audit(
            self.share,
            waiting=len(self.where("free", "audit")),
            pending=len(self.where("pending", "audit")),
            skipped=len(self.where("skipped", "audit")),
            imported=len(labelled) - len(answered),
            answered=answered,
        )
        assert list(self.project.next_audit(99)) == self.in_audit_order(self.where("free", "audit"))

    @invariant()
    def questions_wait_until_they_are_answered(self) -> None:
        assert tuple(query.ids for query in self.project.queries) == tuple(self.queries)
        waiting = [(number, [id_ for id_ in ids if self.waits(id_, number)]) for number, ids in enumerate(self.queries)]
        assert [(query.number, list(query.ids)) for query in self.project.unanswered] == [
            (number, ids) for number, ids in waiting if ids
        ]
        for audit in (None, True, False):
            numbers = [number for number, _ in enumerate(self.queries) if audit in (None, number in self.audits)]
            expected = [(number, id_) for number in numbers for id_ in waiting[number][1]]
            assert [(one.query, one.item) for one in self.project.questions(audit=audit)] == expected
        older = sum(len(item.asked) - 1 for item in self.asked())  # skipped, and released
        newest = sum(item.question in ("answered", "skipped") for item in self.asked())
        assert self.project.n_closed_questions == older + newest
        assert self.project.budget == self.budget()

    def waits(self, id_: str, number: int) -> bool:
        return self.items[id_].state == "pending" and self.items[id_].asked[-1] == number

    @invariant()
    def every_question_says_why_and_every_answer_is_kept(self) -> None:
        self.looked += 1  # one item at a time
        id_, item = list(self.items.items())[self.looked % len(self.items)]
        question = self.project.question(id_)
        assert (question is None) == (not item.asked)
        if question is not None:
            assert (question.query, question.state) == (item.asked[-1], item.question)
            assert self.queries[question.query][question.position] == id_
            assert question.audit == (question.query in self.audits)
        told = [(one.annotator, one.label, one.stands) for one in self.project.annotations(id_)]
        assert told == [(answer.annotator, answer.label, answer.stands) for answer in item.answers]

    @invariant()
    def everything_is_counted(self) -> None:
        status = self.project.status()
        assert status.states == {state: len(self.where(state)) for state in status.states}
        assert status.audit == {state: len(self.where(state, "audit")) for state in status.states}
        assert status.held_out == {state: len(self.where(state, "held-out")) for state in status.states}
        labels = [self.label(id_) for id_ in self.where("labelled")]
        assert status.labels == {name: labels.count(name) for name in self.classes}
        assert list(status.labels) == self.classes
        assert status.items == self.project.n_items == len(self.items)
        assert status.flagged == len(self.project.flagged)
        assert status.unanswered == len(self.project.unanswered)

    @invariant()
    def items_keep_their_place_and_their_content(self) -> None:
        assert self.project.ids == tuple(self.items)
        assert self.project.contents(self.items) == {id_: id_ for id_ in self.items}


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=20, stateful_step_count=25)
