"""All strategies against all others: the definition, intervals that hold what they say, and the report's page."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from asktell.experiments.comparison import Comparison, compare, difference
from asktell.experiments.curves import read
from asktell.experiments.protocols import PROTOCOLS
from asktell.experiments.report import write_report
from asktell.strategies import recipes

from .results import rows, write


def compared(folder: Path) -> Comparison | None:
    return compare(read(folder))


def run(folder: Path, protocol: str, strategy: str, *curves: list[float]) -> None:
    """A cell per curve, seeds from 0."""
    for seed, accuracies in enumerate(curves):
        write(folder, rows(accuracies, protocol=protocol, strategy=strategy, seed=seed))


def two_sets(folder: Path) -> None:
    run(folder, "a", "random", [0.5, 0.5], [0.6, 0.6])
    run(folder, "a", "bald", [0.7, 0.7], [0.8, 0.8])
    run(folder, "b", "random", [0.1, 0.3], [0.3, 0.5])
    run(folder, "b", "bald", [0.1, 0.3], [0.3, 0.5])


def test_the_difference_is_the_mean_of_the_sets_means(tmp_path: Path) -> None:
    two_sets(tmp_path)
    found = compared(tmp_path)
    assert found is not None
    assert found.strategies == ("bald", "random")
    assert found.areas["random", "b"].mean == pytest.approx(0.3)
    assert found.differences["bald", "random"].mean == pytest.approx(0.1)  # (0.2 + 0) / 2
    assert found.differences["random", "bald"].mean == pytest.approx(-0.1)
    assert found.differences["bald", "random"].sets == 1
    assert (found.wins("bald"), found.losses("bald")) == (1, 0)
    assert (found.wins("random"), found.losses("random")) == (0, 1)


def test_with_one_set_the_interval_is_that_of_the_paired_t_test() -> None:
    ours, theirs = {0: 0.5, 1: 0.8, 2: 0.6}, {0: 0.4, 1: 0.75, 2: 0.65}
    found = difference({"a": ours}, {"a": theirs})
    test = stats.ttest_rel(list(ours.values()), list(theirs.values())).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((test.low, test.high))


def test_with_several_sets_the_interval_is_that_of_the_stratified_mean() -> None:
    gaps = {"a": [0.1, 0.3, 0.2], "b": [0.0, 0.1]}
    ours = {name: dict(enumerate(values)) for name, values in gaps.items()}
    theirs = {name: dict.fromkeys(range(len(values)), 0.0) for name, values in gaps.items()}
    noise = [np.var(values, ddof=1) / len(values) for values in gaps.values()]
    freedom = sum(noise) ** 2 / (noise[0] ** 2 / 2 + noise[1] ** 2 / 1)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sum(noise)) / 2
    found = difference(ours, theirs)
    assert found.mean == pytest.approx(0.125)
    assert (found.low, found.high) == pytest.approx((0.125 - half, 0.125 + half))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    drawn, held, tries = np.random.default_rng(0), 0, 2_000
    for _ in range(tries):
        gaps = {"a": drawn.normal(0.1, 0.05, 5), "b": drawn.normal(-0.1, 0.2, 3), "c": drawn.normal(0.3, 0.1, 3)}
        ours = {name: dict(enumerate(values.tolist())) for name, values in gaps.items()}
        theirs = {name: dict.fromkeys(range(len(values)), 0.0) for name, values in gaps.items()}
        found = difference(ours, theirs)
        held += found.low <= 0.1 <= found.high
    assert 0.93 <= held / tries <= 0.98


def test_only_what_finished_everywhere_is_compared(tmp_path: Path) -> None:
    two_sets(tmp_path)
    run(tmp_path, "a", "margin", [0.9, 0.9], [0.9, 0.9])  # not in b
    run(tmp_path, "a", "egl", [0.9, 0.9], [0.9, 0.9])
    run(tmp_path, "b", "egl", [0.9, 0.9])  # one seed is missing
    found = compared(tmp_path)
    assert found is not None
    assert found.strategies == ("bald", "random")


def test_all_strategies_are_compared_and_nothing_differs_but_the_data() -> None:
    sets = [one for name, one in PROTOCOLS.items() if name.startswith("comparison-")]
    assert len(sets) == 4
    for one in sets:
        assert sorted(one.strategies) == sorted(recipe.name for recipe in recipes())
        assert (one.batch, one.rounds, one.draws, one.training) == (20, 8, 50, sets[0].training)


def test_one_set_or_one_strategy_is_no_comparison(tmp_path: Path) -> None:
    run(tmp_path / "one set", "a", "random", [0.5], [0.5])
    run(tmp_path / "one set", "a", "bald", [0.5], [0.5])
    for protocol in "ab":
        run(tmp_path / "one strategy", protocol, "random", [0.5], [0.5])
        for strategy in ("random", "bald"):
            run(tmp_path / "one seed", protocol, strategy, [0.5])
    for name in ("one set", "one strategy", "one seed"):
        assert compared(tmp_path / name) is None


def test_the_report_holds_the_table_and_the_matrix(tmp_path: Path) -> None:
    two_sets(tmp_path)
    report = write_report(tmp_path, command="asktell experiment report")
    page = report.page.read_text(encoding="utf-8")
    assert "Every strategy against every other" in page
    assert "+10.0 [+10.0, +10.0]" in page
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads(report.summary.read_text())["comparison"]["strategies"]["bald"]
    assert (found["wins"], found["losses"]) == (1, 0)
    assert found["against"]["random"] == pytest.approx([0.1, 0.1, 0.1])


def test_a_panel_shows_no_more_curves_than_can_be_told_apart(tmp_path: Path) -> None:
    for number in range(15):
        run(tmp_path, "a", "random" if number == 0 else f"s{number:02}", [0.1 + 0.01 * number, 0.2])
    page = write_report(tmp_path, command="asktell experiment report").page.read_text(encoding="utf-8")
    assert "the tables have the 4 others too" in page
