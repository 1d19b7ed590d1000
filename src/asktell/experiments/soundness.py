"""Whether what was learned besides the task was learned: what training says of itself, and what to expect of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Final

from asktell.experiments.curves import RecordedCell


@dataclass(frozen=True)
class Span:
    """The mean of a number over all rounds and seeds, and its extremes."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """
        >>> str(Span(0.5, 0.25, 1.0)), str(Span(12.0, 12.0, 12.0))
        ('0.5 (0.25 to 1)', '12')
        """
        mean, low, high = (f"{value:.4g}" for value in (self.mean, self.low, self.high))
        return mean if low == high else f"{mean} ({low} to {high})"


@dataclass(frozen=True)
class Demand:
    """What a number must be on average, or the part of the model that it speaks of does not work."""

    part: str
    limit: float
    at_least: bool = True

    def fault(self, mean: float) -> str | None:
        """What is wrong; None if nothing is.

        >>> Demand("the autoencoder's error beside that of the mean image", 0.5, at_least=False).fault(0.7)
        "the autoencoder's error beside that of the mean image is 0.7, and should be at most 0.5"
        """
        if (mean >= self.limit) if self.at_least else (mean <= self.limit):
            return None
        return f"{self.part} is {mean:.3g}, and should be at {'least' if self.at_least else 'most'} {self.limit:g}"


TASK: Final = "train_accuracy"

DEMANDS: Final[Mapping[str, Demand]] = MappingProxyType(
    {
        TASK: Demand("the network's accuracy on its own labels", 0.99),
        "vae_error_share": Demand("the autoencoder's error on held-out items, beside the mean item's,", 0.5, False),
        "discriminator_accuracy": Demand("the discriminator's accuracy on held-out items", 0.5),
        "rank_accuracy": Demand("the share of held-out pairs whose losses are ranked right", 0.5),
        "rank_accuracy_labelled": Demand("the share of labelled pairs whose losses are ranked right", 0.5),
    }
)
"""By the name under which training tells it."""


def spans(cells: Sequence[RecordedCell]) -> dict[str, Span]:
    """All that the rounds of some cells told, by name."""
    told = [outcome.told for cell in cells for outcome in cell.outcomes]
    return {
        name: _span([one[name] for one in told if name in one]) for name in sorted({n for one in told for n in one})
    }


def faults(told: Mapping[str, Span]) -> tuple[str, ...]:
    """What does not work, in words, where more was learned than the task.

    >>> faults({"train_accuracy": Span(0.9, 0.8, 1.0)})  # a network alone may be held back on purpose
    ()
    """
    known = {name: DEMANDS[name].fault(span.mean) for name, span in told.items() if name in DEMANDS}
    return tuple(fault for fault in known.values() if fault) if known.keys() > {TASK} or TASK not in known else ()


def _span(values: Sequence[float]) -> Span:
    return Span(fmean(values), min(values), max(values))
