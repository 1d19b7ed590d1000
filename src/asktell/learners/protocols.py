"""What a learner is: a way of fitting that gives a posterior."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from asktell.posteriors import Posterior
from asktell.rows import Rows


@dataclass(frozen=True)
class Round:
    """What there is to learn from: labels are int64 in 0..c-1, row-aligned with `inputs`.

    `batch`: how many of the unlabelled items will be asked of the posterior, if that is known.
    """

    number: int
    classes: tuple[str, ...]
    inputs: Rows
    labels: Tensor
    validation: tuple[Rows, Tensor] | None = None
    unlabelled: Rows | None = None
    previous: Posterior | None = None
    batch: int | None = None


@runtime_checkable
class Learner(Protocol):
    """A way of fitting."""

    @property
    def offers(self) -> frozenset[str]:
        """The evidence that its posteriors give."""
        ...

    def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
        """Fit on the labelled rows."""
        ...


@runtime_checkable
class Restores(Protocol):
    """A learner that can make its posterior again from weights."""

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        ...


@runtime_checkable
class KeepsNetworks(Protocol):
    """A learner, a dataclass, that keeps networks which are trained until all are."""

    @property
    def folder(self) -> Path | None:
        """Where to; None keeps nothing."""
        ...
