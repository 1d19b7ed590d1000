"""The learning curve as a drawing in SVG, for a page that runs no scripts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asktell.web.accuracies import Accuracy, Point

WIDTH, HEIGHT = 440.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 10.0, 34.0
_TICKS = 6
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what is written there."""

    at: float
    label: str


@dataclass(frozen=True)
class Dot:
    """A measured accuracy: where it is, and where its interval ends."""

    x: float
    y: float
    high: float
    low: float


@dataclass(frozen=True)
class Line:
    """One curve: `kind` as a class for its colour, SVG paths of the curve and of the band of its intervals."""

    kind: str
    name: str
    path: str
    band: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Plot:
    """All that is drawn, on `WIDTH` x `HEIGHT` units."""

    lines: tuple[Line, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def plot(points: Sequence[Point]) -> Plot:
    """Accuracy against labels, with the intervals as bands; `points` are not empty, by ascending n."""
    low, high = _span(found for point in points for found in (point.audit, point.held_out) if found)
    first, last = points[0].n, points[-1].n
    if first == last:
        first, last = first - 1, last + 1

    def x(n: int) -> float:
        return round(LEFT + (n - first) / (last - first) * (WIDTH - LEFT - RIGHT), 2)

    def y(share: float) -> float:
        return round(TOP + (high - share) / (high - low) * (HEIGHT - TOP - BOTTOM), 2)

    def line(kind: str, name: str, of: Sequence[tuple[int, Accuracy]]) -> Line:
        dots = tuple(Dot(x(n), y(found.value), y(found.high), y(found.low)) for n, found in of)
        there, back = ((dot.x, dot.high) for dot in dots), ((dot.x, dot.low) for dot in dots[::-1])
        return Line(kind, name, _path((dot.x, dot.y) for dot in dots), _path([*there, *back]) + "Z", dots)

    audit = [(point.n, point.audit) for point in points if point.audit]
    held_out = [(point.n, point.held_out) for point in points if point.held_out]
    lines = (("held-out", "Held-out", held_out), ("audit", "Audit", audit))
    return Plot(
        tuple(line(kind, name, of) for kind, name, of in lines if of),
        tuple(Tick(x(n), str(n)) for n in whole_ticks(first, last)),
        tuple(Tick(y(share), f"{round(100 * share)}") for share in _shares(low, high)),
    )


def whole_ticks(low: int, high: int) -> list[int]:
    """At most `_TICKS` round whole numbers from low to high.

    >>> whole_ticks(9, 73), whole_ticks(0, 1)
    ([10, 20, 30, 40, 50, 60, 70], [0, 1])
    """
    steps = (digit * 10**power for power in range(12) for digit in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= _TICKS + 1)
    return list(range(math.ceil(low / step) * step, high + 1, step))


def _span(found: Iterable[Accuracy]) -> tuple[float, float]:
    """All of the intervals and a little air, in steps of 5 %."""
    listed = list(found)
    lowest, highest = min(one.low for one in listed), max(one.high for one in listed)
    return max(0.0, math.floor(20 * lowest - 0.2) / 20), min(1.0, math.ceil(20 * highest + 0.2) / 20)


def _shares(low: float, high: float) -> list[float]:
    step = next(step for step in _STEPS if (high - low) / step <= _TICKS)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _path(corners: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in corners)
