"""The trainings of a project: appended; only the report grows when evaluations come later."""

import json
import math
from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select, update

from asktell.errors import ConflictError, ProjectError
from asktell.project import schema
from asktell.project.documents import to_json
from asktell.project.names import check_whole
from asktell.types import Training


def check(training: Training) -> None:
    """Raise `ProjectError` unless the training can be written down as it is."""
    check_whole(training.number, "training", least=0)
    check_whole(training.n_labelled, "n_labelled", least=0)
    if not 0 <= training.seconds < math.inf:
        raise ProjectError(f"a training took {training.seconds} seconds; measure a finite time, at least 0")
    to_json(dict(training.report), "the report of a training")


def record(connection: Connection, training: Training) -> None:
    """One more training. Raises `ConflictError` if its number is not the next."""
    newest = connection.scalar(select(func.max(schema.training.c.number)))
    following = 0 if newest is None else newest + 1
    if training.number != following:
        raise ConflictError(following, ())
    row = {name: getattr(training, name) for name in ("number", "model", "n_labelled", "started", "seconds", "error")}
    report = to_json(dict(training.report), "the report of a training")
    connection.execute(insert(schema.training), {**row, "report": report})


def merge_report(connection: Connection, number: int, report: Mapping[str, object]) -> None:
    """Put keys into a training's report. Raises `ProjectError` if there is no such training."""
    training = schema.training
    here = training.c.number == number
    was = connection.scalar(select(training.c.report).where(here))
    if was is None:
        raise ProjectError(f"the project has no training {number}; record it first with record_training")
    merged = to_json({**json.loads(was), **report}, "the report of a training")
    connection.execute(update(training).where(here).values(report=merged))


def read(connection: Connection) -> tuple[Training, ...]:
    """All trainings, oldest first."""
    rows = connection.execute(select(schema.training).order_by(schema.training.c.number))
    return tuple(
        Training(row.number, row.model, row.n_labelled, row.started, row.seconds, json.loads(row.report), row.error)
        for row in rows
    )
