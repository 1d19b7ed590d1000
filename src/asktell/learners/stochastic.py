"""Dropout networks trained apart, with their dropout on in scoring."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from asktell.learners.bootstrap import part
from asktell.learners.ensemble import check_members
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import blank, filled
from asktell.posteriors import MCDropout, Mixture, pooled
from asktell.posteriors.masks import active_dropouts
from asktell.randomness import take_key
from asktell.training import Training


@dataclass(frozen=True)
class StochasticEnsemble:
    """Fits `members` dropout networks and pools the draws of all: a `Mixture` of `MCDropout`.

    DEBAL, Pop and Fulop 2018, section 3 (arXiv:1811.03897): k draws are k / members masks of each network. That the
    paper has three is from memory. With a `folder`, members that an interrupted fit had finished are read from it.
    `batch`, `off` and `head` are handed to `MCDropout`.

    `fit` takes one key from the generator; it raises `ModelError` for a network without dropout, before it is trained,
    and naming the member that diverged.

    >>> from asktell.training import two_moons_mlp
    >>> learner = StochasticEnsemble(two_moons_mlp, Training(epochs=2))
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> learner.fit(round, generator=torch.Generator()).distinct is None
    True
    """

    build: Build
    training: Training
    members: int = 3
    batch: int = 256
    off: tuple[str, ...] = ()
    head: str | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        check_members(self.members)

    @property
    def offers(self) -> frozenset[str]:
        """What `Mixture` offers."""
        return Mixture.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Mixture:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator), self.folder)
        modules = [fitting.built(self.build, "member", number) for number in range(self.members)]
        active_dropouts(modules[0], self.off)
        for number, module in enumerate(modules):
            fitting.trained(module, self.training, "member", number)
        fitting.finish()
        return pooled([self._posterior(module) for module in modules])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Mixture:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        members = [part(weights, f"{number}.") for number in range(self.members)]
        return pooled([self._posterior(filled(blank(self.build, len(classes)), member)) for member in members])

    def _posterior(self, module: nn.Module) -> MCDropout:
        return MCDropout(module, batch=self.batch, off=self.off, head=self.head)
