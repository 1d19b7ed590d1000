"""How good the models were, as the reports of their trainings say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asktell.accuracy import wilson
from asktell.types import Audit, Training


@dataclass(frozen=True)
class Accuracy:
    """`correct` of `n` right, with Wilson's 95 % interval."""

    correct: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, 0..1."""
        return self.correct / self.n


def accuracy(training: Training, on: str) -> Accuracy | None:
    """What a training's report says of `on`, held_out or audit; None if nothing.

    >>> accuracy(Training(0, "m", 4, "", 1.0, {"audit": {"n": 4, "correct": 3}}), "audit").value
    0.75
    """
    told = training.report.get(on)
    if not isinstance(told, Mapping):
        return None
    n, correct = told.get("n"), told.get("correct")
    if not isinstance(n, int) or not isinstance(correct, int) or not 0 <= correct <= n or n < 1:
        return None
    return Accuracy(correct, n, *wilson(correct, n))


def newest(trainings: Sequence[Training], on: str) -> Accuracy | None:
    """The newest training's that has one."""
    return next((found for training in reversed(trainings) if (found := accuracy(training, on))), None)


@dataclass(frozen=True)
class Point:
    """The learning curve at `n` labels."""

    n: int
    held_out: Accuracy | None
    audit: Accuracy | None


def points(trainings: Sequence[Training]) -> tuple[Point, ...]:
    """The learning curve by ascending number of labels; of trainings with as many, the newest."""
    found: dict[int, Point] = {}
    for training in trainings:
        point = Point(training.n_labelled, accuracy(training, "held_out"), accuracy(training, "audit"))
        if point.held_out or point.audit:
            found[point.n] = point
    return tuple(found[n] for n in sorted(found))


def curve(trainings: Sequence[Training]) -> list[dict[str, object]]:
    """The same as JSON: n, and (value, low, high) or null of each."""
    return [
        {"n": point.n, "held_out": _told(point.held_out), "audit": _told(point.audit)} for point in points(trainings)
    ]


def why_unmeasured(trainings: Sequence[Training], audit: Audit, held_out: int) -> str:
    """Why there is no accuracy yet, in one sentence; `held_out`: how many items of the test set have labels.

    >>> why_unmeasured([], Audit(0.0, 0, 0, 0, 0, {}), 0)
    'Nothing measures it: no items are reserved or held out.'
    """
    if not audit.share and not held_out:
        return "Nothing measures it: no items are reserved or held out."
    if not any(training.error is None for training in trainings):
        return "It comes with the first training."
    if not held_out and not audit.answered:
        return "It comes with the first answer of the audit: every tenth question."
    return "It comes as soon as the model has predicted all items."


def _told(found: Accuracy | None) -> tuple[float, float, float] | None:
    return None if found is None else (found.value, found.low, found.high)
