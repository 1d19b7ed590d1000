"""What a posterior is: something finished that fixes k functions and evaluates the same k on every item."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch

from asktell.arrays import Features, LogProbs, PointLogProbs, Scores
from asktell.rows import Rows


@runtime_checkable
class Draws(Protocol):
    """k fixed functions. Pure: what a row gets depends on no chunk, call or order."""

    def log_probs(self, inputs: Rows) -> LogProbs:
        """Log-probabilities of the k functions on every row."""
        ...

    def over(self, inputs: Rows) -> Rows:
        """The same, computed on demand."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """A distribution over functions, after fitting."""

    @property
    def offers(self) -> frozenset[str]:
        """The evidence it can give, by name."""
        ...

    @property
    def distinct(self) -> int | None:
        """How many different functions it has: 1 = deterministic, None = unlimited."""
        ...

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        """Fix k functions; takes one key from the generator. Raises if k > distinct."""
        ...

    def predict(self, inputs: Rows) -> PointLogProbs:
        """Log-probabilities to predict with; deterministic: dropout is off."""
        ...


@runtime_checkable
class OffersPoint(Protocol):
    """A posterior with one deterministic pass."""

    def point_log_probs(self, inputs: Rows) -> PointLogProbs:
        """Log-probabilities of the deterministic pass."""
        ...


@runtime_checkable
class OffersFeatures(Protocol):
    """A posterior whose network has penultimate activations."""

    def features(self, inputs: Rows) -> Features:
        """Penultimate activations, from the same deterministic pass as `point_log_probs`."""
        ...


@runtime_checkable
class OffersUtility(Protocol):
    """A posterior that says itself how much an item's label is worth."""

    def utility(self, inputs: Rows) -> Scores:
        """A number per row, higher = ask sooner; what a row gets depends on no other row."""
        ...


@runtime_checkable
class Tells(Protocol):
    """A posterior that says how its training went."""

    @property
    def told(self) -> Mapping[str, float]:
        """Numbers by name, such as train_accuracy; the same whenever the same training is repeated."""
        ...


@runtime_checkable
class Timed(Protocol):
    """A posterior that says how long the parts of its training took."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by name, such as "fit proxy"; unlike what is told, never the same twice."""
        ...
