"""One network, remembered at the end of every cycle of its learning rate."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from asktell.errors import ProtocolError
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import restored
from asktell.posteriors import Ensemble
from asktell.randomness import take_key
from asktell.training import Training
from asktell.training.method import Method, adam, cosine, sgd


@dataclass(frozen=True)
class SnapshotEnsemble:
    """Trains one network in cycles, at whose ends the learning rate is about 0; each end is a member.

    Huang et al. 2017, eq. 2 (arXiv:1704.00109): in step t of T of a cycle the learning rate is
    lr / 2 (1 + cos(pi t / T)), with `training.lr` at the start of every cycle (the paper: .1 or .2, momentum .9).
    `training.epochs` are those of all cycles together; what is left over goes to the last one, as in the authors'
    code. `members` takes the last so many snapshots; None takes all. Ours: every cycle begins with a new optimiser,
    so that it depends on the weights before it alone, and a fit with a `folder` goes on behind the last whole cycle.

    `fit` takes one key from the generator; it raises `ModelError` naming the cycle that diverged. `ProtocolError`
    for fewer epochs than cycles, for more members than cycles, and for `patience`, which would end a cycle early.

    >>> from asktell.training import two_moons_mlp
    >>> learner = SnapshotEnsemble(two_moons_mlp, Training(epochs=7, lr=0.1), cycles=3)
    >>> learner.epochs
    (2, 2, 3)
    """

    build: Build
    training: Training
    cycles: int = 5
    members: int | None = None
    optimiser: Literal["sgd", "adam"] = "sgd"
    momentum: float = 0.9
    batch: int = 256
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.cycles <= self.training.epochs:
            raise ProtocolError(f"{self.training.epochs} epochs cannot be {self.cycles} cycles; give each one or more")
        if not 1 <= self._kept <= self.cycles:
            raise ProtocolError(
                f"members must be between 1 and {self.cycles}, the number of cycles, not {self.members}"
            )
        if self.training.patience is not None:
            raise ProtocolError("a cycle ends when its learning rate is zero; use patience=None")
        if self.optimiser not in ("sgd", "adam"):
            raise ProtocolError(f"optimiser must be 'sgd' or 'adam', not {self.optimiser!r}")

    @property
    def offers(self) -> frozenset[str]:
        """What `Ensemble` offers."""
        return Ensemble.offers

    @property
    def epochs(self) -> tuple[int, ...]:
        """How many each cycle has."""
        each, left = divmod(self.training.epochs, self.cycles)
        return (each,) * (self.cycles - 1) + (each + left,)

    @property
    def _kept(self) -> int:
        return self.cycles if self.members is None else self.members

    def fit(self, round: Round, *, generator: torch.Generator) -> Ensemble:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator), self.folder, f"{self.optimiser} {self.momentum}")
        module, snapshots = fitting.built(self.build), []
        for number, epochs in enumerate(self.epochs):
            fitting.trained(module, replace(self.training, epochs=epochs), "cycle", number, method=self._method())
            snapshots.append(copy.deepcopy(module))
        fitting.finish()
        return Ensemble(snapshots[-self._kept :], batch=self.batch)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Ensemble:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        return restored([self.build] * self._kept, len(classes), weights, batch=self.batch)

    def _method(self) -> Method:
        optimiser = adam if self.optimiser == "adam" else partial(sgd, momentum=self.momentum)
        return Method(optimiser=optimiser, rate=cosine)
