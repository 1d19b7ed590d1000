"""Posteriors that also say themselves how much an item's label is worth."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from asktell.arrays import Features, PointLogProbs, Scores
from asktell.errors import EvidenceError
from asktell.posteriors.protocols import Draws, OffersFeatures, OffersPoint, Posterior, Tells
from asktell.posteriors.weights import HasWeights
from asktell.rows import Rows


@runtime_checkable
class NetworkPosterior(Posterior, OffersPoint, OffersFeatures, HasWeights, Protocol):
    """A posterior of one network, in all of whose weights the loss can be differentiated."""

    def expected_gradient_length(self, inputs: Rows, *, bias: bool = True) -> Scores:
        """sum_y p_y |gradient of the loss in all weights, were y the label|, of every row."""
        ...


class WithUtility:
    """A posterior that also offers, as `utility`, what `score` gives; in everything else it is the one it goes round.

    `score` takes rows and gives a number per row, higher = ask sooner; what a row gets may depend on no other row.
    `told` is added to what the posterior tells of its training. `with_utility` makes it.
    """

    def __init__(
        self, posterior: Posterior, score: Callable[[Rows], Scores], *, told: Mapping[str, float] | None = None
    ) -> None:
        self._posterior: Any = posterior  # what it offers besides a posterior's own stands in `offers`
        self._score = score
        self._told = dict(told or {})

    @property
    def offers(self) -> frozenset[str]:
        """What the posterior offers, and `utility`."""
        offers: frozenset[str] = self._posterior.offers
        return offers | {"utility"}

    @property
    def told(self) -> Mapping[str, float]:
        """What the posterior tells, and what was added."""
        return told_by(self._posterior) | self._told

    @property
    def distinct(self) -> int | None:
        """That of the posterior."""
        distinct: int | None = self._posterior.distinct
        return distinct

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        """The posterior's draws."""
        draws: Draws = self._posterior.draw(k, generator=generator)
        return draws

    def predict(self, inputs: Rows) -> PointLogProbs:
        """The posterior's predictions."""
        found: PointLogProbs = self._posterior.predict(inputs)
        return found

    def point_log_probs(self, inputs: Rows) -> PointLogProbs:
        """Those of the posterior."""
        found: PointLogProbs = self._posterior.point_log_probs(inputs)
        return found

    def features(self, inputs: Rows) -> Features:
        """Those of the posterior."""
        found: Features = self._posterior.features(inputs)
        return found

    def utility(self, inputs: Rows) -> Scores:
        """What a label of each row is worth."""
        return self._score(inputs)


class NetworkWithUtility(WithUtility):
    """The same round a posterior that is made of weights."""

    def weights(self) -> dict[str, Tensor]:
        """Those of the posterior."""
        weights: dict[str, Tensor] = self._posterior.weights()
        return weights


def with_utility(
    posterior: Posterior, score: Callable[[Rows], Scores], *, told: Mapping[str, float] | None = None
) -> WithUtility:
    """`WithUtility`; one that has weights if the posterior has.

    >>> from asktell.posteriors import Deterministic
    >>> posterior = with_utility(Deterministic(torch.nn.Linear(2, 3)), lambda rows: torch.zeros(len(rows)))
    >>> sorted(posterior.offers)
    ['features', 'log_probs', 'point_log_probs', 'utility']
    """
    kind = NetworkWithUtility if isinstance(posterior, HasWeights) else WithUtility
    return kind(posterior, score, told=told)


def told_by(posterior: Posterior) -> dict[str, float]:
    """What a posterior tells of its training; nothing if it is one that does not.

    >>> from asktell.posteriors import Deterministic
    >>> told_by(Deterministic(torch.nn.Linear(2, 3), told={"train_accuracy": 1.0}))
    {'train_accuracy': 1.0}
    """
    return dict(posterior.told) if isinstance(posterior, Tells) else {}


def gradient_utility(posterior: Posterior, *, bias: bool = True) -> WithUtility:
    """A posterior of one network whose `utility` is the expected length of its whole gradient.

    Settles, Craven & Ray 2007. `utility` takes a backward pass for every item and class; without `bias`, parameters
    whose name ends in "bias" are left out. Raises `EvidenceError` for a posterior that is not one network.

    >>> from asktell.posteriors import Deterministic
    >>> gradient_utility(Deterministic(torch.nn.Linear(2, 3))).utility(torch.zeros(4, 2)).shape
    torch.Size([4])
    """
    if not isinstance(posterior, NetworkPosterior):
        raise EvidenceError(
            f"the gradient in all weights needs a posterior of one network, such as SingleNetwork gives; "
            f"{type(posterior).__name__} is none"
        )
    return with_utility(posterior, partial(posterior.expected_gradient_length, bias=bias))
