"""Strategies that ask the b items with the highest score."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from asktell import scores
from asktell.arrays import Scores, is_half
from asktell.evidence import Evidence
from asktell.rows import score
from asktell.selection import Selection, top_k

DRAWS = frozenset({"log_probs"})
POINT = frozenset({"point_log_probs"})
UTILITY = frozenset({"utility"})


class Score(Protocol):
    """A function of `asktell.scores`."""

    def __call__(self, log_probs: Tensor, /) -> Tensor:
        """[n, k, c] -> [n]."""
        ...


class Ranking(ABC):
    """A score, and the b items where it is highest."""

    nonnegative: ClassVar[bool] = True

    @abstractmethod
    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """One number per candidate, higher = ask sooner."""

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """The b highest scores; ties in random order."""
        selection = top_k(self.scores(evidence, memory=memory), b, generator=generator)
        return selection.reported(renormalised=renormalised(evidence))


class OfDraws(Ranking):
    """A score of how the draws predict."""

    needs: ClassVar[frozenset[str]] = DRAWS
    score: ClassVar[Score]

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """The score of every candidate's draws."""
        return score(self.score, evidence.require("log_probs"), memory=memory)


@dataclass(frozen=True)
class OfMean(Ranking):
    """A score of the mean prediction; `point=True` takes one deterministic pass instead of the mean over draws."""

    score: ClassVar[Score]
    point: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """`log_probs`, or `point_log_probs`."""
        return POINT if self.point else DRAWS

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """The score of every candidate's mean, or deterministic, prediction."""
        if self.point:
            return score(lambda rows: self.score(rows[:, None, :]), evidence.require("point_log_probs"), memory=memory)
        return score(self.score, evidence.require("log_probs"), memory=memory)


@dataclass(frozen=True)
class LeastConfident(OfMean):
    """Least confident prediction (Lewis & Gale 1994)."""

    name: ClassVar[str] = "least-confident"
    score: ClassVar[Score] = staticmethod(scores.least_confident)


@dataclass(frozen=True)
class Margin(OfMean):
    """Smallest lead of the likeliest class (Scheffer et al. 2001)."""

    name: ClassVar[str] = "margin"
    nonnegative: ClassVar[bool] = False
    score: ClassVar[Score] = staticmethod(scores.margin)


@dataclass(frozen=True)
class Entropy(OfMean):
    """Largest total uncertainty ("max entropy" in Gal et al. 2017)."""

    name: ClassVar[str] = "entropy"
    score: ClassVar[Score] = staticmethod(scores.entropy)


@dataclass(frozen=True)
class MCVariationRatio(OfDraws):
    """Most draws outvoted (Gal et al. 2017)."""

    name: ClassVar[str] = "mc-variation-ratio"
    score: ClassVar[Score] = staticmethod(scores.mc_variation_ratio)


@dataclass(frozen=True)
class MeanStd(OfDraws):
    """Largest mean standard deviation over draws (Kampffmeyer et al. 2016)."""

    name: ClassVar[str] = "mean-std"
    score: ClassVar[Score] = staticmethod(scores.mean_std)


@dataclass(frozen=True)
class VoteEntropy(OfDraws):
    """Largest entropy of the draws' votes (Dagan & Engelson 1995)."""

    name: ClassVar[str] = "vote-entropy"
    score: ClassVar[Score] = staticmethod(scores.vote_entropy)


@dataclass(frozen=True)
class MaxKL(OfDraws):
    """Most deviant draw (after McCallum & Nigam 1998)."""

    name: ClassVar[str] = "max-kl"
    score: ClassVar[Score] = staticmethod(scores.max_kl)


@dataclass(frozen=True)
class BALD(OfDraws):
    """Largest information about the model, each item taken alone (Houlsby et al. 2011)."""

    name: ClassVar[str] = "bald"
    score: ClassVar[Score] = staticmethod(scores.bald)


@dataclass(frozen=True)
class EPIG(Ranking):
    """Largest expected information about the predictions on the targets (Bickford Smith et al. 2023)."""

    name: ClassVar[str] = "epig"
    needs: ClassVar[frozenset[str]] = DRAWS | {"target_log_probs"}

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """`scores.epig`."""
        targets = evidence.tensor("target_log_probs")
        return score(lambda rows: scores.epig(rows, targets), evidence.require("log_probs"), memory=memory)


@dataclass(frozen=True)
class Utility(Ranking):
    """Largest utility: the score is whatever the learner offers under that name."""

    name: ClassVar[str] = "utility"
    nonnegative: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = UTILITY

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """The utility of every candidate; computed now, if it is offered on demand."""
        return score(lambda rows: rows.detach(), evidence.require("utility"), memory=memory)


def renormalised(evidence: Evidence) -> bool:
    """Whether the candidates' predictions came in a half type."""
    found = [rows for rows in (evidence.log_probs, evidence.point_log_probs) if rows is not None]
    return any(is_half(rows[0:1]) for rows in found)
