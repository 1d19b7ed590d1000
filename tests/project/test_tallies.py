"""Who answered how much and which strategy asked what, against counting by hand."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asktell.project import ItemPart, ItemState, Project
from asktell.project.catalogue import Catalogue
from asktell.types import SKIP, Query

IDS = tuple(f"item-{number:02d}" for number in range(24))
BALD: dict[str, object] = {"name": "bald", "parameters": {}, "inner": None}
POWER: dict[str, object] = {"name": "power", "parameters": {"beta": 2.0}, "inner": BALD}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "birds", IDS, classes=["owl", "wren"]) as made:
        yield made


@pytest.fixture
def catalogue(project: Project) -> Iterator[Catalogue]:
    with closing(Catalogue(project.path)) as opened:
        yield opened


def ask(project: Project, ids: tuple[str, ...], strategy: dict[str, object], model: str | None = None) -> None:
    project.record(Query(project.next_query, ids, (0.0,) * len(ids), strategy, 0, model=model))


def test_nobody_and_nothing(catalogue: Catalogue) -> None:
    assert catalogue.annotators() == ()
    assert catalogue.strategies() == ()


def test_answers_skips_and_what_was_taken_back(project: Project, catalogue: Catalogue) -> None:
    project.tell(IDS[:3], ["owl", SKIP, "wren"], "bob")
    project.tell(IDS[2:5], ["owl", "owl", "owl"], "ann")
    project.take_back("ann")
    project.release_skipped()
    bob, ann = catalogue.annotators()
    assert (bob.annotator, bob.answers, bob.skips, bob.gone) == ("bob", 2, 0, 1)
    assert (ann.annotator, ann.answers, ann.skips, ann.gone) == ("ann", 2, 0, 1)
    told = [project.annotations(id_) for id_ in IDS[:3]]
    assert (bob.first, bob.last) == (told[0][0].created, told[2][0].created)


def test_questions_by_strategy_and_state(project: Project, catalogue: Catalogue) -> None:
    ask(project, IDS[:4], BALD)
    ask(project, IDS[4:6], POWER, "first model")
    ask(project, IDS[6:9], POWER, "second model")
    ask(project, IDS[9:10], BALD, "second model")
    project.tell(IDS[:3], ["owl", SKIP, "wren"], "ann")
    project.withdraw(IDS[3:4])
    bald, power = catalogue.strategies()
    assert (bald.strategy, bald.queries, bald.models, bald.questions) == (BALD, 2, 1, 5)
    assert bald.states == {"open": 1, "answered": 2, "skipped": 1, "withdrawn": 1}
    assert (power.strategy, power.queries, power.models, power.questions) == (POWER, 2, 2, 5)
    assert power.states == {"open": 5, "answered": 0, "skipped": 0, "withdrawn": 0}


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(IDS), st.sampled_from(["owl", "wren", SKIP])), max_size=20
    )
)
def test_all_answers_are_counted_once(told: list[tuple[str, str, object]]) -> None:
    with TemporaryDirectory() as place, Project.create(Path(place) / "p", IDS, classes=["owl", "wren"]) as project:
        for annotator, id_, label in told:
            project.tell([id_], [label], annotator)  # type: ignore[list-item]
        with closing(Catalogue(project.path)) as catalogue:
            found = {one.annotator: (one.answers, one.skips, one.gone) for one in catalogue.annotators()}
            listed = list(catalogue.told())
    answers = Counter(annotator for annotator, _, label in told if label is not SKIP)
    skips = Counter(annotator for annotator, _, label in told if label is SKIP)
    assert found == {name: (answers[name], skips[name], 0) for name in {annotator for annotator, _, _ in told}}
    assert [(one.annotator, one.item, one.label or SKIP) for one in listed] == told


def test_items_of_a_state_are_all_of_them_or_those_of_one_part(tmp_path: Path) -> None:
    with Project.create(tmp_path / "audited", IDS, classes=["owl"], audit=0.4) as project:
        reserved = project.next_audit(24)
        project.tell(IDS[:5], ["owl"] * 5, "imported")
        project.hold_out(IDS[:5])
        with closing(Catalogue(project.path)) as catalogue:
            free = catalogue.ids(ItemState.FREE)
            by_part = {part: catalogue.ids(ItemState.FREE, part) for part in ItemPart}
            assert catalogue.ids(ItemState.LABELLED, ItemPart.HELD_OUT) == IDS[:5]
        assert len(free) == project.status().states["free"] == 19
        assert by_part[ItemPart.POOL] == project.candidates().ids
        assert set(by_part[ItemPart.AUDIT]) == set(reserved) - set(IDS[:5])
        assert sorted(by_part[ItemPart.POOL] + by_part[ItemPart.AUDIT]) == list(free)
