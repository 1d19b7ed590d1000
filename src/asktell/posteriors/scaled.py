"""A posterior whose probabilities are made flatter or sharper."""

import math

import torch
from torch import Tensor

from asktell.arrays import LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors.network import Source
from asktell.posteriors.on_demand import OnDemand
from asktell.posteriors.protocols import Draws, Posterior
from asktell.posteriors.weights import HasWeights
from asktell.rows import Rows, as_rows


class Scaled:
    """A posterior with all its log-probabilities divided by a temperature, then normalised: predictions and draws.

    Guo et al. 2017, section 4.2 (arXiv:1706.04599). Above 1 it is less sure, below 1 surer; the most probable class of
    a prediction stays what it is. The prediction of an ensemble is scaled after it is averaged. Raises `ModelError`
    unless the temperature is positive.

    >>> from asktell.posteriors import Deterministic
    >>> linear = torch.nn.Linear(1, 2)
    >>> _ = linear.load_state_dict({"weight": torch.zeros(2, 1), "bias": torch.tensor([0.0, 2.0])})
    >>> Scaled(Deterministic(linear), 2.0).predict(torch.zeros(1, 1)).exp()
    tensor([[0.2689, 0.7311]])
    """

    offers: frozenset[str] = frozenset({"log_probs"})

    def __init__(self, posterior: Posterior, temperature: float) -> None:
        if not (math.isfinite(temperature) and temperature > 0):
            raise ModelError(f"the temperature must be positive, not {temperature}")
        self.posterior, self.temperature = posterior, temperature

    @property
    def distinct(self) -> int | None:
        """That of the posterior."""
        return self.posterior.distinct

    def draw(self, k: int, *, generator: torch.Generator) -> "ScaledDraws":
        """The posterior's draws, scaled."""
        return ScaledDraws(self.posterior.draw(k, generator=generator), self.temperature)

    def predict(self, inputs: Source) -> PointLogProbs:
        """The posterior's prediction, scaled."""
        return scaled(self.posterior.predict(as_rows(inputs)), self.temperature)


class ScaledNetwork(Scaled):
    """The same of a posterior that has weights."""

    def weights(self) -> dict[str, Tensor]:
        """Those of the posterior under "posterior.", and "temperature"."""
        assert isinstance(self.posterior, HasWeights)  # `calibrated` saw to it
        inner = {f"posterior.{name}": weight for name, weight in self.posterior.weights().items()}
        return inner | {"temperature": torch.tensor(self.temperature, dtype=torch.float64)}


def calibrated(posterior: Posterior, temperature: float) -> Scaled:
    """The scaled posterior, which has weights if `posterior` has."""
    kind = ScaledNetwork if isinstance(posterior, HasWeights) else Scaled
    return kind(posterior, temperature)


class ScaledDraws:
    """Draws, scaled."""

    def __init__(self, draws: Draws, temperature: float) -> None:
        self._draws, self._temperature = draws, temperature

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        return scaled(self._draws.log_probs(as_rows(inputs)), self._temperature)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def scaled(log_probs: Tensor, temperature: float) -> Tensor:
    """log_softmax(log p / temperature) over the last axis."""
    return (log_probs / temperature).log_softmax(-1)
