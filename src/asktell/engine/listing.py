"""All that a project knows about its items, row by row, with what the newest model predicts."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from asktell.engine import predictions
from asktell.engine.predictions import Predictions
from asktell.project import ItemState, Project, items, schema
from asktell.project.classes import present_name
from asktell.project.database import Database
from asktell.project.schema import ItemPart, exactly, standing


@dataclass(frozen=True)
class Answer:
    """One answer; `label` is None for a skip. One that was taken back no longer `stands`."""

    annotator: str
    label: str | None
    created: str
    stands: bool


@dataclass(frozen=True)
class Asked:
    """Why an item was asked: by which strategy, with which score, as which of its query (`rank` 1 is the first)."""

    query: int
    rank: int
    score: float
    probability: float | None
    strategy: Mapping[str, object]
    model: str | None
    created: str


@dataclass(frozen=True)
class Prediction:
    """Probability by class, entropy and BALD in nats."""

    probabilities: Mapping[str, float]
    entropy: float
    bald: float

    @property
    def label(self) -> str:
        """The likeliest class."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


@dataclass(frozen=True)
class Row:
    """One item: `part` is pool, audit or held-out; `label` is what its answers resolve to."""

    id: str
    state: str
    part: str
    label: str | None
    answers: tuple[Answer, ...] = ()
    asked: Asked | None = None
    prediction: Prediction | None = None


def rows(project: Project, *, labelled_only: bool = False) -> Iterator[Row]:
    """Every item but withdrawn ones, or only the labelled ones, in insertion order, as they stand in one moment.

    Raises `ProjectError` if the predictions on disk are damaged.
    """
    found = predictions.read(project.folder)
    predicted = _Predicted(found)
    database = Database(project.path)
    try:
        with database.reading() as connection:
            answers = _answers(connection)
            for row in connection.execution_options(yield_per=5000).execute(_items(labelled_only)):
                told = tuple(answers.get(row.number, ()))
                yield Row(row.id, row.state, row.part, row.label, told, _asked(row), predicted.of(row.id))
    finally:
        database.dispose()


def learnable(project: Project) -> dict[str, str]:
    """Id to class name of the labelled items that are neither reserved nor held out; no other item is read."""
    database = Database(project.path)
    try:
        with database.reading() as connection:
            return items.labels(connection, {ItemPart.POOL})
    finally:
        database.dispose()


class _Predicted:
    """Predictions by id. Files and items have one order, so a row is mostly the one after that of the item before."""

    def __init__(self, found: Predictions | None) -> None:
        self._found = found
        self._rows = {} if found is None else {id_: row for row, id_ in enumerate(found.ids)}

    def of(self, id_: str) -> Prediction | None:
        row, found = self._rows.get(id_), self._found
        if row is None or found is None:
            return None
        shares = dict(zip(found.classes, found.probabilities[row].tolist(), strict=True))
        return Prediction(shares, found.entropy[row].item(), found.bald[row].item())


def _items(labelled_only: bool) -> Select[Any]:
    item, question, query = schema.item, schema.question, schema.query
    wanted: ColumnElement[bool] = item.c.state != exactly(ItemState.WITHDRAWN)
    if labelled_only:
        wanted = item.c.state == exactly(ItemState.LABELLED)
    newest = (question.c.query == item.c.query) & (question.c.item == item.c.number)
    asked = (item.c.query, question.c.position, question.c.score, question.c.probability)
    why = (query.c.strategy, query.c.model, query.c.created)
    joined = item.outerjoin(question, newest).outerjoin(query, query.c.number == item.c.query)
    named = present_name(item.c.label).label("label")
    columns = (item.c.number, item.c.id, item.c.state, item.c.part, named, *asked, *why)
    return select(*columns).select_from(joined).where(wanted).order_by(item.c.number)


def _asked(row: Any) -> Asked | None:
    if row.query is None:
        return None
    strategy = json.loads(row.strategy)
    return Asked(row.query, row.position + 1, row.score, row.probability, strategy, row.model, row.created)


def _answers(connection: Connection) -> Mapping[int, Sequence[Answer]]:
    """By number of the item, oldest first."""
    annotation = schema.annotation.c
    name = present_name(annotation.label).label("name")
    columns = (annotation.item, annotation.annotator, name, annotation.created, standing.label("stands"))
    found: defaultdict[int, list[Answer]] = defaultdict(list)
    for row in connection.execute(select(*columns).order_by(annotation.number)):
        found[row.item].append(Answer(row.annotator, row.name, row.created, bool(row.stands)))
    return found
