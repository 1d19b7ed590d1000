"""The report: what it says is what the project holds, and nothing in it runs or is fetched."""

import re
from collections.abc import Callable, Sequence
from html import unescape
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.accuracy import wilson
from asktell.errors import ProjectError
from asktell.project import Project
from asktell.types import SKIP, Audit, Query, Training
from asktell.web.accuracies import Accuracy, Point, points, why_unmeasured
from asktell.web.plotting import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, plot, whole_ticks
from asktell.web.report import headline, if_skipped_are_wrong, write_report

from .conftest import KEPT

Make = Callable[..., Path]
BALD: dict[str, object] = {"name": "bald", "parameters": {}, "inner": None}
AUDIT: dict[str, object] = {"name": "audit", "parameters": {}, "inner": None}
ADVICE = {
    "stop": True,
    "sentence": "You can stop: it has learnt enough.",
    "criteria": [{"name": "kappa", "value": 0.995, "threshold": 0.99, "met": True, "sentence": "It agrees."}],
}


def accuracy(correct: int, n: int) -> Accuracy:
    return Accuracy(correct, n, *wilson(correct, n))


def training(number: int, n: int, **report: object) -> Training:
    return Training(number, f"model-{number}", n, "2026-03-01T08:30:00+00:00", 1.5, report)


def text_of(page: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(style|svg).*?</\1>", " ", page.partition("<body>")[2], flags=re.DOTALL)
    plain = unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NARROW NO-BREAK SPACE}", " ")
    return " ".join(plain.split())


@pytest.fixture
def told(make: Make) -> Path:
    """A project with everything in it."""
    folder = make("told", n=40, audit=0.3, budget=30)
    with Project.open(folder) as project:
        reserved, ids = project.next_audit(4), project.candidates().ids
        project.tell(ids[20:22], ["hawk", "hawk"], "imported")
        project.hold_out(ids[20:22])
        project.record(Query(0, ids[:5], (0.0,) * 5, BALD, 7, model="model-0"))
        project.tell(ids[:4], ["owl", "owl", "wren", SKIP], "ann")
        project.record(Query(1, reserved, (0.0,) * 4, AUDIT, 7))
        project.tell(reserved[:3], ["owl", "owl", SKIP], "bob")
        project.tell(ids[:1], ["wren"], "bob")
        project.take_back("bob")
        project.flag(ids[0], "ann")
        project.record_training(training(0, 3, reason="3 new answers", held_out={"n": 2, "correct": 1}))
        project.record_training(training(1, 4, audit={"n": 2, "correct": 2}, advice=ADVICE))
        project.record_training(
            Training(2, None, 5, "2026-03-01T08:40:00+00:00", 0.5, {}, "RuntimeError: no <b>coffee</b>")
        )
        project.set("token", "a hash of a token")
        project.set("made_by", {"command": "asktell new told --table '<b>.csv'", "asktell": "0.0.9"})
    return folder


def report(folder: Path, command: str = "asktell report told") -> str:
    path = folder / "report.html"
    write_report(folder, path, command=command)
    return path.read_text(encoding="utf-8")


def test_the_report_says_what_the_project_holds(told: Path) -> None:
    said = text_of(report(told))
    for words in (
        "The model that learnt 4 labels has 100.0 % of 2 audited items right (95 % interval: 34.2 % to 100.0 %).",
        "items, 2 of them held out 40",
        "labels that were asked for, of 30 5",
        "items skipped 2",
        "items flagged 1",
        "30 % of the items were reserved",
        "Of these 2 are answered, 1 skipped,",
        "has 2 of 2 right: 100.0 % , by Wilson’s 95 % interval 34.2 % to 100.0 %.",
        "The 1 skipped are not among them: if the model had all of those wrong, it would be 66.7 % (20.8 % to 93.9 %).",
        "owl 4 wren 1 hawk 0",  # of ann three, of bob two; without those that are held out
        "imported 2 0 0",
        "ann 3 1 0",
        "bob 2 1 1",
        "bald 5 3 1 1 0 1 1",
        "audit 4 2 1 1 0 1 0",
        "You can stop: it has learnt enough.",
        "4 stop 0.995 ✓",
        "3 – 50.0 % 9.5 % to 90.5 %, n = 2 1.5 3 new answers",
        "5 RuntimeError: no <b>coffee</b> 0.5",
        "asktell new told --table '<b>.csv'",
        "made with asktell 0.0.9",
        "asktell report told",
        "seed 7",
    ):
        assert words in said, f"{words}\n{said}"


def test_it_holds_no_secret_and_runs_and_fetches_nothing(told: Path) -> None:
    page = report(told)
    assert KEPT not in page
    assert "a hash of a token" not in page
    assert "<script" not in page
    assert "<b>" not in page
    assert not re.search(r"""(src|href|action)\s*=|url\(|@import""", page)


def test_a_project_without_anything_has_a_report_too(make: Make) -> None:
    said = text_of(report(make()))
    for words in ("There is no accuracy to report. Nothing measures it", "Nothing was measured yet.",
                  "keeps no items aside", "Nobody has answered yet.", "Nothing was asked yet.",
                  "Advice comes with the first trainings."):  # fmt: skip
        assert words in said


def test_where_it_cannot_be_it_is_said(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"no/where\.html cannot be written"):
        write_report(make(), tmp_path / "no" / "where.html", command="")
    with pytest.raises(ProjectError, match="is not a project"):
        write_report(tmp_path / "nothing", tmp_path / "report.html", command="")


# What it is made of ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trainings", "audit", "held_out", "reason"),
    [
        ([], Audit(0.0, 0, 0, 0, 0, {}), 0, "Nothing measures it"),
        ([], Audit(0.1, 5, 0, 0, 0, {}), 0, "with the first training"),
        ([training(0, 9)], Audit(0.1, 5, 0, 0, 0, {}), 0, "with the first answer of the audit"),
        ([training(0, 9)], Audit(0.1, 5, 0, 0, 0, {}), 40, "as soon as the model has predicted"),
        ([training(0, 9)], Audit(0.1, 5, 0, 0, 0, {"a": "owl"}), 0, "as soon as the model has predicted"),
    ],
)
def test_why_there_is_no_accuracy(trainings: Sequence[Training], audit: Audit, held_out: int, reason: str) -> None:
    assert reason in why_unmeasured(trainings, audit, held_out)
    assert reason in headline(trainings, audit, held_out)


def test_the_audit_comes_before_the_held_out_items_and_the_newest_first() -> None:
    both = training(0, 10, audit={"n": 4, "correct": 1}, held_out={"n": 50, "correct": 40})
    later = training(1, 20, held_out={"n": 50, "correct": 45})
    nobody = Audit(0.1, 0, 0, 0, 0, {})
    assert headline([both, later], nobody, 50).startswith("The model that learnt 10 labels has 25.0")
    assert headline([later], nobody, 50).startswith("The model that learnt 20 labels has 90.0")


def test_the_curve_has_one_point_for_each_number_of_labels() -> None:
    told = [
        training(0, 20, audit={"n": 4, "correct": 1}),
        training(1, 10),
        training(2, 20, audit={"n": 4, "correct": 3}),
    ]
    assert points(told) == (Point(20, None, accuracy(3, 4)),)


def test_skipped_items_can_only_lower_the_audit() -> None:
    assert if_skipped_are_wrong(None, Audit(0.1, 0, 0, 3, 0, {})) is None
    assert if_skipped_are_wrong(accuracy(9, 10), Audit(0.1, 0, 0, 0, 0, {})) is None
    assert if_skipped_are_wrong(accuracy(9, 10), Audit(0.1, 0, 0, 5, 0, {})) == accuracy(9, 15)


measured = st.integers(1, 500).flatmap(lambda n: st.builds(accuracy, st.integers(0, n), st.just(n)))
curves = st.dictionaries(st.integers(0, 100_000), st.tuples(st.none() | measured, measured), min_size=1, max_size=12)


@given(curves)
def test_the_drawing_stays_in_its_frame_and_in_order(found: dict[int, tuple[Accuracy | None, Accuracy]]) -> None:
    drawn = plot([Point(n, *found[n]) for n in sorted(found)])
    audit = drawn.lines[-1]
    assert (audit.kind, len(audit.dots)) == ("audit", len(found))
    for line in drawn.lines:
        assert all(LEFT <= dot.x <= WIDTH - RIGHT for dot in line.dots)
        assert all(TOP <= dot.high <= dot.y <= dot.low <= HEIGHT - BOTTOM for dot in line.dots)
        assert [dot.x for dot in line.dots] == sorted(dot.x for dot in line.dots)
        assert line.band.count("L") == 2 * len(line.dots) - 1
        assert line.path.count("L") == len(line.dots) - 1
    for ticks, low, high in ((drawn.across, LEFT, WIDTH - RIGHT), (drawn.up, TOP, HEIGHT - BOTTOM)):
        assert 2 <= len(ticks) <= 8
        assert all(low - 0.01 <= tick.at <= high + 0.01 for tick in ticks)


def test_a_place_in_the_drawing() -> None:
    drawn = plot([Point(0, None, Accuracy(1, 2, 0.25, 0.75)), Point(10, None, Accuracy(3, 4, 0.5, 0.95))])
    (line,) = drawn.lines
    assert [dot.x for dot in line.dots] == [LEFT, WIDTH - RIGHT]
    assert [tick.label for tick in drawn.up] == ["20", "40", "60", "80", "100"]
    middle = line.dots[0].y  # 50 % between the lowest, 20 %, and the highest, 100 %
    assert middle == pytest.approx(TOP + (1 - 0.5) / (1 - 0.2) * (HEIGHT - TOP - BOTTOM), abs=0.01)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_ticks_are_round_and_few(low: int, width: int) -> None:
    ticks = whole_ticks(low, low + width)
    assert all(low <= tick <= low + width for tick in ticks)
    assert 1 <= len(ticks) <= 8
    steps = {after - before for before, after in pairwise(ticks)}
    assert len(steps) <= 1
    assert all(str(step).rstrip("0") in ("1", "2", "5") for step in steps)
