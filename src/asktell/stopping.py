"""When to stop asking: criteria that look at predictions and at answers that were asked for, never at test labels.

A round is one training. `Measures` puts numbers to a round, `advise` judges the newest rounds by them: a criterion is
met if it holds over the last `WINDOW` rounds together. The advice is to stop when criteria of `NEEDED` kinds are met
and there were `MINIMUM` rounds at least. Kinds, because a model that always predicts the largest class agrees with
itself in more than one way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from asktell.errors import EvidenceError

Predicted = Int64[Tensor, " n"]
"""Class numbers."""

WINDOW: Final = 3
"""Rounds over which a criterion must hold."""
MINIMUM: Final = 5
"""Rounds before any advice to stop."""
NEEDED: Final = 2
"""Kinds of criteria that must be met at once."""
KINDS: Final[Mapping[str, str]] = {
    "kappa": "agreement",
    "change": "agreement",
    "overall": "certainty",
    "largest": "certainty",
    "information": "certainty",
    "selected": "answers",
}
"""What a criterion looks at: one model after the other, one model's certainty, or the answers that came."""


@dataclass(frozen=True)
class Thresholds:
    """From where on a criterion holds. Each field says for what."""

    kappa: float = 0.99  # mean agreement beyond chance, at least (Bloodgood & Vijay-Shanker 2009)
    change: float = 0.0  # share of predictions that changed, at most (Zhu et al. 2008)
    overall: float = 0.05  # mean entropy / log c, at most (Zhu et al. 2008)
    largest: float = 0.5  # largest entropy / log c, at most
    selected: float = 0.95  # accuracy on the answers asked for, before they were learnt, at least (Zhu et al. 2008)
    information: float = 0.05  # largest BALD in nats, at most


@dataclass(frozen=True)
class Measures:
    """A round in numbers; None where it cannot be told (the first round has none before it).

    `kappa` and `change` compare with the round before on the stop set; `overall` is 0..1 on the stop set; `largest`
    (0..1) and `information` (nats) are maxima over what is not labelled yet; `selected` is the accuracy, 0..1, of the
    model of the round before on the answers that came since, of `selected_count` questions.
    """

    kappa: float | None = None
    change: float | None = None
    overall: float | None = None
    largest: float | None = None
    information: float | None = None
    selected: float | None = None
    selected_count: int = 0

    def to_json(self) -> dict[str, object]:
        """The entries that can be told."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, document: Mapping[str, object]) -> "Measures":
        """What `to_json` described; other entries are left alone."""
        return cls(**{name: document[name] for name in cls.__dataclass_fields__ if name in document})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Criterion:
    """One criterion: the newest rounds' value as one number, and whether that is enough. None = not known yet."""

    name: str
    value: float | None
    threshold: float
    met: bool
    sentence: str


@dataclass(frozen=True)
class Advice:
    """What the criteria say together, in one sentence."""

    stop: bool
    sentence: str
    rounds: int
    criteria: tuple[Criterion, ...]

    def to_json(self) -> dict[str, object]:
        """As nested dictionaries."""
        return {**asdict(self), "criteria": [asdict(criterion) for criterion in self.criteria]}


def kappa(before: Predicted, after: Predicted) -> float:
    """Cohen's agreement beyond chance between two predictions of the same items: 1 for equal ones, 0 for chance.

    1 on perfect agreement, also where chance alone gives that (0 / 0). Bloodgood & Vijay-Shanker 2009, section 3.

    >>> kappa(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]))
    0.5
    """
    _check_pair(before, after)
    agreed = float((before == after).double().mean())
    if agreed == 1.0:
        return 1.0
    classes = int(torch.maximum(before.max(), after.max())) + 1
    shares = [torch.bincount(labels, minlength=classes).double() / len(labels) for labels in (before, after)]
    chance = float(shares[0] @ shares[1])
    return (agreed - chance) / (1 - chance)


def change(before: Predicted, after: Predicted) -> float:
    """Share of the items whose predicted class changed, 0 to 1 (Zhu et al. 2008: classification change).

    >>> change(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 1, 0]))
    0.25
    """
    _check_pair(before, after)
    return float((before != after).double().mean())


def overall_uncertainty(entropy: Float[Tensor, " n"], classes: int) -> float:
    """Mean entropy as a share of the largest possible, log c: 0 to 1 (Zhu et al. 2008).

    >>> overall_uncertainty(torch.tensor([0.0, math.log(2)]), 2)
    0.5
    """
    return float(_shares(entropy, classes).mean())


def max_uncertainty(entropy: Float[Tensor, " n"], classes: int) -> float:
    """Largest entropy as a share of log c, 0 to 1 (Zhu et al. 2008)."""
    return float(_shares(entropy, classes).max())


def max_information(bald: Float[Tensor, " n"]) -> float:
    """The most that any one label would tell about the model, in nats."""
    if len(bald) == 0:
        raise EvidenceError("there are no items to take the largest information of")
    return float(bald.max())


def selected_accuracy(predicted: Predicted, answered: Predicted) -> float:
    """Share of the asked items that the model had right before it learnt the answers (Zhu et al. 2008)."""
    _check_pair(predicted, answered)
    return float((predicted == answered).double().mean())


def advise(rounds: Sequence[Measures], *, thresholds: Thresholds | None = None, minimum: int = MINIMUM) -> Advice:
    """What `rounds`, oldest first, say about stopping.

    >>> calm = Measures(kappa=1.0, change=0.0, overall=0.01, largest=0.02, information=0.01, selected=1.0)
    >>> advise([calm] * 5).stop, advise([calm] * 4).stop
    (True, False)
    """
    limits = thresholds or Thresholds()
    criteria = tuple(_judged(name, rounds[-WINDOW:], getattr(limits, name)) for name in _SENTENCES)
    met = [criterion.name for criterion in criteria if criterion.met]
    stop = len({KINDS[name] for name in met}) >= NEEDED and len(rounds) >= minimum
    return Advice(stop, _summed_up(stop, len(met), len(rounds), minimum), len(rounds), criteria)


_AT_LEAST: Final = frozenset({"kappa", "selected"})
_MEAN: Final = frozenset({"kappa"})  # the others must hold in each round

_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "kappa": (
        "One model after the other predicts the same: new labels hardly change its mind.",
        "The model still changes its mind from one training to the next: new labels still teach it something.",
    ),
    "change": (
        "Not one prediction changed over the last trainings.",
        "Some predictions still changed over the last trainings.",
    ),
    "overall": (
        "On the whole the model is sure of its predictions.",
        "On the whole the model is not yet sure of its predictions.",
    ),
    "largest": (
        "There is no item left that the model is very unsure about.",
        "There are still items that the model is very unsure about.",
    ),
    "information": (
        "No single label would tell the model much any more.",
        "There are still single labels that would tell the model a lot.",
    ),
    "selected": (
        "The model knew the answers to its hardest questions before they were given.",
        "The model still gets many of the questions wrong that it asks.",
    ),
}
_UNKNOWN: Final = "This cannot be told yet: it takes more trainings."


def _judged(name: str, newest: Sequence[Measures], threshold: float) -> Criterion:
    values = [value for value in (getattr(measures, name) for measures in newest) if value is not None]
    value = _summary(name, values) if values else None
    if value is None or len(values) < WINDOW:
        return Criterion(name, value, threshold, False, _UNKNOWN)
    met = value >= threshold if name in _AT_LEAST else value <= threshold
    return Criterion(name, value, threshold, met, _SENTENCES[name][0 if met else 1])


def _summary(name: str, values: Sequence[float]) -> float:
    """The mean, or the round that is farthest from the goal."""
    if name in _MEAN:
        return math.fsum(values) / len(values)
    return min(values) if name in _AT_LEAST else max(values)


def _summed_up(stop: bool, met: int, rounds: int, minimum: int) -> str:
    if stop:
        return f"You can stop: {met} of {len(_SENTENCES)} signs say that more labels will change little."
    if rounds < minimum:
        return f"Go on: it is too early to tell. Advice begins after {minimum} trainings; there were {rounds}."
    if met:
        return f"Go on: {met} of {len(_SENTENCES)} signs say that more labels would change little, the others do not."
    return "Go on: more labels still make the model better."


def _shares(entropy: Tensor, classes: int) -> Tensor:
    if classes < 2 or len(entropy) == 0:
        raise EvidenceError(f"uncertainty needs items and two classes, not {len(entropy)} items and {classes} classes")
    return (entropy.double() / math.log(classes)).clamp(0.0, 1.0)


def _check_pair(before: Tensor, after: Tensor) -> None:
    if len(before) != len(after) or len(before) == 0:
        raise EvidenceError(
            f"two predictions of the same items are needed, not of {len(before)} and {len(after)}; "
            "predict the same stop set with both models"
        )
