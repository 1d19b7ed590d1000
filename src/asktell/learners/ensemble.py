"""Networks trained apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asktell.errors import ProtocolError
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import restored
from asktell.posteriors import Ensemble
from asktell.randomness import take_key
from asktell.training import Training


@dataclass(frozen=True)
class DeepEnsemble:
    """Fits `members` networks from different initial weights, in different orders, all on the same rows.

    Lakshminarayanan et al. 2017, section 2.4 (arXiv:1612.01474), without adversarial training; Beluch et al. 2018,
    section 3.1, who score with five. Every round starts afresh. `build(number of classes)` gives an untrained network
    (on the device it shall run on); dropout in it is on in training and off in scoring. Member i depends on the key and
    on i alone, so that more members leave the first ones as they were. Members train one after another; with a
    `folder`, those that an interrupted fit had finished are read from it. `stacked` trains them together, which is
    faster for very small networks (`fit_together` says what was measured); masks of dropout are then drawn for all.

    `fit` takes one key from the generator; it raises `ModelError` if a network has another number of classes than the
    round, or naming the member that diverged. Classes that have no label yet are legal.

    >>> from asktell.training import two_moons_mlp
    >>> learner = DeepEnsemble(two_moons_mlp, Training(epochs=2), members=3)
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> learner.fit(round, generator=torch.Generator()).distinct
    3
    """

    build: Build
    training: Training
    members: int = 5
    batch: int = 256
    folder: Path | None = None
    stacked: bool = False

    def __post_init__(self) -> None:
        check_members(self.members)
        if self.stacked and self.folder is not None:
            raise ProtocolError("members that train together finish together: there is nothing to keep in a folder")
        if self.stacked and self.training.patience is not None:
            raise ProtocolError(
                "members that train together cannot stop early, each at its own time; use patience=None"
            )

    @property
    def offers(self) -> frozenset[str]:
        """What `Ensemble` offers."""
        return Ensemble.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Ensemble:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator), self.folder)
        names = [("member", number) for number in range(self.members)]
        modules = [fitting.built(self.build, *name) for name in names]
        if self.stacked:
            fitting.trained_together(modules, self.training, names)
        else:
            modules = [
                fitting.trained(module, self.training, *name) for module, name in zip(modules, names, strict=True)
            ]
        fitting.finish()
        return Ensemble(modules, batch=self.batch)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Ensemble:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        return restored([self.build] * self.members, len(classes), weights, batch=self.batch)


def check_members(members: int) -> None:
    """Raise `ProtocolError` unless there is one or more."""
    if members < 1:
        raise ProtocolError(f"members must be at least 1, not {members}")
