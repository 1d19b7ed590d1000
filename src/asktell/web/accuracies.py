"""How good the models were, as the reports of their trainings say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asktell.accuracy import wilson
from asktell.types import Training


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


def curve(trainings: Sequence[Training]) -> list[dict[str, object]]:
    """Points of the learning curve by ascending number of labels; of trainings with as many, the newest."""
    points: dict[int, dict[str, object]] = {}
    for training in trainings:
        both = {on: accuracy(training, on) for on in ("held_out", "audit")}
        if any(both.values()):
            told = {on: found and (found.value, found.low, found.high) for on, found in both.items()}
            points[training.n_labelled] = {"n": training.n_labelled, **told}
    return [points[n] for n in sorted(points)]
