"""Which question comes next."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.errors import ConflictError
from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.types import SKIP, Query
from asktell.web.asking import AUDIT_EVERY, STOCK, Asking, End, arrange, audits_due, is_audit_due

Make = Callable[..., Path]
BALD: dict[str, object] = {"name": "bald", "parameters": {}, "inner": None}


@contextmanager
def asking(folder: Path) -> Iterator[tuple[Project, Asking]]:
    with Project.open(folder) as project:
        catalogue = Catalogue(project.path)
        yield project, Asking(project, catalogue)
        catalogue.close()


# The rules -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(0, 30))
def test_one_in_ten_is_of_the_audit(closed: int, n: int) -> None:
    due = [place for place in range(closed, closed + n) if is_audit_due(place)]
    assert audits_due(closed, n) == len(due)
    assert all(place % AUDIT_EVERY == 9 for place in due)


@given(st.integers(0, 100), st.integers(0, 30), st.integers(0, 6), st.integers(0, 25))
def test_arranging_keeps_the_order_and_repeats_nothing(closed: int, ordinary: int, audit: int, n: int) -> None:
    usual, reserved = [f"o{k}" for k in range(ordinary)], [f"a{k}" for k in range(audit)]
    arranged = arrange(closed, usual, reserved, n, are_all=True)
    assert len(arranged) == min(n, ordinary + audit)
    assert [one for one in arranged if one[0] == "o"] == usual[: sum(one[0] == "o" for one in arranged)]
    assert [one for one in arranged if one[0] == "a"] == reserved[: sum(one[0] == "a" for one in arranged)]


@given(st.integers(0, 100), st.integers(1, 25))
def test_with_enough_of_both_every_tenth_is_of_the_audit_and_no_other(closed: int, n: int) -> None:
    arranged = arrange(closed, ["o"] * n, ["a"] * n, n)
    assert [one == "a" for one in arranged] == [is_audit_due(closed + place) for place in range(n)]


@given(st.integers(0, 1000), st.integers(0, 30), st.integers(0, 6), st.integers(0, 25))
def test_none_of_the_audit_comes_before_its_turn(closed: int, ordinary: int, audit: int, n: int) -> None:
    arranged = arrange(closed, ["o"] * ordinary, ["a"] * audit, n)
    assert all(is_audit_due(closed + place) for place, one in enumerate(arranged) if one == "a")


@given(st.integers(0, 100), st.integers(1, 12), st.integers(1, 12))
def test_looking_further_ahead_does_not_change_what_comes_first(closed: int, few: int, many: int) -> None:
    ordinary, audit = [f"o{k}" for k in range(40)], [f"a{k}" for k in range(5)]
    near, far = sorted((few, many))
    assert arrange(closed, ordinary, audit, far)[:near] == arrange(closed, ordinary, audit, near)


@given(st.integers(0, 100))
def test_answering_the_first_brings_the_rest_forward(closed: int) -> None:
    ordinary, audit = [f"o{k}" for k in range(30)], [f"a{k}" for k in range(5)]
    now = arrange(closed, ordinary, audit, 12)
    left = [one for one in ordinary if one != now[0]], [one for one in audit if one != now[0]]
    assert arrange(closed + 1, *left, 11) == now[1:]


# A project -------------------------------------------------------------------------------------------------------


def test_of_forty_questions_each_tenth_is_the_next_reserved_item(make: Make) -> None:
    with asking(make(n=100, audit=0.2)) as (project, served):
        reserved = list(project.next_audit(100))
        asked = []
        for _ in range(40):
            (question, *_rest) = served.upcoming(6).questions
            asked.append(question)
            project.tell([question.item], ["owl"], "ann")
        places = [place for place, question in enumerate(asked) if question.audit]
    assert places == [9, 19, 29, 39]
    assert [asked[place].item for place in places] == reserved[:4]
    assert len({question.item for question in asked}) == 40


def test_what_is_shown_ahead_is_what_comes(make: Make) -> None:
    with asking(make(n=60, audit=0.2)) as (project, served):
        ids = project.candidates().ids[:20]
        project.record(Query(0, ids, (0.0,) * 20, BALD, 1))
        expected = [question.item for question in served.upcoming(12).questions]
        came = []
        for _ in range(12):
            item = served.upcoming(1).questions[0].item
            came.append(item)
            project.tell([item], ["owl"], "ann")
    assert came == expected


def test_without_reserved_items_left_the_page_is_told_and_an_ordinary_question_comes(make: Make) -> None:
    with asking(make(n=40, audit=0.04)) as (project, served):
        reserved = project.next_audit(100)
        project.fold_in(reserved)
        for _ in range(9):
            project.tell([served.upcoming(1).questions[0].item], ["owl"], "ann")
        upcoming = served.upcoming(1)
    assert (upcoming.audit_used_up, upcoming.questions[0].audit) == (True, False)


def test_a_project_without_an_audit_is_not_told_that_it_is_used_up(make: Make) -> None:
    with asking(make(n=40)) as (project, served):
        for _ in range(9):
            project.tell([served.upcoming(1).questions[0].item], ["owl"], "ann")
        assert not served.upcoming(2).audit_used_up


def test_open_questions_of_the_strategy_come_first_and_in_order(make: Make) -> None:
    with asking(make()) as (project, served):
        project.record(Query(0, ("t-09", "t-04"), (2.0, 1.0), BALD, 1))
        assert [question.item for question in served.upcoming(2).questions] == ["t-09", "t-04"]


def test_the_server_asks_only_where_stock_is_low(make: Make) -> None:
    with asking(make()) as (project, served):
        project.record(Query(0, ("t-09", "t-04", "t-05"), (3.0, 2.0, 1.0), BALD, 1))
        served.upcoming(6)
        assert len(project.questions()) == 3
        project.tell(["t-09", "t-04"], ["owl", "owl"], "ann")
        questions = served.upcoming(6).questions
    assert len(questions) == STOCK
    assert [question.strategy["name"] for question in questions] == ["bald", "random", "random"]


def test_asking_at_random_is_seeded_and_recorded_with_its_probability(make: Make) -> None:
    picked = []
    for name in ("one", "other"):
        with asking(make(name)) as (_project, served):
            picked.append(served.upcoming(6).questions)
    assert [question.item for question in picked[0]] == [question.item for question in picked[1]]
    assert [question.probability for question in picked[0]] == pytest.approx([1 / 30, 1 / 29, 1 / 28])


def test_asking_at_random_is_uniform_over_what_is_free(make: Make) -> None:
    folder = make(n=8, audit=0.3)
    with asking(folder) as (project, _served):
        project.hold_out(project.candidates().ids[:1])
        project.tell(project.candidates().ids[:1], ["owl"], "ann")
        free = project.candidates().ids
        catalogue = Catalogue(project.path)
        n = 800
        counted = Counter(picked[0] for picked in (catalogue.any_free(Random(seed)) for seed in range(n)) if picked)
        catalogue.close()
    assert set(counted) == set(free)
    expected = n / len(free)
    assert sum((count - expected) ** 2 / expected for count in counted.values()) < 25  # chi-square, 0.1 % at most


def test_the_last_free_item_of_many_is_found(make: Make) -> None:
    with asking(make(n=3000)) as (project, _served):
        ids = project.candidates().ids
        project.tell(ids[:-1], ["owl"] * (len(ids) - 1), "ann")
        catalogue = Catalogue(project.path)
        assert catalogue.any_free(Random(1)) == (ids[-1], 1.0)
        project.tell(ids[-1:], ["owl"], "ann")
        assert catalogue.any_free(Random(1)) is None
        catalogue.close()


def test_what_the_worker_asks_meanwhile_is_no_trouble(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with asking(make()) as (_project, served):
        record, overtaken = Project.record, iter([True, True])

        def slow(self: Project, query: Query) -> Query:
            if next(overtaken, False):
                raise ConflictError(query.number + 1, query.ids)
            return record(self, query)

        monkeypatch.setattr(Project, "record", slow)
        assert len(served.upcoming(2).questions) == 2


@pytest.mark.parametrize(
    ("answers", "end"), [((["owl"] * 3), End.DONE), (["owl", SKIP, "owl"], End.SKIPPED)], ids=["labelled", "skipped"]
)
def test_the_end_says_why(make: Make, answers: list[object], end: End) -> None:
    with asking(make(n=3)) as (project, served):
        for answer in answers:
            project.tell([served.upcoming(2).questions[0].item], [answer], "ann")  # type: ignore[list-item]
        assert (served.upcoming(2).questions, served.upcoming(2).end) == ((), end)


def test_a_spent_budget_is_an_end_and_undoing_begins_again(make: Make) -> None:
    with asking(make(n=9, budget=2)) as (project, served):
        for _ in range(2):
            project.tell([served.upcoming(6).questions[0].item], ["owl"], "ann")
        assert served.upcoming(6).end is End.BUDGET
        item = project.take_back("ann")
        assert [question.item for question in served.upcoming(6).questions] == [item]


def test_a_project_that_has_stopped_serves_what_is_open_and_asks_no_more(make: Make) -> None:
    with asking(make()) as (project, served):
        item = served.upcoming(1).questions[0].item
        assert [question.item for question in served.upcoming(6, stopped=True).questions] == [item]
        project.tell([item], ["owl"], "ann")
        assert served.upcoming(6, stopped=True).end is End.STOPPED


def test_audit_questions_that_were_asked_come_when_nothing_else_is_left(make: Make) -> None:
    with asking(make(n=12, audit=0.4)) as (project, served):
        project.fold_in(project.next_audit(100)[1:])
        (reserved,) = project.next_audit(1)
        project.record(Query(0, (reserved,), (0.0,), {**BALD, "name": "audit"}, 1))
        ids = project.candidates().ids
        project.tell(ids, ["owl"] * len(ids), "import")
        assert [question.item for question in served.upcoming(6).questions] == [reserved]


@pytest.mark.parametrize("ahead", [1, 3, 6, 20])
def test_who_answers_from_what_was_shown_ahead_gets_one_in_ten_of_the_audit_too(make: Make, ahead: int) -> None:
    with asking(make(n=150, audit=0.3)) as (project, served):
        was_audit: list[bool] = []
        while len(was_audit) < 60:
            for question in served.upcoming(ahead).questions[:2]:  # two at once, before anything new is heard
                project.tell([question.item], ["owl"], "ann")
                was_audit.append(question.audit)
    assert [place for place, audit in enumerate(was_audit[:60]) if audit] == [9, 19, 29, 39, 49, 59]
