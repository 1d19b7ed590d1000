"""Passes over rows: block by block, tile by tile, counted."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from asktell.errors import RowError
from asktell.rows.budget import Plan, plan, tile_rows
from asktell.rows.files import FileRows
from asktell.rows.sources import Rows, as_rows


class Reading:
    """Rows read under one plan, tile by tile; counts the passes and the rows.

    `state`: bytes that the reader of the rows keeps throughout. `planned`: the plan, if one was made for these rows and
    others together. Raises `EvidenceError` if the budget `memory` does not hold `state` and one tile.

    >>> reading = Reading(torch.arange(3000.0).unsqueeze(1))
    >>> [(start, len(tile)) for start, tile in reading.tiles()], reading.passes, reading.rows_read
    ([(0, 1024), (1024, 1024), (2048, 952)], 1, 3000)
    """

    def __init__(
        self,
        source: Tensor | np.ndarray | Rows,
        *,
        memory: int | None = None,
        state: int = 0,
        planned: Plan | None = None,
    ) -> None:
        self.rows = as_rows(source)
        self.n = len(self.rows)
        probe = self.rows[0:1]
        self.row_shape, self.dtype = tuple(probe.shape[1:]), probe.dtype
        self.plan = planned or plan(self.n, self.row_shape, memory, state=state)
        self.passes = self.rows_read = 0

    def tiles(self) -> Iterator[tuple[int, Tensor]]:
        """One pass: (first row, rows) of every tile. A tile is valid until the next."""
        self.passes += 1
        for start, block in _blocks(self.rows, self.plan):
            self.rows_read += len(block)
            for first in range(0, len(block), self.plan.tile):
                yield start + first, block[first : first + self.plan.tile]

    def score(self, f: Callable[[Tensor], Tensor]) -> Tensor:
        """`f` of every tile in one pass: float64 [n]. A `RowError` counts from the first of all rows."""
        return _mapped(f, self.n, self.tiles())

    def take(self, indices: Tensor) -> Tensor:
        """The rows at `indices`, in any order."""
        self.rows_read += len(indices)
        ascending, order = indices.sort()
        return self.rows.take(ascending)[order.argsort()]


def score(f: Callable[[Tensor], Tensor], rows: Tensor | np.ndarray | Rows, *, memory: int | None = None) -> Tensor:
    """`f` mapped over tiles of rows: float64 [n]. A `RowError` counts from the first of all rows."""
    rows = as_rows(rows)
    return Reading(rows, memory=memory).score(f) if len(rows) else torch.empty(0, dtype=torch.float64)


def per_tile(f: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`f` of every fixed tile of rows in memory: float64 [n]. A `RowError` counts from the first of all rows."""
    step = tile_rows(tuple(rows.shape[1:]))
    return _mapped(f, len(rows), ((start, rows[start : start + step]) for start in range(0, len(rows), step)))


def _blocks(rows: Rows, planned: Plan) -> Iterator[tuple[int, Tensor]]:
    buffer = rows.empty(min(planned.block, len(rows))) if isinstance(rows, FileRows) else None
    for start in range(0, len(rows), planned.block):
        stop = min(start + planned.block, len(rows))
        if isinstance(rows, FileRows) and buffer is not None:
            yield start, rows.read(start, buffer[: stop - start])
        else:
            yield start, rows[start:stop]


def _mapped(f: Callable[[Tensor], Tensor], n: int, numbered: Iterator[tuple[int, Tensor]]) -> Tensor:
    """Results go to one place made before the pass: small pieces kept between large ones would fragment the heap."""
    found = torch.empty(n, dtype=torch.float64)
    for start, tile in numbered:
        try:
            found[start : start + len(tile)] = f(tile)
        except RowError as error:
            raise error.moved(start) from None
    return found
