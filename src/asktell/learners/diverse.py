"""Copies of one half-trained network, trained on apart."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners.ensemble import check_members
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import restored
from asktell.posteriors import Ensemble
from asktell.randomness import take_key
from asktell.training import Training


@dataclass(frozen=True)
class DiverseEnsemble:
    """Trains one network for a few epochs, copies it, and trains every copy on with its own dropout and order of rows.

    The cheap ensemble of Beluch et al. 2018, section 3.1. A member gets `training.epochs` in all, of which the first
    `base_epochs` are shared; how many those are is not known from the paper, and None, a fifth of them, is ours. Every
    copy begins with a new optimiser. The shared epochs know no `patience`. With a `folder`, what an interrupted fit had
    finished is read from it. Dropout is off in scoring.

    `fit` takes one key from the generator; it raises `ModelError` naming the member that diverged, and if all members
    came out equal: a network without dropout that sees all rows in every step has nothing to differ by.

    >>> from asktell.training import two_moons_mlp
    >>> learner = DiverseEnsemble(two_moons_mlp, Training(epochs=10), members=3)
    >>> learner.shared_epochs
    2
    """

    build: Build
    training: Training
    members: int = 5
    base_epochs: int | None = None
    batch: int = 256
    folder: Path | None = None

    def __post_init__(self) -> None:
        check_members(self.members)
        if not 1 <= self.shared_epochs < self.training.epochs:
            raise ProtocolError(
                f"of {self.training.epochs} epochs {self.shared_epochs} cannot be shared: one or more must be, "
                "and one or more must be each member's own"
            )

    @property
    def offers(self) -> frozenset[str]:
        """What `Ensemble` offers."""
        return Ensemble.offers

    @property
    def shared_epochs(self) -> int:
        """Epochs of the network that is copied."""
        return max(1, self.training.epochs // 5) if self.base_epochs is None else self.base_epochs

    def fit(self, round: Round, *, generator: torch.Generator) -> Ensemble:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator), self.folder)
        shared = replace(self.training, epochs=self.shared_epochs, patience=None)
        rest = replace(self.training, epochs=self.training.epochs - self.shared_epochs)
        base = fitting.trained(fitting.built(self.build, "base"), shared, "base")
        modules = [fitting.trained(copy.deepcopy(base), rest, "member", number) for number in range(self.members)]
        fitting.finish()
        check_different(modules)
        return Ensemble(modules, batch=self.batch)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Ensemble:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        return restored([self.build] * self.members, len(classes), weights, batch=self.batch)


def check_different(modules: list[nn.Module]) -> None:
    """Raise `ModelError` if there are several and all have the same weights."""
    states = [list(module.state_dict().values()) for module in modules]
    if len(states) > 1 and all(all(map(torch.equal, states[0], state)) for state in states[1:]):
        raise ModelError(
            "all members came out equal: without dropout and with all rows in every step there is nothing that they "
            "could differ by; use a network with dropout, smaller batches, or DeepEnsemble"
        )
