"""Labels that the model gives itself, for one fit."""

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import torch
from torch import Tensor

from asktell import scores
from asktell.arrays import PointLogProbs, Scores
from asktell.errors import ModelError, ProtocolError
from asktell.learners.protocols import Learner, Round
from asktell.posteriors import Posterior, WithUtility, told_by, with_utility
from asktell.rows import Rows, as_rows

UNCERTAINTIES: Final = MappingProxyType(
    {"entropy": scores.entropy, "least-confident": scores.least_confident, "margin": scores.margin}
)
"""Scores that items can be asked by."""


@dataclass(frozen=True)
class PseudoLabels:
    """Fits the learner, lets it label the items that it is sure of, and fits it again on both kinds of labels.

    Wang et al. 2017, algorithm 1 (arXiv:1701.03551). An unlabelled item whose predicted entropy is below the threshold
    of the round gets its likeliest class. Both fits start from the same random numbers; if no item is accepted, the
    first stays. The labels are gone after the fit: they are in no `Round` but that of the second, and in no project.

    `threshold` nats hold in round 0 and fall with t, the number of the round: by decay * t (t + 1) / 2 if `schedule` is
    "cumulative", as the paper's update reads, by decay * t if it is "linear"; below zero they are zero.

    The posterior offers `utility`, the uncertainty `by` of its predictions ("entropy", "margin", "least-confident"),
    by which an item with a pseudo-label comes after all others. As many as will be asked (`Round.batch`) are
    never accepted, the most uncertain ones by the first fit, so that asked and accepted items never overlap.

    `told`: `pseudo_labels`, how many; `pseudo_entropy_threshold`; `train_accuracy`, on the true labels alone. `fit`
    takes from the generator what one fit of the learner takes. It raises `ModelError` as the learner does, and for a
    round without `unlabelled`.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = PseudoLabels(SingleNetwork(two_moons_mlp, Training(epochs=200, batch=None, lr=0.01)))
    >>> points, middle = torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), torch.zeros(1, 2)
    >>> unlabelled = torch.cat([points, middle])
    >>> round = Round(0, ("low", "high"), points, torch.tensor([0, 1]), unlabelled=unlabelled, batch=1)
    >>> learner.fit(round, generator=torch.Generator()).told["pseudo_labels"]
    2.0
    """

    learner: Learner
    threshold: float = 0.05
    decay: float = 0.0033
    schedule: Literal["cumulative", "linear"] = "cumulative"
    by: Literal["entropy", "least-confident", "margin"] = "entropy"

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("decay", self.decay)):
            if not (math.isfinite(value) and value >= 0):
                raise ProtocolError(f"{name} must be zero or more, not {value}")
        if self.schedule not in ("cumulative", "linear"):
            raise ProtocolError(f"schedule must be 'cumulative' or 'linear', not {self.schedule!r}")
        if self.by not in UNCERTAINTIES:
            raise ProtocolError(f"by must be one of {', '.join(UNCERTAINTIES)}, not {self.by!r}")

    @property
    def offers(self) -> frozenset[str]:
        """What the learner offers, and `utility`."""
        return self.learner.offers | {"utility"}

    def threshold_in(self, number: int) -> float:
        """The threshold in nats of a round, counted from 0."""
        steps = number * (number + 1) / 2 if self.schedule == "cumulative" else number
        return max(0.0, self.threshold - self.decay * steps)

    def fit(self, round: Round, *, generator: torch.Generator) -> WithUtility:  # noqa: A002
        """Fit on the labelled rows, then on them and on those that the first fit is sure of."""
        if round.unlabelled is None:
            raise ModelError("pseudo-labels need the items that they may go to: Round(unlabelled=...)")
        again = generator.clone_state()
        first = self.learner.fit(round, generator=generator)
        predicted = first.predict(round.unlabelled)
        sure = self._sure(predicted, round)
        rows = sure(predicted).nonzero().squeeze(1)
        told = {"pseudo_labels": float(len(rows)), "pseudo_entropy_threshold": sure.threshold}
        if not len(rows):
            return with_utility(first, Worth(first, self.by), told=told)
        taught = _with(round, rows, predicted[rows].argmax(1))
        second = self.learner.fit(taught, generator=again)
        return with_utility(second, Worth(second, self.by, first, sure.widened()), told=told | _true(second, round))

    def _sure(self, predicted: PointLogProbs, data: Round) -> "Sure":
        threshold = self.threshold_in(data.number)
        kept = min(data.batch or 0, len(predicted))
        if not kept:
            return Sure(self.by, threshold, math.inf)
        least = float(uncertainty(self.by, predicted).topk(kept).values[-1])
        return Sure(self.by, threshold, least - 2 * _room(least))


@dataclass(frozen=True)
class Sure:
    """Which predictions are sure: entropy below `threshold`, and the uncertainty `by` below `least`."""

    by: str
    threshold: float
    least: float

    def __call__(self, predicted: PointLogProbs) -> Tensor:
        """bool [n]."""
        return (uncertainty("entropy", predicted) < self.threshold) & (uncertainty(self.by, predicted) < self.least)

    def widened(self) -> "Sure":
        """The same with some room for rounding: what was sure still is, the most uncertain still are not."""
        return Sure(self.by, self.threshold + _room(self.threshold), self.least + _room(self.least))


@dataclass(frozen=True)
class Worth:
    """The uncertainty of predictions, lowered below that of all others where `first` was `sure`."""

    posterior: Posterior
    by: str
    first: Posterior | None = None
    sure: Sure | None = None

    def __call__(self, inputs: Rows) -> Scores:
        """A number per row, higher = ask sooner."""
        predicted = self.posterior.predict(inputs)
        worth = uncertainty(self.by, predicted)
        if self.first is None or self.sure is None:
            return worth
        below = 1 + math.log(predicted.shape[1])  # more than from the highest to the lowest
        return worth - below * self.sure(self.first.predict(inputs))


@dataclass(frozen=True)
class Joined:
    """Rows of one kind, then those of another at some places (ascending), read when they are asked for."""

    head: Rows
    tail: Rows
    places: Tensor

    def __len__(self) -> int:
        return len(self.head) + len(self.places)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.take(torch.arange(*rows.indices(len(self))))

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        here = indices < len(self.head)
        there = self.places[indices[~here] - len(self.head)]
        return torch.cat([self.head.take(indices[here]), self.tail.take(there)])


def uncertainty(by: str, predicted: PointLogProbs) -> Scores:
    """The score called `by` of predictions [n, c]."""
    return UNCERTAINTIES[by](predicted[:, None])


def _room(value: float) -> float:
    """By how much an uncertainty may differ with the rows that a network runs together."""
    return 1e-6 + 1e-5 * abs(value)


def _with(data: Round, rows: Tensor, classes: Tensor) -> Round:
    """The round with these unlabelled rows as labelled ones."""
    assert data.unlabelled is not None  # fit saw to it
    labels = torch.cat([data.labels, classes.to(data.labels)])
    return replace(data, inputs=Joined(as_rows(data.inputs), as_rows(data.unlabelled), rows), labels=labels)


def _true(posterior: Posterior, data: Round) -> dict[str, float]:
    """Of a posterior that tells an accuracy on its labels, that on the true ones."""
    if "train_accuracy" not in told_by(posterior):
        return {}
    right = posterior.predict(data.inputs).argmax(1) == data.labels.cpu()
    return {"train_accuracy": float(right.double().mean())}
