"""Where rows come from: tensors, numpy arrays, or anything with len, slices and take."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from asktell.errors import EvidenceError


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
