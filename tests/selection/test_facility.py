"""Facility location: the plain greedy algorithm, its guarantee, and GreeDi."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.rows import as_rows, file_rows
from asktell.selection import Selection, facility_location, max_cover
from asktell.selection.facility import Cosine, Likeness, _Location

KINDS: list[Likeness] = ["cosine", "gaussian"]


def normal(n: int, d: int, *seed: int) -> Tensor:
    return torch.randn(n, d, generator=derive(0, "facility", *seed), dtype=torch.float64)


def similarities(x: Tensor, y: Tensor, kind: str, breadth: float = 1.0) -> Tensor:
    """[n, m] by their definitions; the scale of the Gaussian is that of x."""
    if kind == "cosine":
        return torch.nn.functional.cosine_similarity(x[:, None], y[None], dim=2).clamp_min(0.0)
    scale = breadth * (x - x.mean(0)).square().sum(1).mean().sqrt()
    return (-(x[:, None] - y[None]).square().sum(2) / (2 * scale**2)).exp()


def value(table: Tensor, picks: list[int], base: Tensor) -> float:
    return float(torch.cat([table[:, picks], base[:, None]], 1).amax(1).sum())


def greedy(table: Tensor, b: int, base: Tensor) -> tuple[list[int], list[float], bool]:
    """Picks, gains, and whether there was a tie."""
    picks: list[int] = []
    gains: list[float] = []
    tied = False
    for _ in range(b):
        gain = {i: value(table, [*picks, i], base) - value(table, picks, base) for i in range(len(table))}
        gain = {i: g for i, g in gain.items() if i not in picks}
        picks.append(max(gain, key=lambda i: gain[i]))
        gains.append(gain[picks[-1]])
        tied = tied or sum(g > gains[-1] - 1e-9 for g in gain.values()) > 1
    return picks, gains, tied


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 14), d=st.integers(2, 4), few=st.sampled_from([1, 3, 64]))
def test_picks_are_those_of_evaluating_every_row(kind: Likeness, seed: int, n: int, d: int, few: int) -> None:
    x, given_rows = normal(n, d, seed), normal(2, d, seed, 1)
    table, b = similarities(x, x, kind, 0.5), max(1, n // 2)
    for some, base in (
        (None, torch.zeros(n).double()),
        (given_rows, similarities(x, given_rows, kind, 0.5).amax(1)),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("asktell.selection.facility._FEW", few)
            found = facility_location(x, b, similarity=kind, breadth=0.5, given=some, generator=derive(seed))
        picks, gains, tied = greedy(table, b, base)
        assert found.scores.tolist() == pytest.approx(gains, abs=1e-9)
        if not tied:
            assert found.indices.tolist() == picks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_sum_is_near_the_largest_that_any_batch_reaches(kind: Likeness, seed: int) -> None:
    x = normal(10, 2, seed)
    table, base = similarities(x, x, kind), torch.zeros(10).double()
    best = max(value(table, list(some), base) for some in itertools.combinations(range(10), 3))
    found = facility_location(x, 3, similarity=kind, generator=derive(seed))
    assert found.scores.sum().item() == pytest.approx(value(table, found.indices.tolist(), base))
    assert found.scores.sum().item() >= (1 - 1 / math.e) * best
    assert bool((found.scores.diff() <= 1e-12).all())
    smaller = facility_location(x, 2, similarity=kind, generator=derive(seed))
    assert smaller.indices.tolist() == found.indices[:2].tolist()


def test_with_cosines_it_is_max_cover_of_all() -> None:
    x, labelled = normal(60, 3), normal(4, 3, 1)
    one = facility_location(x, 9, given=labelled, generator=derive(0))
    other = max_cover(x, torch.arange(60), 9, given=labelled, generator=derive(0))
    assert one.indices.tolist() == other.indices.tolist()
    assert one.scores.tolist() == other.scores.tolist()


def clusters(n: int) -> Tensor:
    return 5 * normal(12, 4, 2)[torch.arange(n) % 12] + normal(n, 4, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [2, 5, 400])
def test_dealt_to_parts_it_is_nearly_as_good(kind: Likeness, parts: int) -> None:
    x, labelled = clusters(400), clusters(3)
    whole = facility_location(x, 12, similarity=kind, given=labelled, generator=derive(0))
    for seed in range(3):
        dealt = facility_location(x, 12, similarity=kind, parts=parts, given=labelled, generator=derive(seed))
        assert len(set(dealt.indices.tolist())) == 12
        assert dealt.scores.sum() >= 0.9 * whole.scores.sum()
        table = similarities(x, x, kind)
        base = similarities(x, labelled, kind).amax(1)
        gained = value(table, dealt.indices.tolist(), base) - float(base.sum())
        assert dealt.scores.sum().item() == pytest.approx(gained)


def test_the_best_part_is_taken_if_it_beats_the_picks_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x = clusters(40)
    location = _Location(as_rows(x), Cosine(), as_rows(x[:0]), None, derive(0))
    best, poor = (location.pick(some, 4).indices for some in (torch.arange(40), torch.tensor([0, 12, 24, 36])))
    alone, pick, calls = iter([best, poor]), _Location.pick, []

    def first_poor(self: _Location, candidates: Tensor, b: int) -> Selection:
        calls.append(candidates)
        return pick(self, poor if len(calls) == 1 else candidates, b)

    monkeypatch.setattr(_Location, "_picked_alone", lambda *_: next(alone))
    monkeypatch.setattr(_Location, "pick", first_poor)
    found = facility_location(x, 4, parts=2, generator=derive(0))
    assert set(found.indices.tolist()) == set(best.tolist())
    assert found.scores.sum() > pick(location, poor, 4).scores.sum()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 3])
def test_rows_that_are_all_equal_fill_the_batch(kind: Likeness, parts: int) -> None:
    x = torch.full((9, 3), 2.0)
    found = facility_location(x, 4, similarity=kind, parts=parts, generator=derive(0))
    assert len(set(found.indices.tolist())) == 4
    assert found.scores.tolist() == pytest.approx([9.0, 0.0, 0.0, 0.0])
    assert found.report.filled_from == 1
    assert facility_location(x, 2, similarity=kind, given=x[:1], generator=derive(0)).report.filled_from == 0


def test_moved_rows_are_as_alike_but_not_as_aligned() -> None:
    x = normal(50, 3)
    for kind in KINDS:
        still, moved = (facility_location(y, 5, similarity=kind, generator=derive(0)) for y in (x, x + 100))
        assert (still.indices.tolist() == moved.indices.tolist()) == (kind == "gaussian")
    stretched = x * torch.linspace(1, 5, 50).double()[:, None]
    for kind in KINDS:
        one, other = (facility_location(y, 5, similarity=kind, generator=derive(0)) for y in (x, stretched))
        assert (one.indices.tolist() == other.indices.tolist()) == (kind == "cosine")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 3])
def test_neither_files_nor_memory_change_anything(kind: Likeness, parts: int, tmp_path: Path) -> None:
    x = clusters(2_500).float()
    np.save(tmp_path / "x.npy", x.numpy())
    whole = facility_location(x, 7, similarity=kind, parts=parts, generator=derive(1))
    for memory in (300_000, 10**8):
        rows = file_rows(tmp_path / "x.npy")
        found = facility_location(rows, 7, similarity=kind, parts=parts, memory=memory, generator=derive(1))
        assert found.indices.tolist() == whole.indices.tolist()
        assert found.scores.tolist() == whole.scores.tolist()
    with pytest.raises(EvidenceError, match="smallest budget"):
        facility_location(x, 7, similarity=kind, memory=10_000, generator=derive(1))


@pytest.mark.usefixtures("without_shape_checks")
def test_what_cannot_be_picked_is_refused() -> None:
    x = normal(5, 2)
    assert len(facility_location(x, 0, generator=derive(0))) == 0
    for parts in (1, 2, 9):
        assert sorted(facility_location(x, 5, parts=parts, generator=derive(0)).indices.tolist()) == list(range(5))
    for b in (-1, 6):
        with pytest.raises(SelectionError, match="cannot pick"):
            facility_location(x, b, generator=derive(0))
    with pytest.raises(SelectionError, match="similarity is one of cosine, gaussian, not 'dot'"):
        facility_location(x, 1, similarity="dot", generator=derive(0))  # type: ignore[arg-type]
    for parts, breadth in ((0, 1.0), (1, 0.0), (1, math.nan), (1, math.inf)):
        with pytest.raises(SelectionError, match="parts >= 1 and a breadth > 0"):
            facility_location(x, 1, parts=parts, breadth=breadth, generator=derive(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_no_number_is_named(kind: Likeness, bad: float) -> None:
    x = normal(2_000, 3)
    x[1_500, 2] = bad
    for parts in (1, 3):
        with pytest.raises(RowError, match="features, row 1500: holds NaN"):
            facility_location(x, 3, similarity=kind, parts=parts, generator=derive(0))
    with pytest.raises(RowError, match="given, row 1500: holds NaN"):
        facility_location(x[:9], 3, similarity=kind, given=x, generator=derive(0))
