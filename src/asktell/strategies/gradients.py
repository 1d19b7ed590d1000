"""Strategies that ask what would move the model most: the expected length of the gradient."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch

from asktell.arrays import Scores
from asktell.evidence import Evidence
from asktell.learners import Learner, Round
from asktell.posteriors import WithUtility, gradient_utility
from asktell.rows import score
from asktell.scores.gradient import input_length, residual_length
from asktell.strategies.ranking import Ranking


@dataclass(frozen=True)
class EGL(Ranking):
    """Largest expected gradient length of the last layer (Settles et al. 2007)."""

    name: ClassVar[str] = "egl"
    needs: ClassVar[frozenset[str]] = frozenset({"point_log_probs", "features"})
    bias: bool = True
    normalise: bool = False

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """`scores.expected_gradient_length`, as the product of what classes and what features give."""
        inputs = partial(input_length, bias=self.bias, normalise=self.normalise)
        residuals = score(residual_length, evidence.require("point_log_probs"), memory=memory)
        return residuals * score(inputs, evidence.require("features"), memory=memory)


@dataclass(frozen=True)
class FullGradient:
    """A learner whose posteriors also offer the expected length of the gradient in all weights, as `utility`.

    They are the posteriors of `learner` otherwise, from the same random numbers. Fitting raises `EvidenceError` if that
    gives posteriors that are not one network.
    """

    learner: Learner
    bias: bool = True

    @property
    def offers(self) -> frozenset[str]:
        """What the learner offers, and `utility`."""
        return self.learner.offers | {"utility"}

    def fit(self, round: Round, *, generator: torch.Generator) -> WithUtility:  # noqa: A002
        """Fit on the labelled rows."""
        return gradient_utility(self.learner.fit(round, generator=generator), bias=self.bias)
