"""Answers that no longer stand: taken back by whoever gave them, or skips whose item was released."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from asktell.errors import ProjectError
from asktell.project import items, schema
from asktell.project.items import chunks
from asktell.project.schema import ItemState, Reason, standing


def retract(connection: Connection, annotations: Sequence[int], reason: Reason) -> None:
    """From now on these answers decide nothing."""
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    for chunk in chunks(annotations):
        rows = [{"annotation": number, "reason": reason.value, "created": created} for number in chunk]
        connection.execute(insert(schema.retraction), rows)


def release(connection: Connection, ids: Sequence[str]) -> None:
    """Make skipped items free again: their answers no longer stand. Raises `ProjectError` for one not skipped."""
    found, annotation = items.find(connection, ids), schema.annotation.c
    for id_, item in found.items():
        if item.state is not ItemState.SKIPPED:
            raise ProjectError(f"item {id_!r} is {item.state}, not skipped; only skipped items can be released")
    skipped = list(found.values())
    items.move(connection, skipped, ItemState.SKIPPED, ItemState.FREE)
    for chunk in chunks(skipped):
        told = annotation.item.in_([item.number for item in chunk]) & standing
        stood = select(annotation.number).where(told).order_by(annotation.number)
        retract(connection, connection.scalars(stood).all(), Reason.RELEASED)


def was_released(connection: Connection, number: int, query: int) -> bool:
    """Whether an item was released after this query asked for it."""
    annotation, retraction = schema.annotation, schema.retraction
    joined = annotation.join(retraction, retraction.c.annotation == annotation.c.number)
    here = (annotation.c.item == number) & (annotation.c.query == query) & (retraction.c.reason == Reason.RELEASED)
    return connection.scalar(select(annotation.c.number).select_from(joined).where(here).limit(1)) is not None
