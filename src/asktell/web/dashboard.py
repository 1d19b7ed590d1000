"""What the dashboard shows: how good the model is, what labels cost so far, and what there is to do."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asktell.project import Status
from asktell.project.worker import Notice
from asktell.types import Audit, Budget, Question, Training
from asktell.web import accuracies, why
from asktell.web.accuracies import Accuracy
from asktell.web.advice import Advice
from asktell.web.desk import Desk
from asktell.web.showing import Shown

SUMMARY = "predictions-summary.json"
LISTED, TRAININGS = 10, 6


@dataclass(frozen=True)
class Share:
    """One bar: a class, how many labels it has, and how long the bar is, 0..1 of the longest."""

    label: str
    count: int
    length: float


@dataclass(frozen=True)
class Unsure:
    """An item with what the model thinks of it: the likeliest classes and their probabilities; entropy in nats."""

    shown: Shown
    guesses: tuple[tuple[str, float], ...]
    entropy: float


@dataclass(frozen=True)
class Asked:
    """An open question as the queue shows it."""

    shown: Shown
    strategy: str
    score: float


@dataclass(frozen=True)
class Board:
    """All that the dashboard's page needs, read at one time."""

    worker: Notice
    status: Status
    closed: int
    trainings: tuple[Training, ...]
    held_out: Accuracy | None
    audited: Accuracy | None
    curve: str
    unmeasured: str
    advice: Advice | None
    stops_itself: bool
    balance: tuple[Share, ...]
    queue: tuple[Asked, ...]
    most: tuple[Unsure, ...]
    least: tuple[Unsure, ...]
    audit: Audit
    skipped: tuple[Shown, ...]
    flagged: tuple[Shown, ...]

    @property
    def budget(self) -> Budget:
        """Labels bought, on order, and left."""
        return self.status.budget

    @property
    def newest(self) -> Training | None:
        """The newest training that gave a model."""
        return next((training for training in reversed(self.trainings) if training.error is None), None)

    @property
    def recent(self) -> tuple[Training, ...]:
        """The newest trainings, the newest first."""
        return self.trainings[: -TRAININGS - 1 : -1]


def board(desk: Desk) -> Board:
    """The dashboard as of now."""
    project, summary = desk.project, desk.document(SUMMARY)
    status, trainings, audit = project.status(), project.trainings, project.audit
    return Board(
        worker=desk.notice(),
        status=status,
        closed=project.n_closed_questions,
        trainings=trainings,
        held_out=accuracies.newest(trainings, "held_out"),
        audited=accuracies.newest(trainings, "audit"),
        curve=json.dumps(accuracies.curve(trainings)),
        unmeasured=accuracies.why_unmeasured(trainings, audit, status.held_out["labelled"]),
        advice=desk.advice(),
        stops_itself=desk.settings.get("stop") is True,
        balance=shares(desk.catalogue.balance()),
        queue=_queue(desk, project.questions(LISTED, audit=False)),
        most=_unsure(desk, summary, "most"),
        least=_unsure(desk, summary, "least"),
        audit=audit,
        skipped=_shown(desk, project.skipped[:LISTED]),
        flagged=_shown(desk, project.flagged[:LISTED]),
    )


def shares(labels: Mapping[str, int]) -> tuple[Share, ...]:
    """Counts by class as bars; the longest has the length 1.

    >>> [share.length for share in shares({"owl": 4, "wren": 1})]
    [1.0, 0.25]
    """
    most = max(labels.values(), default=0) or 1
    return tuple(Share(label, count, count / most) for label, count in labels.items())


def _queue(desk: Desk, questions: Sequence[Question]) -> tuple[Asked, ...]:
    shown = desk.showing.items([question.item for question in questions])
    return tuple(Asked(shown[question.item], why.named(question.strategy), question.score) for question in questions)


def _unsure(desk: Desk, summary: Mapping[str, object], end: str) -> tuple[Unsure, ...]:
    """The items at one end of the worker's summary; those that make no sense are left out."""
    listed, classes = summary.get(end), summary.get("classes") or desk.project.classes
    told = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    known = desk.catalogue.numbers([str(one.get("id")) for one in told])
    lines = [one for one in told if one.get("id") in known][:LISTED]
    shown = desk.showing.items([str(one["id"]) for one in lines])
    names = [str(name) for name in classes] if isinstance(classes, list | tuple) else []
    return tuple(Unsure(shown[str(one["id"])], _guesses(one, names), _number(one.get("entropy"))) for one in lines)


def _guesses(one: Mapping[str, object], classes: Sequence[str]) -> tuple[tuple[str, float], ...]:
    probabilities = one.get("probabilities")
    if not isinstance(probabilities, list) or len(probabilities) != len(classes):
        return ()
    likeliest = sorted(zip(classes, map(_number, probabilities), strict=True), key=lambda guess: -guess[1])
    return tuple(likeliest[:2])


def _shown(desk: Desk, ids: Sequence[str]) -> tuple[Shown, ...]:
    return tuple(desk.showing.items(ids).values())


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
