"""Priors over weights, and how far a Gaussian is from them."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from asktell.errors import ProtocolError


@runtime_checkable
class Prior(Protocol):
    """A density over a weight, the same for all weights."""

    def log_density(self, weights: Tensor) -> Tensor:
        """log p(w) of every weight, in nats."""
        ...


@dataclass(frozen=True)
class GaussianPrior:
    """N(0, sd^2).

    >>> float(GaussianPrior(1.0).log_density(torch.zeros(())))  # doctest: +ELLIPSIS
    -0.9189...
    """

    sd: float = 1.0

    def __post_init__(self) -> None:
        check_positive("sd", self.sd)

    def log_density(self, weights: Tensor) -> Tensor:
        """log p(w) of every weight, in nats."""
        return log_normal(weights, 0.0, self.sd)

    def divergence(self, mean: Tensor, sd: Tensor) -> Tensor:
        """KL(N(mean, sd^2) || N(0, self.sd^2)) of every weight, in closed form, in nats."""
        return (self.sd / sd).log() + (sd.square() + mean.square()) / (2 * self.sd**2) - 0.5


@dataclass(frozen=True)
class ScaleMixture:
    """share N(0, wide^2) + (1 - share) N(0, narrow^2): few weights are large, most are next to nothing.

    Blundell et al. 2015, eq. 7 (arXiv:1505.05424), who try share in {1/4, 1/2, 3/4}, -log wide in {0, 1, 2} and
    -log narrow in {6, 7, 8}.
    """

    share: float = 0.5
    wide: float = 1.0
    narrow: float = math.exp(-6)

    def __post_init__(self) -> None:
        check_positive("wide", self.wide)
        check_positive("narrow", self.narrow)
        if not 0 < self.share < 1:
            raise ProtocolError(f"share must be between 0 and 1, not {self.share}")

    def log_density(self, weights: Tensor) -> Tensor:
        """log p(w) of every weight, in nats: a logsumexp, since the densities themselves vanish."""
        wide = log_normal(weights, 0.0, self.wide) + math.log(self.share)
        narrow = log_normal(weights, 0.0, self.narrow) + math.log1p(-self.share)
        return torch.logaddexp(wide, narrow)


def log_normal(x: Tensor, mean: Tensor | float, sd: Tensor | float) -> Tensor:
    """log N(x; mean, sd^2), in nats."""
    log_sd = sd.log() if isinstance(sd, Tensor) else math.log(sd)
    return -((x - mean) / sd).square() / 2 - log_sd - math.log(2 * math.pi) / 2


def check_positive(name: str, value: float) -> None:
    """Raise `ProtocolError` unless it is."""
    if not (math.isfinite(value) and value > 0):
        raise ProtocolError(f"{name} must be positive, not {value}")
