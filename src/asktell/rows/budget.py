"""How many rows are read at once: fixed tiles, and a memory budget that is planned before the work."""

import logging
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path

from asktell.errors import EvidenceError

_log = logging.getLogger(__name__)

MAX_TILE_ROWS = 1024
MAX_TILE_BYTES = 8 * 2**20
MAX_BLOCK_BYTES = 64 * 2**20
"""More is never read at once: larger reads are not faster."""
SHARE = 4
"""Without a budget, one part in four of the memory that is free."""


@dataclass(frozen=True)
class Plan:
    """What a method that reads `n` rows of one shape will hold, in bytes, rows counted in float64.

    `state` is kept through all passes; besides, `tiles` tiles of `tile` rows are held at once. The picks are the
    same under every budget.
    """

    n: int
    row_shape: tuple[int, ...]
    tile: int
    tiles: int
    state: int
    budget: int

    @property
    def block(self) -> int:
        """Rows read at once."""
        return self.tile * self.tiles

    @property
    def peak(self) -> int:
        """State and one block, bytes."""
        return self.state + self.tiles * _tile_bytes(self.row_shape)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.row_shape)) or "1"
        return (
            f"{self.n:,} rows of {shape} numbers, {self.block:,} at once, in tiles of {self.tile:,}: "
            f"{_megabytes(self.peak)} of {_megabytes(self.budget)}, {_megabytes(self.state)} of them kept throughout"
        )


def plan(n: int, row_shape: tuple[int, ...], memory: int | None = None, *, state: int = 0) -> Plan:
    """The plan for `n` rows under a budget of `memory` bytes (None: a quarter of what is free), `state` of them taken.

    Every plan is logged (level INFO), before a row is read. Raises `EvidenceError` if not even one tile fits, naming
    the smallest budget that would do.

    >>> print(plan(1_000_000, (512,), 200_000_000, state=16_000_000))
    1,000,000 rows of 512 numbers, 16,384 at once, in tiles of 1,024: 83 MB of 200 MB, 16 MB of them kept throughout
    """
    budget = free_memory() // SHARE if memory is None else memory
    tile_bytes = _tile_bytes(row_shape)
    if budget < state + tile_bytes:
        kept = f" and the {state} bytes that are kept throughout" if state else ""
        raise EvidenceError(
            f"a memory budget of {budget} bytes does not hold one tile of {tile_rows(row_shape)} rows of shape "
            f"{list(row_shape)}{kept}; the smallest budget that does is {state + tile_bytes} bytes"
        )
    most = max(1, min(MAX_BLOCK_BYTES // tile_bytes, -(-n // tile_rows(row_shape))))
    made = Plan(n, row_shape, tile_rows(row_shape), min(most, (budget - state) // tile_bytes), state, budget)
    _log.info("%s", made)
    return made


def tile_rows(row_shape: tuple[int, ...]) -> int:
    """Rows in a tile: the largest power of two up to 1,024 whose rows take at most 8 MiB in float64, at least 1.

    >>> tile_rows((512,)), tile_rows((100, 10)), tile_rows((10**7,))
    (1024, 1024, 1)
    """
    fitting = max(1, MAX_TILE_BYTES // (8 * max(1, prod(row_shape))))
    return min(MAX_TILE_ROWS, 1 << (fitting.bit_length() - 1))


def free_memory() -> int:
    """Bytes that can be had without swapping."""
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii").split("MemAvailable:")[1]
        return int(told.split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // 2


def _tile_bytes(row_shape: tuple[int, ...]) -> int:
    return 8 * tile_rows(row_shape) * max(1, prod(row_shape))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
