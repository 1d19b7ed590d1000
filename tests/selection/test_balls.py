"""ProbCover: the plain greedy cover, what follows it, and the radius within which balls are pure."""

import itertools
import math
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.selection import probcover, purity_radius
from asktell.selection.balls import Covered
from asktell.selection.clusters import clustered, distinct_rows


def normal(n: int, d: int, *seed: int) -> Tensor:
    return torch.randn(n, d, generator=derive(0, "balls", *seed), dtype=torch.float64)


def distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def newly_covered(x: Tensor, picks: list[int], centres: Tensor, delta: float) -> list[dict[int, int]]:
    """Before each pick, how many rows every row would newly cover."""
    near = distances(x, x) < delta
    covered = (distances(x, centres) < delta).any(1)
    found = []
    for pick in picks:
        found.append({i: int((near[i] & ~covered).sum()) for i in range(len(x))})
        covered = covered | near[pick]
    return found


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 25),
    delta=st.floats(0.05, 3),
    count=st.integers(0, 3),
    few=st.sampled_from([1, 64]),
)
def test_every_pick_covers_most(seed: int, n: int, delta: float, count: int, few: int) -> None:
    x, centres = normal(n, 2, seed), normal(count, 2, seed, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asktell.selection.facility._FEW", few)
        found = probcover(x, n, delta=delta, given=centres, covered="random", generator=derive(seed))
    picks, scores = found.indices.tolist(), found.scores.tolist()
    assert sorted(picks) == list(range(n))
    assert scores == sorted(scores, reverse=True)
    for pick, score, gains in zip(picks, scores, newly_covered(x, picks, centres, delta), strict=True):
        assert gains[pick] == score == max(gains.values())
    covering = sum(score > 0 for score in scores)
    assert found.report.filled_from == (covering if covering < n else None)
    assert found.report.radius == delta


@pytest.mark.parametrize("seed", range(5))
def test_no_batch_covers_much_more(seed: int) -> None:
    x, near = normal(12, 2, seed), distances(normal(12, 2, seed), normal(12, 2, seed)) < 0.9
    best = max(int(near[list(some)].any(0).sum()) for some in itertools.combinations(range(12), 3))
    found = probcover(x, 3, delta=0.9, generator=derive(seed))
    assert found.scores.sum() >= (1 - 1 / math.e) * best


def test_balls_are_open() -> None:
    line = torch.tensor([[0.0], [1.0], [2.0]])
    assert probcover(line, 1, delta=1.0, generator=derive(0)).scores.tolist() == [1.0]
    assert probcover(line, 1, delta=1.0 + 1e-9, generator=derive(0)).scores.tolist() == [3.0]


def test_once_all_is_covered_the_radius_is_halved_until_something_is_not() -> None:
    line = torch.tensor([[0.0], [1.0], [10.0], [10.3], [20.0]])
    found = probcover(line, 5, delta=4.0, generator=derive(0))  # 4, 2 cover all from three picks; 1 leaves one out
    assert found.report.filled_from == 3
    assert set(found.indices[:3].tolist()) & {0, 1}
    assert found.scores.tolist() == [2.0, 2.0, 1.0, 1.0, 1.0]
    assert set(found.indices[3:4].tolist()) <= {0, 1}
    assert set(found.indices[4:].tolist()) <= {2, 3}
    picks = found.indices[:3].tolist()
    again = newly_covered(line.double(), found.indices[3:4].tolist(), line.double()[picks], 1.0)
    assert again[0][int(found.indices[3])] == 1
    given_all = probcover(line, 2, delta=1e6, given=line[:1], generator=derive(0))
    assert given_all.report.filled_from == 0
    assert int(given_all.indices[0]) in {2, 3, 4}


def test_copies_of_centres_come_last_and_at_random() -> None:
    x = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [5.0, 5.0]])
    for covered in get_args(Covered):
        found = probcover(x, 5, delta=1.0, covered=covered, generator=derive(0))
        assert found.scores.tolist() == [4.0, 1.0, 0.0, 0.0, 0.0]
        assert found.report.filled_from == 2
    firsts = Counter(int(probcover(x, 1, delta=1.0, generator=derive(seed)).indices[0]) for seed in range(400))
    assert chisquare([firsts[row] for row in range(4)]).pvalue > 1e-4


def test_ties_go_to_the_generator_and_not_to_places() -> None:
    x = 10 * normal(8, 3)
    firsts = Counter(int(probcover(x, 1, delta=0.1, generator=derive(seed)).indices[0]) for seed in range(800))
    assert chisquare([firsts[row] for row in range(8)]).pvalue > 1e-4
    whole = torch.arange(8.0)[:, None] * 10  # whole numbers, whose bits are mostly zeros
    seen = Counter(int(probcover(whole, 1, delta=0.1, generator=derive(seed)).indices[0]) for seed in range(800))
    assert chisquare([seen[row] for row in range(8)]).pvalue > 1e-4
    for seed in range(5):
        order = torch.randperm(8, generator=derive(seed, "order"))
        one, other = (probcover(y, 4, delta=0.1, generator=derive(seed)) for y in (x, x[order]))
        assert order[other.indices].tolist() == one.indices.tolist()


@pytest.mark.parametrize("covered", ["shrink", "random"])
def test_neither_files_nor_memory_change_anything(covered: Covered, tmp_path: Path) -> None:
    x = normal(2_500, 4).float()
    np.save(tmp_path / "x.npy", x.numpy())
    whole = probcover(x, 30, delta=3.0, given=x[:5], covered=covered, generator=derive(1))
    assert whole.report.filled_from is not None
    for memory in (300_000, 10**8):
        rows = file_rows(tmp_path / "x.npy")
        found = probcover(rows, 30, delta=3.0, given=x[:5], covered=covered, memory=memory, generator=derive(1))
        assert found.indices.tolist() == whole.indices.tolist()
        assert found.scores.tolist() == whole.scores.tolist()
        assert found.report == whole.report
    with pytest.raises(EvidenceError, match="smallest budget"):
        probcover(x, 30, delta=3.0, memory=10_000, generator=derive(1))


@pytest.mark.usefixtures("without_shape_checks")
def test_what_cannot_be_picked_is_refused() -> None:
    x = normal(5, 2)
    assert len(probcover(x, 0, delta=1.0, generator=derive(0))) == 0
    for b in (-1, 6):
        with pytest.raises(SelectionError, match="cannot pick"):
            probcover(x, b, delta=1.0, generator=derive(0))
    for delta in (0.0, -1.0, math.nan):
        with pytest.raises(SelectionError, match="a radius above 0"):
            probcover(x, 1, delta=delta, generator=derive(0))
    with pytest.raises(SelectionError, match="covered is one of shrink, random, not 'stop'"):
        probcover(x, 1, delta=1.0, covered="stop", generator=derive(0))  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_no_number_is_named(bad: float) -> None:
    x = normal(2_000, 3)
    x[1_500, 2] = bad
    with pytest.raises(RowError, match="features, row 1500: holds NaN"):
        probcover(x, 3, delta=1.0, generator=derive(0))
    with pytest.raises(RowError, match="given, row 1500: holds NaN"):
        probcover(x[:9], 3, delta=1.0, given=x, generator=derive(0))
    with pytest.raises(RowError, match="features, row 1500: holds NaN"):
        purity_radius(x, 3, generator=derive(0))


# purity_radius ---------------------------------------------------------------------------------------------------


def labels(x: Tensor, clusters: int, seed: int) -> Tensor:
    distinct, point = distinct_rows(x)
    mass = torch.bincount(point, minlength=len(distinct)).double()
    return clustered(distinct, mass, clusters, derive(seed))[point]


def purity(x: Tensor, label: Tensor, radius: float) -> float:
    """The share of rows that have no row of another label within the open ball around them."""
    impure = (distances(x, x) < radius) & (label[:, None] != label)
    return 1 - float(impure.any(1).double().mean())


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(2, 40),
    clusters=st.integers(2, 4),
    alpha=st.sampled_from([0.5, 0.8, 0.95, 1.0]),
)
def test_it_is_the_largest_radius_that_is_pure_enough(seed: int, n: int, clusters: int, alpha: float) -> None:
    x = normal(n, 2, seed)
    label, found = labels(x, clusters, seed), purity_radius(x, clusters, alpha=alpha, generator=derive(seed))
    assert purity(x, label, found) >= alpha - 1e-9
    between = distances(x, x)[label[:, None] != label]
    larger = between[between > found * (1 + 1e-12)]
    if len(larger):
        just_above = float(larger.min()) * (1 + 1e-12)
        assert purity(x, label, just_above * (1 + 1e-9)) < alpha or alpha < 1 / n


def test_of_far_clusters_it_is_the_gap() -> None:
    x = torch.cat([normal(50, 2), normal(50, 2, 1) + 1_000])
    gap = float(distances(x[:50], x[50:]).min())
    assert purity_radius(x, 2, alpha=1.0, generator=derive(0)) == pytest.approx(gap, rel=1e-6)
    assert purity_radius(x, 2, alpha=0.9, generator=derive(0)) > gap


@pytest.mark.parametrize("x", [torch.full((9, 2), 3.0), normal(9, 2)], ids=["all equal", "one cluster"])
def test_where_all_balls_are_pure_it_reaches_across(x: Tensor) -> None:
    clusters = 5 if bool((x == 3.0).all()) else 1
    found = purity_radius(x, clusters, generator=derive(0))
    assert found > float(distances(x.double(), x.double()).max())
    assert math.isfinite(found)


def test_a_sample_is_drawn_of_many() -> None:
    x = torch.cat([normal(500, 2), normal(500, 2, 1) + 1_000])
    sampled = purity_radius(x, 2, alpha=1.0, sample=50, generator=derive(0))
    assert sampled >= purity_radius(x, 2, alpha=1.0, sample=1_000, generator=derive(0))
    assert sampled == purity_radius(x, 2, alpha=1.0, sample=50, generator=derive(0))


def test_parameters_out_of_range_are_refused() -> None:
    for clusters, alpha, sample in ((0, 0.9, 10), (2, 0.0, 10), (2, 1.1, 10), (2, math.nan, 10), (2, 0.9, 0)):
        with pytest.raises(SelectionError, match="clusters >= 1, 0 < alpha <= 1 and sample >= 1"):
            purity_radius(normal(5, 2), clusters, alpha=alpha, sample=sample, generator=derive(0))
