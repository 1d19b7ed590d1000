"""The first questions: what stands for many, and not for what was asked already."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell.engine.cold import Typical
from asktell.errors import SelectionError
from asktell.evidence import Evidence
from asktell.selection import Selection
from asktell.strategies import Strategy

CENTRES = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
SIZES = (40, 30, 20, 10)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Four clusters of 40, 30, 20 and 10 points, shuffled; (points, cluster of each)."""
    of = torch.cat([torch.full((size,), number) for number, size in enumerate(SIZES)])
    of = of[torch.randperm(len(of), generator=generator(seed))]
    return CENTRES[of] + torch.randn(len(of), 2, generator=generator(seed)) * 0.5, of


def ask(points: Tensor, b: int, labelled: Tensor | None = None, pending: Tensor | None = None) -> Selection:
    none = torch.empty(0, points.shape[1])
    evidence = Evidence(
        len(points), features=points, labelled_features=none if labelled is None else labelled, pending_features=pending
    )
    return Typical()(evidence, b, generator=generator(1))


def test_it_is_a_strategy() -> None:
    assert isinstance(Typical(), Strategy)


def test_each_cluster_is_asked_once_the_largest_first() -> None:
    points, of = clusters()
    found = ask(points, 4)
    assert of[found.indices].tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(found.scores, torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64))


def test_the_item_asked_is_nearest_to_the_centre() -> None:
    points, of = clusters()
    for number, pick in enumerate(ask(points, 4).indices.tolist()):
        mine = points[of == number]
        apart = (mine - mine.mean(0)).norm(dim=1)
        assert torch.equal(points[pick], mine[apart.argmin()])


@pytest.mark.parametrize("kind", ["labelled", "pending"])
def test_clusters_with_a_given_item_are_left_out(kind: str) -> None:
    points, of = clusters()
    seen = CENTRES[[0, 2]] + 0.1
    found = ask(points, 2, **{kind: seen})
    assert of[found.indices].tolist() == [1, 3]


def test_labelled_and_pending_items_count_together() -> None:
    points, of = clusters()
    found = ask(points, 1, labelled=CENTRES[[0, 1]], pending=CENTRES[[3]])
    assert of[found.indices].tolist() == [2]


def test_where_no_cluster_is_left_the_farthest_fill() -> None:
    """All points are near given ones, but for two far away that the clusters do not single out."""
    points = torch.cat([torch.zeros(30, 2), torch.tensor([[5.0, 0.0], [9.0, 0.0]])])
    found = ask(points, 4, labelled=torch.zeros(1, 2))
    assert {30, 31} <= set(found.indices.tolist())
    assert found.report.filled_from is not None
    assert found.scores[found.report.filled_from :].tolist() == [0.0] * (4 - found.report.filled_from)


@given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 8), st.integers(0, 5), st.booleans())
def test_picks_are_distinct_and_as_many_as_asked(n: int, b: int, given_: int, seed: int, equal: bool) -> None:
    points = torch.zeros(n, 3) if equal else torch.randn(n, 3, generator=generator(seed))
    labelled = torch.randn(given_, 3, generator=generator(seed + 1))
    if b > n:
        with pytest.raises(SelectionError):
            ask(points, b, labelled)
        return
    found = ask(points, b, labelled)
    assert len(found) == len(set(found.indices.tolist())) == b
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    again = ask(points, b, labelled)
    assert torch.equal(found.indices, again.indices)
