"""Gaussian weights by backpropagation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn

from asktell.errors import ProtocolError
from asktell.learners.bootstrap import part
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import blank, filled
from asktell.posteriors import GaussianWeights
from asktell.randomness import take_key
from asktell.training import Training
from asktell.training.method import Method, Step
from asktell.training.priors import GaussianPrior, Prior, check_positive
from asktell.training.variational import Variational, Weighting, share_of_divergence


@dataclass(frozen=True)
class BayesByBackprop:
    """Fits means and standard deviations of all weights: the Gaussians nearest to the posterior, by its evidence bound.

    Blundell et al. 2015, section 3 (arXiv:1505.05424). Gives `GaussianWeights`. What is made small is, per label,
    the cross-entropy + `tempering` / l KL(q || prior), l labels. Of KL(q || prior) the steps of an epoch take parts
    that sum to one (`weighting`: equal, or halving from step to step), as often as the epoch repeats the labelled set.
    With a `GaussianPrior` KL(q || prior) is exact unless `closed_form` is False; with a `ScaleMixture` it is estimated
    from one draw a step. `local` draws the noise of training per row and layer, which has less variance; draws for
    scoring share their weights between all items in either case. `tempering` 1 is Bayes; below 1 the labels count more
    than they should: with few labels and many weights a mean field at 1 learns little more than its prior.

    `build(number of classes)` gives a network whose linear layers and convolutions get Gaussian weights; dropout in it
    stays off. `initial_sd` is where all standard deviations start. `head` is handed to `GaussianWeights`.

    `fit` takes one key from the generator; it raises `ModelError` for a network without such layers and if it
    diverged. `ProtocolError` for `training.decay`: the prior is what holds weights back.

    >>> from asktell.training import two_moons_mlp
    >>> learner = BayesByBackprop(two_moons_mlp, Training(epochs=2))
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> learner.fit(round, generator=torch.Generator()).distinct is None
    True
    """

    build: Build
    training: Training
    prior: Prior = field(default_factory=GaussianPrior)
    weighting: Weighting = "equal"
    tempering: float = 1.0
    closed_form: bool = True
    local: bool = True
    initial_sd: float = 0.02
    batch: int = 256
    head: str | None = None

    def __post_init__(self) -> None:
        check_positive("initial_sd", self.initial_sd)
        check_positive("tempering", self.tempering)
        if self.weighting not in ("equal", "halving"):
            raise ProtocolError(f"weighting must be 'equal' or 'halving', not {self.weighting!r}")
        if self.training.decay:
            raise ProtocolError("the prior holds the weights back; use decay=0")

    @property
    def offers(self) -> frozenset[str]:
        """What `GaussianWeights` offers."""
        return GaussianWeights.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> GaussianWeights:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator))
        module = Variational(fitting.built(self.build), initial_sd=self.initial_sd, local=self.local)
        fitting.trained(module, self.training, "network", method=Method(loss=self.loss))
        return self._posterior(module.mean, module.sd())

    def loss(self, module: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """Mean cross-entropy and the step's part of the divergence, per row."""
        repeats = step.samples / step.labels
        share = self.tempering * repeats * share_of_divergence(step, self.weighting) / len(y)
        divergence = cast(Variational, module).divergence(self.prior, closed_form=self.closed_form)
        return nn.functional.cross_entropy(module(x), y) + share * divergence

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> GaussianWeights:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        module = filled(blank(self.build, len(classes)), part(weights, "mean."))
        return self._posterior(module, part(weights, "sd."))

    def _posterior(self, module: nn.Module, sd: Mapping[str, Tensor]) -> GaussianWeights:
        return GaussianWeights(module, sd, batch=self.batch, head=self.head)
