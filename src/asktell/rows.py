"""Arrays that are read a few rows at a time: tensors, numpy arrays, or anything with len, slices and take.

Arithmetic runs in fixed tiles whose size depends on a row's shape alone; the memory budget only says how many
tiles are read at once. So no result depends on the budget.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from asktell.errors import EvidenceError, RowError

MAX_TILE_ROWS = 1024
MAX_TILE_BYTES = 8 * 2**20
DEFAULT_MEMORY = 2**30
"""Bytes of rows, counted in float64, that are read at once unless `memory` says otherwise."""


@runtime_checkable
class Rows(Protocol):
    """Rows of one shape and dtype, in memory or anywhere else."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    def __getitem__(self, rows: slice, /) -> Tensor:
        """A run of rows, [slice, ...]."""
        ...

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices` (int64, sorted ascending), in that order."""
        ...


@runtime_checkable
class Inputs(Protocol):
    """Where a model's inputs come from: ids to rows."""

    def __call__(self, ids: tuple[str, ...], /) -> Rows:
        """One row per id, in the order given."""
        ...


@dataclass(frozen=True)
class TensorRows:
    """A tensor as `Rows`."""

    tensor: Tensor

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.tensor[rows]

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return self.tensor[indices.to(self.tensor.device)]


@dataclass(frozen=True)
class ArrayRows:
    """A numpy array as `Rows`; what is read is a copy, so a memory map stays on disk."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return torch.from_numpy(np.array(self.array[rows]))

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return torch.from_numpy(np.array(self.array[indices.numpy()]))


def as_rows(source: Tensor | np.ndarray | Rows) -> Rows:
    """`source` as `Rows`; what already is passes through.

    >>> as_rows(torch.arange(6).reshape(3, 2)).take(torch.tensor([0, 2]))
    tensor([[0, 1],
            [4, 5]])
    """
    if isinstance(source, Tensor):
        return TensorRows(source)
    if isinstance(source, np.ndarray):
        return ArrayRows(source)
    if isinstance(source, Rows):
        return source
    raise EvidenceError(f"expected a tensor, an array, or Rows (len, slices, take), not {type(source).__name__}")


def tile_rows(row_shape: tuple[int, ...]) -> int:
    """Rows in a tile: the largest power of two up to 1,024 whose rows take at most 8 MiB in float64, at least 1.

    >>> tile_rows((512,)), tile_rows((100, 10)), tile_rows((10**7,))
    (1024, 1024, 1)
    """
    fitting = max(1, MAX_TILE_BYTES // (8 * max(1, prod(row_shape))))
    return min(MAX_TILE_ROWS, 1 << (fitting.bit_length() - 1))


def blocks(rows: Rows, *, memory: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """(first row, rows) in blocks of whole tiles; each block takes at most `memory` bytes in float64.

    Raises `EvidenceError` if not even one tile fits, naming the smallest budget that would do.
    """
    if not len(rows):
        return
    shape = tuple(rows[0:1].shape[1:])
    step = _block_rows(shape, DEFAULT_MEMORY if memory is None else memory)
    for start in range(0, len(rows), step):
        yield start, rows[start : start + step]


def score(f: Callable[[Tensor], Tensor], rows: Tensor | np.ndarray | Rows, *, memory: int | None = None) -> Tensor:
    """`f` mapped over rows in blocks: float64 [n]. A `RowError` counts from the first of all rows."""
    return _mapped(f, blocks(as_rows(rows), memory=memory))


def per_tile(f: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`f` of every fixed tile of rows in memory: float64 [n]. A `RowError` counts from the first of all rows."""
    step = tile_rows(tuple(rows.shape[1:]))
    return _mapped(f, ((start, rows[start : start + step]) for start in range(0, len(rows), step)))


def _mapped(f: Callable[[Tensor], Tensor], numbered: Iterator[tuple[int, Tensor]]) -> Tensor:
    parts = []
    for start, block in numbered:
        try:
            parts.append(f(block))
        except RowError as error:
            raise error.moved(start) from None
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)


def _block_rows(row_shape: tuple[int, ...], memory: int) -> int:
    tile = tile_rows(row_shape)
    tile_bytes = 8 * tile * max(1, prod(row_shape))
    if memory < tile_bytes:
        raise EvidenceError(
            f"a memory budget of {memory} bytes does not hold one tile of {tile} rows of shape {list(row_shape)}; "
            f"the smallest budget that does is {tile_bytes} bytes"
        )
    return tile * (memory // tile_bytes)
