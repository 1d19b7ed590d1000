"""Two posteriors as one: one is asked for evidence, the other predicts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from asktell.arrays import Features, PointLogProbs, Scores
from asktell.posteriors.protocols import Draws, Posterior, Timed
from asktell.posteriors.weights import HasWeights
from asktell.rows import Rows


class Proxied:
    """All evidence is that of `proxy`, predictions are those of `target`.

    Coleman et al. 2020, section 2 (arXiv:1906.11829). `told` is what training said of itself, by name, and `seconds`
    how long its parts took. `proxied` makes it.
    """

    def __init__(
        self,
        proxy: Posterior,
        target: Posterior,
        *,
        told: Mapping[str, float] | None = None,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.proxy, self.target = proxy, target
        self._evidence: Any = proxy  # what it offers besides a posterior's own stands in `offers`
        self._told, self._seconds = dict(told or {}), dict(seconds or {})

    @property
    def offers(self) -> frozenset[str]:
        """What the proxy offers."""
        return self.proxy.offers

    @property
    def told(self) -> Mapping[str, float]:
        """What training said of itself, by name."""
        return dict(self._told)

    @property
    def seconds(self) -> Mapping[str, float]:
        """How long parts of training took, by name."""
        return dict(self._seconds)

    @property
    def distinct(self) -> int | None:
        """That of the proxy."""
        return self.proxy.distinct

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        """The proxy's draws."""
        return self.proxy.draw(k, generator=generator)

    def predict(self, inputs: Rows) -> PointLogProbs:
        """The target's predictions."""
        return self.target.predict(inputs)

    def point_log_probs(self, inputs: Rows) -> PointLogProbs:
        """Those of the proxy."""
        found: PointLogProbs = self._evidence.point_log_probs(inputs)
        return found

    def features(self, inputs: Rows) -> Features:
        """Those of the proxy."""
        found: Features = self._evidence.features(inputs)
        return found

    def utility(self, inputs: Rows) -> Scores:
        """That of the proxy."""
        found: Scores = self._evidence.utility(inputs)
        return found


class ProxiedNetworks(Proxied):
    """The same of two posteriors that have weights."""

    def weights(self) -> dict[str, Tensor]:
        """Those of the proxy under "proxy.", those of the target under "target."."""
        return {
            f"{who}.{name}": weight
            for who, posterior in (("proxy", self.proxy), ("target", self.target))
            if isinstance(posterior, HasWeights)
            for name, weight in posterior.weights().items()
        }


def proxied(
    proxy: Posterior,
    target: Posterior,
    *,
    told: Mapping[str, float] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> Proxied:
    """`Proxied`; one that has weights if both have.

    >>> from asktell.posteriors import Deterministic
    >>> small, large = torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.Linear(2, 9), torch.nn.Linear(9, 3))
    >>> posterior = proxied(Deterministic(small), Deterministic(large))
    >>> posterior.features(torch.zeros(4, 2)).shape, posterior.predict(torch.zeros(4, 2)).shape
    (torch.Size([4, 2]), torch.Size([4, 3]))
    """
    both = isinstance(proxy, HasWeights) and isinstance(target, HasWeights)
    return (ProxiedNetworks if both else Proxied)(proxy, target, told=told, seconds=seconds)


def seconds_of(posterior: Posterior) -> dict[str, float]:
    """How long the parts of its training took; nothing if it is one that does not say.

    >>> from asktell.posteriors import Deterministic
    >>> small = Deterministic(torch.nn.Linear(2, 3))
    >>> seconds_of(proxied(small, small, seconds={"fit proxy": 0.5})), seconds_of(small)
    ({'fit proxy': 0.5}, {})
    """
    return dict(posterior.seconds) if isinstance(posterior, Timed) else {}
