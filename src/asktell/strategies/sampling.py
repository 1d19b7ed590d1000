"""Strategies that sample: uniformly, or around another strategy's score."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from asktell.arrays import Scores
from asktell.errors import SelectionError
from asktell.evidence import Evidence
from asktell.selection import Selection, power_sample, softmax_sample, softrank_sample
from asktell.strategies.protocols import Scored
from asktell.strategies.ranking import renormalised


@dataclass(frozen=True)
class Random:
    """Uniform without replacement: the baseline."""

    name: ClassVar[str] = "random"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """Any b candidates; every score is 0."""
        return softmax_sample(torch.zeros(evidence.n, dtype=torch.float64), b, beta=0.0, generator=generator)


class Sampler(Protocol):
    """A function of `asktell.selection` that samples by a score."""

    def __call__(self, scores: Scores, b: int, /, *, beta: float, generator: torch.Generator) -> Selection:
        """Pick b rows."""
        ...


@dataclass(frozen=True)
class Sampled:
    """A batch sampled without replacement, around the score of another strategy (Kirsch et al. 2023)."""

    sample: ClassVar[Sampler]
    inner: Scored
    beta: float = 1.0

    @property
    def needs(self) -> frozenset[str]:
        """What the score needs."""
        return self.inner.needs

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b candidates, in the order in which they were drawn."""
        scores = self.inner.scores(evidence, memory=memory)
        selection = self.sample(scores, b, beta=self.beta, generator=generator)
        return selection.reported(renormalised=renormalised(evidence))


@dataclass(frozen=True)
class Power(Sampled):
    """Weights score ** beta; the score must never be negative."""

    name: ClassVar[str] = "power"
    sample: ClassVar[Sampler] = staticmethod(power_sample)

    def __post_init__(self) -> None:
        if not self.inner.nonnegative:
            raise SelectionError(
                f"power sampling needs scores >= 0, and those of {self.inner!r} are not; use Softmax or Softrank"
            )


@dataclass(frozen=True)
class Softmax(Sampled):
    """Weights exp(beta * score)."""

    name: ClassVar[str] = "softmax"
    sample: ClassVar[Sampler] = staticmethod(softmax_sample)


@dataclass(frozen=True)
class Softrank(Sampled):
    """Weights rank ** -beta, rank 1 = best; ties rank at random."""

    name: ClassVar[str] = "softrank"
    sample: ClassVar[Sampler] = staticmethod(softrank_sample)
