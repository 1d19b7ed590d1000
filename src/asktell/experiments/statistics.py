"""What several seeds say together: means with intervals, paired differences, labels to a target, area.

From 5 seeds on an estimate carries a 95 % t-interval; below that only the range of the seeds, because an interval
from so few says little.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

from scipy.special import stdtrit

from asktell.errors import DataError
from asktell.experiments.curves import RecordedCell

INTERVAL_SEEDS = 5
TARGETS = (90, 95, 97)
"""Accuracies in percent to which labels are counted."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, between `low` and `high`: a 95 % t-interval from 5 seeds on, else the seeds' range."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def is_interval(self) -> bool:
        """Whether `low` and `high` are a 95 % interval."""
        return self.seeds >= INTERVAL_SEEDS


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of one value per seed, with its interval or range. Raises `DataError` without a value.

    >>> estimate([1.0, 2.0, 6.0])
    Estimate(mean=3.0, low=1.0, high=6.0, seeds=3)
    """
    if not values:
        raise DataError("a mean over seeds needs at least one seed")
    mean, seeds = fmean(values), len(values)
    if seeds < INTERVAL_SEEDS or not all(map(math.isfinite, values)):
        return Estimate(mean, min(values), max(values), seeds)
    half = float(stdtrit(seeds - 1, 0.975)) * stdev(values) / math.sqrt(seeds)
    return Estimate(mean, mean - half, mean + half, seeds)


def accuracy_by_size(cells: Sequence[RecordedCell]) -> dict[int, Estimate]:
    """Accuracy at each training-set size, over the seeds that have it."""
    return _by_size([cell.accuracies for cell in cells])


def difference_by_size(cells: Sequence[RecordedCell], reference: Sequence[RecordedCell]) -> dict[int, Estimate]:
    """Accuracy minus the reference's at each training-set size, paired by seed; empty without a common seed."""
    theirs = {cell.seed: cell.accuracies for cell in reference}
    pairs = [(cell.accuracies, theirs[cell.seed]) for cell in cells if cell.seed in theirs]
    return _by_size([{n: ours[n] - other[n] for n in ours if n in other} for ours, other in pairs])


def _by_size(curves: Sequence[Mapping[int, float]]) -> dict[int, Estimate]:
    sizes = sorted({n for curve in curves for n in curve})
    return {n: estimate([curve[n] for curve in curves if n in curve]) for n in sizes}


def labels_to(cell: RecordedCell, target: int) -> int | None:
    """The smallest training-set size at which the accuracy was at least `target` %; None if it never was."""
    return next((o.n_labelled for o in cell.outcomes if o.accuracy >= target / 100), None)


@dataclass(frozen=True)
class Crossing:
    """Labels to `target` % by seed; None where the target was not reached."""

    target: int
    by_seed: Mapping[int, int | None]

    @property
    def reached(self) -> tuple[int, ...]:
        """The labels of the seeds that reached the target."""
        return tuple(n for n in self.by_seed.values() if n is not None)

    @property
    def everywhere(self) -> bool:
        """Whether every seed reached it."""
        return len(self.reached) == len(self.by_seed)

    @property
    def mean(self) -> float | None:
        """Mean labels to the target; None unless every seed reached it, for the mean of the rest flatters."""
        return fmean(self.reached) if self.everywhere else None

    def __str__(self) -> str:
        missed, seeds = len(self.by_seed) - len(self.reached), len(self.by_seed)
        if self.mean is not None:
            return _mean_and_range(self.reached)
        start = f"{_range(self.reached)}; " if self.reached else ""
        return f"{start}not reached in {missed} of {seeds} seed{'s' if seeds > 1 else ''}"


def crossing(cells: Sequence[RecordedCell], target: int) -> Crossing:
    """Labels to `target` % in every seed."""
    return Crossing(target, {cell.seed: labels_to(cell, target) for cell in cells})


def labels_saved(
    cells: Sequence[RecordedCell], reference: Sequence[RecordedCell], target: int
) -> dict[int, int | None]:
    """The reference's labels to `target` % minus these, by common seed; None where either did not reach it."""
    ours, theirs = crossing(cells, target).by_seed, crossing(reference, target).by_seed
    return {seed: _minus(theirs[seed], ours[seed]) for seed in ours if seed in theirs}


def _minus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a - b


def area(cell: RecordedCell, *, until: int | None = None) -> float:
    """Mean accuracy along the curve: the area under it by trapezoids, divided by the range of training-set sizes.

    `until` leaves out larger training sets, so that curves of different lengths compare. Raises `DataError` if that
    leaves none.
    """
    points = [(n, y) for n, y in cell.accuracies.items() if until is None or n <= until]
    if not points:
        raise DataError(f"no model of {cell.strategy}, seed {cell.seed}, was trained on {until} labels or fewer")
    if len(points) == 1:
        return points[0][1]
    steps = pairwise(points)
    return sum((n - m) * (a + b) / 2 for (m, a), (n, b) in steps) / (points[-1][0] - points[0][0])


def fill_share(cells: Iterable[RecordedCell]) -> float:
    """The share of all picks that were fill; 0 if nothing was asked."""
    rounds = [(outcome.fill_share * len(outcome.ids), len(outcome.ids)) for c in cells for outcome in c.outcomes]
    asked = sum(n for _, n in rounds)
    return sum(filled for filled, _ in rounds) / asked if asked else 0.0


def saturated_share(cells: Iterable[RecordedCell]) -> float:
    """The share of the rounds that asked in which the batch method saturated; 0 if nothing was asked."""
    asking = [outcome for cell in cells for outcome in cell.outcomes if outcome.ids]
    return sum(o.saturated_at is not None for o in asking) / len(asking) if asking else 0.0


def seconds_by_phase(cells: Sequence[RecordedCell]) -> dict[str, float]:
    """Seconds of a whole run by phase, mean over the seeds."""
    phases = sorted({phase for cell in cells for o in cell.outcomes for phase in o.seconds})
    return {p: fmean(sum(o.seconds.get(p, 0.0) for o in cell.outcomes) for cell in cells) for p in phases}


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _mean_and_range(values: Sequence[int]) -> str:
    text = _range(values)
    return text if min(values) == max(values) else f"{plain(fmean(values))} ({text})"


def plain(number: float) -> str:
    """A number with at most one decimal.

    >>> plain(80.0), plain(82.46)
    ('80', '82.5')
    """
    return f"{number:.1f}".removesuffix(".0")


def points(estimate: Estimate) -> str:
    """A difference in percentage points, signed, with its interval or range.

    >>> points(Estimate(0.02, 0.01, 0.03, 1))
    '+2.0'
    """
    mean, low, high = (f"{100 * value:+.1f}" for value in (estimate.mean, estimate.low, estimate.high))
    if estimate.seeds == 1:
        return mean
    return f"{mean} [{low}, {high}]" if estimate.is_interval else f"{mean} ({low} to {high})"
