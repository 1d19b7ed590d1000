"""The store against a model of it in a few dictionaries."""

import tempfile
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asktell.errors import BudgetError, ConflictError, ProjectError, UnknownClassError, UnknownItemError
from asktell.project import Project
from asktell.types import SKIP, Budget, Candidates, Query, Skip

NAMES = ("owl", "wren", "hawk", "kite")
IDS = tuple("abcdefgh")
some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
some_labels: st.SearchStrategy[str | Skip] = st.sampled_from((*NAMES, SKIP))


@dataclass
class Item:
    answers: list[str | Skip] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    bought: bool = False
    state: str = "free"


class Store(RuleBasedStateMachine):
    """Every rule does the same to the project and to the model, and expects the same refusals."""

    @initialize(budget=st.none() | st.integers(0, 8), items=st.integers(2, 6))
    def create(self, budget: int | None, items: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.project = Project.create(self.folder.name, IDS[:items], classes=NAMES[:3], budget=budget)
        self.items = {id_: Item() for id_ in IDS[:items]}
        self.classes = list(NAMES[:3])
        self.limit = budget
        self.queries: list[tuple[str, ...]] = []

    def teardown(self) -> None:
        if hasattr(self, "project"):
            self.project.close()
            self.folder.cleanup()

    def known(self, ids: list[str]) -> bool:
        return all(id_ in self.items for id_ in ids)

    def in_state(self, state: str) -> tuple[str, ...]:
        return tuple(id_ for id_, item in self.items.items() if item.state == state)

    def left(self) -> float:
        spent = sum(item.bought for item in self.items.values())
        return float("inf") if self.limit is None else self.limit - spent - len(self.in_state("pending"))

    @rule(ids=some_ids)
    def ask(self, ids: list[str]) -> None:
        query = Query(self.project.next_query, tuple(ids), (1.0,) * len(ids), {"name": "test"}, seed=0)
        taken = tuple(id_ for id_ in ids if id_ in self.items and self.items[id_].state != "free")
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
            for id_ in ids:
                self.items[id_].state = "pending"
                self.items[id_].asked.append(len(self.queries))
            self.queries.append(tuple(ids))

    @rule(ids=some_ids, data=st.data())
    def tell(self, ids: list[str], data: st.DataObject) -> None:
        labels = data.draw(st.lists(some_labels, min_size=len(ids), max_size=len(ids)))
        if any(label is not SKIP and label not in self.classes for label in labels):
            with pytest.raises(UnknownClassError):
                self.project.tell(ids, labels, "ann")
        elif not self.known(ids):
            with pytest.raises(UnknownItemError):
                self.project.tell(ids, labels, "ann")
        else:
            self.project.tell(ids, labels, "ann")
            for id_, label in zip(ids, labels, strict=True):
                self.answer(self.items[id_], label)

    def answer(self, item: Item, label: str | Skip) -> None:
        item.answers.append(label)
        if item.state != "withdrawn":
            item.state = "skipped" if label is SKIP else "labelled"
            item.bought = bool(item.asked) and label is not SKIP

    @rule(id_=st.sampled_from(IDS))
    def add(self, id_: str) -> None:
        if id_ in self.items:
            with pytest.raises(ProjectError):
                self.project.add_items([id_])
        else:
            self.project.add_items([id_])
            self.items[id_] = Item()

    @precondition(lambda self: len(self.in_state("withdrawn")) < 3)
    @rule(id_=st.sampled_from(IDS))
    def withdraw(self, id_: str) -> None:
        if id_ in self.items:
            self.project.withdraw([id_])
            self.items[id_].state = "withdrawn"

    @rule(ids=some_ids)
    def release(self, ids: list[str]) -> None:
        if self.known(ids) and set(ids) <= set(self.in_state("skipped")):
            self.project.release_skipped(ids)
            for id_ in ids:
                self.items[id_].state = "free"
        else:
            with pytest.raises(ProjectError):
                self.project.release_skipped(ids)

    @rule()
    def release_all(self) -> None:
        self.project.release_skipped()
        for id_ in self.in_state("skipped"):
            self.items[id_].state = "free"

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
            item.answers = [now if label == was else label for label in item.answers]

    @rule(limit=st.none() | st.integers(0, 12))
    def set_budget(self, limit: int | None) -> None:
        self.project.set_budget(limit)
        self.limit = limit

    @rule()
    def reopen(self) -> None:
        self.project.close()
        self.project = Project.open(self.folder.name)

    @invariant()
    def agree(self) -> None:
        labels = {id_: self.items[id_].answers[-1] for id_ in self.in_state("labelled")}
        free, pending = self.in_state("free"), self.in_state("pending")
        assert self.project.candidates() == Candidates(free, tuple(labels), tuple(map(str, labels.values())), pending)
        assert self.project.labels == labels
        assert self.project.skipped == self.in_state("skipped")
        assert self.project.classes == tuple(self.classes)
        assert tuple(query.ids for query in self.project.queries) == tuple(self.queries)
        still = [tuple(id_ for id_ in ids if self.waits(id_, number)) for number, ids in enumerate(self.queries)]
        assert [query.ids for query in self.project.unanswered] == [ids for ids in still if ids]
        spent = sum(item.bought for item in self.items.values())
        assert self.project.budget == Budget(self.limit, spent, len(pending))

    def waits(self, id_: str, number: int) -> bool:
        return self.items[id_].state == "pending" and self.items[id_].asked[-1] == number

    @invariant()
    def keep_every_answer(self) -> None:
        for id_, item in self.items.items():
            assert [one.label for one in self.project.annotations(id_)] == item.answers

    @invariant()
    def count(self) -> None:
        status = self.project.status()
        assert {state: len(self.in_state(state)) for state in status.states} == status.states
        assert status.items == len(self.items)
        assert list(status.labels) == self.classes
        assert sum(status.labels.values()) == status.states["labelled"]


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=20, stateful_step_count=25)
