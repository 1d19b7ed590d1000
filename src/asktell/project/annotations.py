"""Answers: appended, never changed, and resolved to one label per item."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select

from asktell.errors import ProjectError
from asktell.project import classes, items, retractions, schema
from asktell.project.names import check_name, check_names
from asktell.project.schema import Reason
from asktell.project.settling import settle
from asktell.types import SKIP, Annotation, Skip


def check(ids: Sequence[str], labels: Sequence[str | Skip], annotator: str) -> None:
    """Raise `ProjectError` unless there is one label per item, each item comes once, and the annotator has a name."""
    check_name(annotator, "annotator")
    check_names(ids, "item")
    if isinstance(labels, str) or len(labels) != len(ids):
        raise ProjectError(f"{len(ids)} items came with {len(labels)} labels; give one label per item, in a list")


def append(connection: Connection, ids: Sequence[str], labels: Sequence[str | Skip], annotator: str) -> None:
    """One annotation per item, and what follows from it for the item and its question.

    Raises `UnknownItemError`, `UnknownClassError`.
    """
    known = classes.numbers(connection)
    told = [None if label is SKIP else classes.pick(known, label) for label in labels]
    found = items.find(connection, ids)
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    connection.execute(
        insert(schema.annotation),
        [
            {
                "item": found[id_].number,
                "annotator": annotator,
                "label": label,
                "query": found[id_].query,
                "created": created,
            }
            for id_, label in zip(ids, told, strict=True)
        ],
    )
    settle(connection, list(found.values()))


def take_back(connection: Connection, annotator: str, id_: str | None) -> tuple[int, str]:
    """The annotator's newest standing answer, to one item if named, no longer counts; gives its number and its item.

    Raises `UnknownItemError`, and `ProjectError` if there is no such answer.
    """
    of_item = None if id_ is None else items.find(connection, [id_])[id_].number
    newest = _newest_standing(connection, annotator, of_item)
    if newest is None:
        where = "" if id_ is None else f" to item {id_!r}"
        raise ProjectError(f"there is no answer of {annotator!r}{where} left to take back")
    number, told = newest
    retractions.retract(connection, [number], Reason.TAKEN_BACK)
    settle(connection, list(items.find(connection, [told]).values()))
    return number, told


def of(connection: Connection, id_: str) -> tuple[Annotation, ...]:
    """All annotations of an item, oldest first; classes under their present names. Raises `UnknownItemError`."""
    return of_number(connection, items.find(connection, [id_])[id_].number, id_)


def of_number(connection: Connection, number: int, id_: str) -> tuple[Annotation, ...]:
    """The same, of an item that was found already."""
    table = schema.annotation
    name, stands = classes.present_name(table.c.label).label("name"), schema.standing.label("stands")
    rows = connection.execute(select(table, name, stands).where(table.c.item == number).order_by(table.c.number))
    return tuple(
        Annotation(
            number=row.number,
            item=id_,
            annotator=row.annotator,
            label=SKIP if row.label is None else row.name,
            query=row.query,
            created=row.created,
            stands=bool(row.stands),
        )
        for row in rows
    )


def _newest_standing(connection: Connection, annotator: str, of_item: int | None) -> tuple[int, str] | None:
    """The number of an annotator's newest standing answer, and the item it is for."""
    annotation, item = schema.annotation, schema.item
    joined = annotation.join(item, item.c.number == annotation.c.item)
    rows = select(annotation.c.number, annotation.c.annotator, item.c.id).select_from(joined).where(schema.standing)
    # An item has few answers and an annotator many: each way reads little, by the index that fits.
    if of_item is not None:
        told = connection.execute(rows.where(annotation.c.item == of_item).order_by(annotation.c.number.desc()))
        return next(((row.number, row.id) for row in told if row.annotator == annotator), None)
    newest = rows.where(annotation.c.annotator == annotator).order_by(annotation.c.number.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else (row.number, row.id)
