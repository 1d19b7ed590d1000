"""Rows made of other rows when they are read."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asktell.embeddings import unit_length
from asktell.errors import EvidenceError
from asktell.rows import Rows


@dataclass(frozen=True)
class UnitLength:
    """Rows divided by their lengths when they are read, float64."""

    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return unit_length(self.rows[rows])

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return unit_length(self.rows.take(indices))


@dataclass(frozen=True)
class Joined:
    """The rows of one array after those of another. Raises `EvidenceError` if they have different shapes."""

    parts: tuple[Rows, ...]

    def __post_init__(self) -> None:
        shapes = [list(part[0:1].shape[1:]) for part in self.parts]
        if any(shape != shapes[0] for shape in shapes):
            raise EvidenceError(
                f"labelled and pending features have rows of shapes {shapes}; take both from one network"
            )

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.take(torch.arange(len(self))[rows])

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        found, start = [], 0
        for part in self.parts:
            here = indices[(indices >= start) & (indices < start + len(part))] - start
            found.append(part.take(here))
            start += len(part)
        return torch.cat(found)
