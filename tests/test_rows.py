"""Rows: the same arithmetic whatever they are read from and however much is read at once."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell.errors import EvidenceError, RowError
from asktell.rows import ArrayRows, Reading, Rows, TensorRows, as_rows, per_tile, score, tile_rows


class Squares:
    """Anything with len, slices and take: row i is [i * i]."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.reads: list[int] = []

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, rows: slice, /) -> Tensor:
        found = torch.arange(self.n)[rows]
        self.reads.append(len(found))
        return (found**2).double()[:, None]

    def take(self, indices: Tensor, /) -> Tensor:
        return (indices**2).double()[:, None]


@given(shape=st.lists(st.integers(1, 400), min_size=0, max_size=3))
def test_a_tile_is_the_largest_power_of_two_that_fits(shape: list[int]) -> None:
    numbers = int(np.prod(shape)) if shape else 1
    rows = tile_rows(tuple(shape))
    assert rows & (rows - 1) == 0
    assert 1 <= rows <= 1024
    assert rows == 1 or rows * numbers * 8 <= 8 * 2**20
    assert rows == 1024 or 2 * rows * numbers * 8 > 8 * 2**20


@pytest.mark.parametrize("memory", [8 * 1024, 3 * 8 * 1024, 10**9])
def test_blocks_cover_all_rows_in_order_within_the_budget(memory: int) -> None:
    rows = Squares(5_000)
    reading = Reading(rows, memory=memory)
    rows.reads.clear()
    found = list(reading.tiles())
    step = min(5_000, memory // (8 * 1024) * 1024)
    assert rows.reads == [min(step, 5_000 - start) for start in range(0, 5_000, step)]
    assert all(read * 8 <= memory for read in rows.reads)
    assert [start for start, _ in found] == list(range(0, 5_000, 1024))
    assert torch.equal(torch.cat([tile for _, tile in found]), rows[0:5_000])


def test_a_budget_below_one_tile_says_what_would_do() -> None:
    with pytest.raises(EvidenceError, match="smallest budget that does is 8192 bytes"):
        Reading(Squares(10), memory=8_191)


def test_every_source_gives_the_same_rows() -> None:
    array = np.random.default_rng(0).normal(size=(7, 2, 3))
    for source in (torch.from_numpy(array), array, ArrayRows(array), TensorRows(torch.from_numpy(array))):
        rows = as_rows(source)
        assert isinstance(rows, Rows)
        assert len(rows) == 7
        assert torch.equal(rows[2:5], torch.from_numpy(array[2:5]))
        assert torch.equal(rows.take(torch.tensor([0, 6])), torch.from_numpy(array[[0, 6]]))


def test_what_is_read_from_an_array_is_a_copy() -> None:
    array = np.zeros((3, 2))
    ArrayRows(array)[0:2].fill_(1.0)
    assert array.sum() == 0


@pytest.mark.usefixtures("without_shape_checks")
def test_a_list_is_refused() -> None:
    with pytest.raises(EvidenceError, match="not list"):
        as_rows([[1.0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("memory", [None, 8 * 1024, 10**9])
def test_score_maps_and_counts_rows_from_the_first(memory: int | None) -> None:
    assert torch.equal(score(lambda x: x[:, 0], Squares(3_000), memory=memory), torch.arange(3_000).double() ** 2)

    def refuse(block: Tensor) -> Tensor:
        return per_tile(lambda tile: _refuse_row(tile, 2_500.0**2), block)

    with pytest.raises(RowError) as caught:
        score(refuse, Squares(3_000), memory=memory)
    assert caught.value.row == 2_500


def _refuse_row(tile: Tensor, value: float) -> Tensor:
    found = (tile[:, 0] == value).nonzero()
    if len(found):
        raise RowError("squares", int(found[0]), "refused")
    return tile[:, 0]


def test_no_rows_give_no_scores() -> None:
    assert score(lambda x: x[:, 0], Squares(0)).tolist() == []
