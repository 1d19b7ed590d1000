"""Posteriors of one network that say themselves how much a label would move all its weights."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from asktell.arrays import Features, PointLogProbs, Scores
from asktell.errors import EvidenceError
from asktell.posteriors.protocols import Draws, OffersFeatures, OffersPoint, Posterior
from asktell.posteriors.weights import HasWeights
from asktell.rows import Rows


@runtime_checkable
class NetworkPosterior(Posterior, OffersPoint, OffersFeatures, HasWeights, Protocol):
    """A posterior of one network, in all of whose weights the loss can be differentiated."""

    def expected_gradient_length(self, inputs: Rows, *, bias: bool = True) -> Scores:
        """sum_y p_y |gradient of the loss in all weights, were y the label|, of every row."""
        ...


class GradientUtility:
    """A posterior of one network that also offers, as `utility`, the expected length of its whole gradient.

    Settles, Craven & Ray 2007. In everything else it is the posterior that it goes round. `utility` takes a backward
    pass for every item and class; without `bias`, parameters whose name ends in "bias" are left out. Raises
    `EvidenceError` for a posterior that is not one network.

    >>> from asktell.posteriors import Deterministic
    >>> sorted(GradientUtility(Deterministic(torch.nn.Linear(2, 3))).offers)
    ['features', 'log_probs', 'point_log_probs', 'utility']
    """

    def __init__(self, posterior: Posterior, *, bias: bool = True) -> None:
        if not isinstance(posterior, NetworkPosterior):
            raise EvidenceError(
                f"the gradient in all weights needs a posterior of one network, such as SingleNetwork gives; "
                f"{type(posterior).__name__} is none"
            )
        self._posterior, self._bias = posterior, bias

    @property
    def offers(self) -> frozenset[str]:
        """What the posterior offers, and `utility`."""
        return self._posterior.offers | {"utility"}

    @property
    def distinct(self) -> int | None:
        """That of the posterior."""
        return self._posterior.distinct

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        """The posterior's draws."""
        return self._posterior.draw(k, generator=generator)

    def predict(self, inputs: Rows) -> PointLogProbs:
        """The posterior's predictions."""
        return self._posterior.predict(inputs)

    def point_log_probs(self, inputs: Rows) -> PointLogProbs:
        """Those of the posterior."""
        return self._posterior.point_log_probs(inputs)

    def features(self, inputs: Rows) -> Features:
        """Those of the posterior."""
        return self._posterior.features(inputs)

    def utility(self, inputs: Rows) -> Scores:
        """The expected gradient length of every row."""
        return self._posterior.expected_gradient_length(inputs, bias=self._bias)

    def weights(self) -> dict[str, Tensor]:
        """Those of the posterior."""
        return self._posterior.weights()
