"""TypiClust: one typical row of each cluster, in the order that what is given decides."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import ArrayRows, file_rows
from asktell.selection import typiclust
from asktell.selection.clusters import clustered, distinct_rows, k_means


def normal(n: int, d: int, *seed: int) -> Tensor:
    return torch.randn(n, d, generator=derive(0, "typical", *seed), dtype=torch.float64)


def piles(*sizes: int) -> tuple[Tensor, Tensor]:
    """Rows in far piles of these sizes, shuffled, and the pile of each."""
    pile = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    pile = pile[torch.randperm(len(pile), generator=derive(0, "piles"))]
    far = 100 * torch.eye(len(sizes), dtype=torch.float64)
    return far[pile] + normal(len(pile), len(sizes)), pile


def typicality(x: Tensor, row: int, others: list[int], neighbours: int, squared: bool) -> float:
    """1 / (mean distance to the nearest neighbours + 1e-5), by its definition."""
    count = min(neighbours, (len(others) + 1) // 2)
    apart = sorted(float((x[row] - x[other]).norm()) ** (2 if squared else 1) for other in others)[:count]
    return 1 / (math.fsum(apart) / count + 1e-5) if apart else 0.0


def most_typical(x: Tensor, rows: list[int], neighbours: int, squared: bool) -> tuple[int, float]:
    found = {row: typicality(x, row, [other for other in rows if other != row], neighbours, squared) for row in rows}
    best = max(found, key=lambda row: found[row])
    return best, found[best]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("neighbours", [1, 3, 20])
def test_the_most_typical_row_of_every_cluster_the_largest_first(neighbours: int, squared: bool) -> None:
    x, pile = piles(30, 9, 21)
    found = typiclust(x, 3, neighbours=neighbours, squared=squared, generator=derive(0))
    for at, expected in enumerate((0, 2, 1)):
        rows = (pile == expected).nonzero().squeeze(1).tolist()
        row, score = most_typical(x, rows, neighbours, squared)
        assert found.scores[at].item() == pytest.approx(score)
        if neighbours > 1:
            assert int(found.indices[at]) == row
    assert (found.report.passes, found.report.rows_read, found.report.filled_from) == (1, 60, None)


def test_clusters_in_which_something_is_given_come_last() -> None:
    x, pile = piles(30, 9, 21, 15)
    far = 100 * torch.eye(4, dtype=torch.float64)
    labelled = torch.cat([far[:1] + normal(2, 4, 1), far[2:3]])  # two in the first pile, one in the third
    found = typiclust(x, 4, given=labelled, most=4, generator=derive(0))
    assert pile[found.indices].tolist() == [3, 1, 2, 0]
    assert pile[typiclust(x, 4, most=4, generator=derive(0)).indices].tolist() == [0, 2, 3, 1]


def test_given_rows_are_no_neighbours_but_count_for_the_size_of_their_cluster() -> None:
    x, pile = piles(8, 8)
    labelled = x[pile == 0] + 0.01
    found = typiclust(x, 2, given=labelled, most=2, generator=derive(0))
    rows = (pile == 0).nonzero().squeeze(1).tolist()
    assert pile[found.indices].tolist() == [1, 0]
    assert found.scores[1].item() == pytest.approx(most_typical(x, rows, 20, False)[1])
    small, of = piles(3, 5)
    inside = torch.cat([small[of == 0]] * 2) + 1.0
    found = typiclust(small, 4, given=inside, most=2, generator=derive(0))
    assert of[found.indices].tolist() == [0, 0, 0, 1]
    assert found.report.filled_from == 3


def test_small_clusters_wait_until_the_others_are_used_up() -> None:
    x, pile = piles(7, 5, 6)
    found = typiclust(x, 18, most=3, generator=derive(0))
    assert pile[found.indices].tolist() == [0, 2] * 6 + [0] + [1] * 5
    assert found.report.filled_from == 13
    assert sorted(found.indices.tolist()) == list(range(18))
    assert found.scores[12].item() == found.scores[17].item() == 0.0
    five = typiclust(x, 4, most=3, least=5, generator=derive(0))
    assert pile[five.indices].tolist() == [0, 2, 1, 0]
    assert five.report.filled_from is None


def test_after_its_pick_a_cluster_is_judged_anew() -> None:
    x, pile = piles(12, 12)
    found = typiclust(x, 4, most=2, neighbours=4, generator=derive(0))
    for at in (0, 1):
        here = (pile == pile[found.indices[at]]).nonzero().squeeze(1).tolist()
        row, _ = most_typical(x, here, 4, False)
        again, score = most_typical(x, [other for other in here if other != row], 4, False)
        assert found.indices[[at, at + 2]].tolist() == [row, again]
        assert found.scores[at + 2].item() == pytest.approx(score)


def test_rows_that_are_all_equal_are_one_cluster() -> None:
    x = torch.full((9, 3), 0.1)
    found = typiclust(x, 4, generator=derive(0))
    assert len(set(found.indices.tolist())) == 4
    assert found.scores.tolist() == pytest.approx([1e5] * 4)
    firsts = Counter(int(typiclust(x, 1, generator=derive(seed)).indices[0]) for seed in range(450))
    assert chisquare([firsts[row] for row in range(9)]).pvalue > 1e-4


@given(
    rows=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=14),
    given_rows=st.integers(0, 4),
    least=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_every_row_comes_once(rows: list[tuple[int, int]], given_rows: int, least: int, seed: int) -> None:
    x = torch.tensor(rows, dtype=torch.float64)
    for b in {0, 1, len(rows) // 2, len(rows)}:
        found = typiclust(x, b, given=x[:given_rows], least=least, generator=derive(seed))
        assert len(set(found.indices.tolist())) == b
        assert bool((found.scores >= 0).all())
        assert bool((found.scores <= 1e5 * (1 + 1e-12)).all())


@pytest.mark.parametrize("most", [5, 60])
def test_the_order_of_the_rows_does_not_matter(most: int) -> None:
    x, labelled = normal(300, 3), normal(70, 3, 1)
    order = torch.randperm(300, generator=derive(2))
    one, other = (typiclust(y, 20, given=labelled, most=most, generator=derive(0)) for y in (x, x[order]))
    assert order[other.indices].tolist() == one.indices.tolist()


def test_neither_files_nor_memory_nor_blocks_change_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(2_500, 6).float()
    np.save(tmp_path / "x.npy", x.numpy())
    whole = typiclust(x, 9, given=x[:7], generator=derive(1))
    for memory in (600_000, 10**8):
        found = typiclust(file_rows(tmp_path / "x.npy"), 9, given=x[:7], memory=memory, generator=derive(1))
        assert found.indices.tolist() == whole.indices.tolist()
        assert found.scores.tolist() == whole.scores.tolist()
    with pytest.raises(EvidenceError, match="smallest budget"):
        typiclust(x, 9, memory=100_000, generator=derive(1))
    monkeypatch.setattr("asktell.selection.typical._TABLE", 100)
    assert typiclust(x, 9, given=x[:7], generator=derive(1)).indices.tolist() == whole.indices.tolist()


def test_what_cannot_be_picked_is_refused() -> None:
    x = normal(5, 2)
    assert len(typiclust(x, 0, generator=derive(0))) == 0
    for b in (-1, 6):
        with pytest.raises(SelectionError, match="cannot pick"):
            typiclust(x, b, generator=derive(0))
    for wrong in ({"neighbours": 0}, {"most": 0}, {"least": 0}):
        with pytest.raises(SelectionError, match="must be at least 1"):
            typiclust(x, 1, generator=derive(0), **wrong)  # type: ignore[arg-type]
    with pytest.raises(EvidenceError, match="cannot be compared"):
        typiclust(x, 1, given=ArrayRows(np.zeros((2, 3))), generator=derive(0))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_no_number_is_named(bad: float) -> None:
    x = normal(2_000, 3)
    x[1_500, 2] = bad
    with pytest.raises(RowError, match="features, row 1500: holds NaN"):
        typiclust(x, 3, generator=derive(0))
    with pytest.raises(RowError, match="given, row 1500: holds NaN"):
        typiclust(x[:9], 3, given=x, generator=derive(0))


# clusters --------------------------------------------------------------------------------------------------------


def test_far_piles_are_the_clusters_by_whole_steps_and_by_partial_ones() -> None:
    x, pile = piles(*([20] * 4))
    distinct, point = distinct_rows(torch.cat([x, x[:5]]))
    assert torch.equal(distinct[point], torch.cat([x, x[:5]]))
    mass = torch.bincount(point).double()
    label = clustered(distinct, mass, 4, derive(0))[point]
    assert len({(int(a), int(b)) for a, b in zip(label[:80], pile, strict=True)}) == 4
    assert torch.equal(label[80:], label[:5])
    many, of = piles(*([12] * 60))
    few_steps = clustered(many, torch.ones(len(many)).double(), 60, derive(0))
    assert len(set(few_steps.tolist())) > 40
    assert all(len(set(of[few_steps == i].tolist())) <= 4 for i in range(60))


def test_there_are_no_more_clusters_than_points() -> None:
    points = normal(3, 2)
    centres, label = k_means(points, torch.ones(3).double(), 9, derive(0))
    assert len(centres) == 3
    torch.testing.assert_close(centres[label], points)
