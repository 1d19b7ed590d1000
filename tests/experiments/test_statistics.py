from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from asktell.errors import DataError
from asktell.experiments import statistics

from .results import cell, curve

SEEDS = np.random.default_rng(3)
OURS, THEIRS = SEEDS.uniform(0.5, 0.9, (6, 4)), SEEDS.uniform(0.5, 0.9, (6, 4))


def test_with_few_seeds_the_range_stands(tmp_path: Path) -> None:
    cells = curve(tmp_path, "random", [[0.5, 0.8], [0.7, 0.9]]).cells
    by_size = statistics.accuracy_by_size(cells)
    assert list(by_size) == [20, 30]
    e = by_size[20]
    assert [e.mean, e.low, e.high] == pytest.approx([0.6, 0.5, 0.7])
    assert (e.seeds, e.is_interval) == (2, False)


def test_one_seed_is_its_own_range() -> None:
    assert statistics.estimate([0.7]) == statistics.Estimate(0.7, 0.7, 0.7, 1)
    with pytest.raises(DataError, match="at least one seed"):
        statistics.estimate([])


def test_from_five_seeds_on_the_interval_is_scipys(tmp_path: Path) -> None:
    by_size = statistics.accuracy_by_size(curve(tmp_path, "bald", OURS.tolist()).cells)
    for column, e in enumerate(by_size.values()):
        low, high = stats.t.interval(0.95, 5, OURS[:, column].mean(), stats.sem(OURS[:, column]))
        assert e.is_interval
        assert [e.low, e.high] == pytest.approx([low, high])
    assert not statistics.estimate([0.1] * 4).is_interval
    assert statistics.estimate([0.1] * 5) == statistics.Estimate(0.1, 0.1, 0.1, 5)


def test_the_paired_interval_is_scipys(tmp_path: Path) -> None:
    ours, theirs = curve(tmp_path, "bald", OURS.tolist()), curve(tmp_path, "random", THEIRS.tolist())
    by_size = statistics.difference_by_size(ours.cells[::-1], theirs.cells)
    for column, e in enumerate(by_size.values()):
        expected = stats.ttest_rel(OURS[:, column], THEIRS[:, column]).confidence_interval(0.95)
        assert [e.low, e.high] == pytest.approx([expected.low, expected.high])


def test_only_common_seeds_and_sizes_are_paired(tmp_path: Path) -> None:
    ours = [cell(tmp_path, [0.6, 0.9], strategy="bald", seed=seed) for seed in (1, 2)]
    theirs = [cell(tmp_path, [0.5], seed=seed) for seed in (0, 1)]
    assert list(statistics.difference_by_size(ours, theirs)) == [20]
    assert statistics.difference_by_size(ours, theirs)[20].seeds == 1
    assert statistics.difference_by_size(ours, []) == {}


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([0.95, 0.96, 0.97], 20),  # at the first point
        ([0.5, 0.9, 0.95], 30),  # exactly the target
        ([0.5, 0.91, 0.85, 0.92], 30),  # dips afterwards: the first crossing stands
        ([0.5, 0.6, 0.899999], None),
    ],
)
def test_the_first_crossing(tmp_path: Path, accuracies: list[float], expected: int | None) -> None:
    assert statistics.labels_to(cell(tmp_path, accuracies), 90) == expected


def test_seeds_that_never_arrive_are_shown(tmp_path: Path) -> None:
    cells = curve(tmp_path, "bald", [[0.5, 0.9, 0.9], [0.5, 0.5, 0.9], [0.5, 0.5, 0.5]]).cells
    some, none = statistics.crossing(cells, 90), statistics.crossing(cells, 95)
    every = statistics.crossing(cells[:2], 90)
    assert some.by_seed == {0: 30, 1: 40, 2: None}
    assert some.mean is None
    assert str(some) == "30 to 40; not reached in 1 of 3 seeds"
    assert str(none) == "not reached in 3 of 3 seeds"
    assert (str(every), every.mean) == ("35 (30 to 40)", 35)
    assert str(statistics.crossing(cells[:1], 90)) == "30"


def test_labels_saved_are_paired_by_seed(tmp_path: Path) -> None:
    ours = curve(tmp_path, "bald", [[0.9, 0.9, 0.9], [0.5, 0.9, 0.9], [0.5, 0.9, 0.9]]).cells
    theirs = curve(tmp_path, "random", [[0.5, 0.5, 0.9], [0.9, 0.9, 0.9], [0.5, 0.5, 0.5]]).cells
    assert statistics.labels_saved(ours, theirs, 90) == {0: 20, 1: -10, 2: None}
    assert statistics.labels_saved(ours, theirs[:1], 90) == {0: 20}


def test_the_area_by_hand(tmp_path: Path) -> None:
    assert statistics.area(cell(tmp_path, [0.4, 0.6, 1.0])) == pytest.approx((0.5 + 0.8) / 2)
    assert statistics.area(cell(tmp_path, [0.4, 0.6, 1.0]), until=30) == pytest.approx(0.5)
    assert statistics.area(cell(tmp_path, [0.7])) == 0.7
    with pytest.raises(DataError, match="10 labels or fewer"):
        statistics.area(cell(tmp_path, [0.7]), until=10)


def test_the_area_equals_numpys(tmp_path: Path) -> None:
    values = OURS[0]
    assert statistics.area(cell(tmp_path, values.tolist(), batch=7)) == pytest.approx(np.trapezoid(values, dx=7) / 21)
    assert all(a <= b for a, b in pairwise(statistics.area(cell(tmp_path, [y] * 3)) for y in (0.1, 0.5, 0.9)))


def test_fill_saturation_and_seconds(tmp_path: Path) -> None:
    cells = [
        cell(tmp_path, [0.5, 0.6, 0.7], strategy="batchbald", seed=0, fill_share=0.5, saturated_at=5),
        cell(tmp_path, [0.5, 0.6, 0.7], strategy="batchbald", seed=1),
    ]
    assert statistics.fill_share(cells) == 0.25
    assert statistics.saturated_share(cells) == 0.5
    assert statistics.seconds_by_phase(cells) == {"fit": 6.0, "select": 1.5}
    assert statistics.fill_share([cell(tmp_path, [0.5])]) == 0
    assert statistics.saturated_share([cell(tmp_path, [0.5])]) == 0
