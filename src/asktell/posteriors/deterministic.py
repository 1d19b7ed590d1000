"""One network, one function."""

import torch

from asktell.arrays import LogProbs
from asktell.errors import ModelError
from asktell.posteriors.network import Network, PointEvidence, Source
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import take_key
from asktell.rows import Rows, as_rows


class Deterministic(PointEvidence):
    """A network with its dropout switched off, as a posterior of a single function.

    Works on its own copy: training `module` further changes nothing here, and nothing here changes `module`.
    `head` names the layer whose input is `features`; None is the last nn.Linear. Log-probabilities come in the
    module's dtype, on the CPU.

    >>> posterior = Deterministic(torch.nn.Linear(2, 3))
    >>> posterior.draw(1, generator=torch.Generator()).log_probs(torch.zeros(4, 2)).shape
    torch.Size([4, 1, 3])
    """

    distinct: int | None = 1

    def draw(self, k: int, *, generator: torch.Generator) -> "PointDraws":
        """The one function there is; takes one key. Raises `ModelError` unless k is 1."""
        check_draws(k, self.distinct)
        take_key(generator)
        return PointDraws(self._network)


class PointDraws:
    """One draw: the deterministic pass."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, 1, c]."""
        return self._network.log_probs(inputs)[:, None]

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def check_draws(k: int, distinct: int | None) -> None:
    """Raise `ModelError` unless 1 <= k <= distinct."""
    if k < 1:
        raise ModelError(f"cannot draw {k} functions; k must be at least 1")
    if distinct is not None and k > distinct:
        raise ModelError(f"cannot draw k={k} different functions: this posterior has {distinct}")
