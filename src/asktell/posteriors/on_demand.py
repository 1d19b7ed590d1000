"""Rows that are computed when they are read."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from asktell.rows import Rows, TensorRows


@dataclass(frozen=True)
class OnDemand:
    """`f` of `rows` as `Rows`. `f` must give a row the same value whatever it is read with."""

    f: Callable[[Rows], Tensor]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.f(TensorRows(self.rows[rows]))

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`, computed now."""
        return self.f(TensorRows(self.rows.take(indices)))
