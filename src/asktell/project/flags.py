"""Flags: items that somebody wants to look at again. Events are appended; the newest decides."""

from datetime import UTC, datetime

from sqlalchemy import Connection, Select, exists, func, insert, select

from asktell.project import items, schema
from asktell.project.schema import ItemState


def append(connection: Connection, id_: str, annotator: str, flagged: bool) -> None:
    """One more event. Raises `UnknownItemError`."""
    number = items.find(connection, [id_])[id_].number
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    row = {"item": number, "annotator": annotator, "flagged": int(flagged), "created": created}
    connection.execute(insert(schema.flag), row)


def flagged(connection: Connection) -> tuple[str, ...]:
    """Ids of items whose newest event is a flag, in insertion order; withdrawn ones are left out."""
    return tuple(connection.scalars(_flagged().with_only_columns(schema.item.c.id).order_by(schema.item.c.number)))


def count(connection: Connection) -> int:
    """How many items are flagged."""
    return connection.scalar(_flagged().with_only_columns(func.count())) or 0


def _flagged() -> Select[tuple[int]]:
    flag, later, item = schema.flag, schema.flag.alias("later"), schema.item
    newest = ~exists().where((later.c.item == flag.c.item) & (later.c.number > flag.c.number))
    there = item.c.state != ItemState.WITHDRAWN
    joined = flag.join(item, item.c.number == flag.c.item)
    return select(item.c.number).select_from(joined).where((flag.c.flagged == 1) & newest & there)
