"""Answers: appended, never changed, and resolved to one label per item."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from asktell.errors import ProjectError
from asktell.project import classes, items, schema
from asktell.project.items import CHUNK, Item, chunks
from asktell.project.names import check_name, check_names
from asktell.project.resolve import resolve
from asktell.project.schema import ItemState, QuestionState
from asktell.types import SKIP, Annotation, Skip

_QUESTION = {
    ItemState.FREE: QuestionState.SKIPPED,  # released after a skip
    ItemState.PENDING: QuestionState.OPEN,
    ItemState.LABELLED: QuestionState.ANSWERED,
    ItemState.SKIPPED: QuestionState.SKIPPED,
}
"""Where an item's newest question stands, by where the item stands."""


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
    _settle(connection, [item for item in found.values() if item.state is not ItemState.WITHDRAWN])


def of(connection: Connection, id_: str) -> tuple[Annotation, ...]:
    """All annotations of an item, oldest first; classes under their present names. Raises `UnknownItemError`."""
    table = schema.annotation
    number = items.find(connection, [id_])[id_].number
    name = classes.present_name(table.c.label).label("name")
    rows = connection.execute(select(table, name).where(table.c.item == number).order_by(table.c.number))
    return tuple(
        Annotation(row.number, id_, row.annotator, SKIP if row.label is None else row.name, row.query, row.created)
        for row in rows
    )


def _settle(connection: Connection, answered: Sequence[Item]) -> None:
    """Bring items, and the questions that asked for them, to where their annotations say."""
    resolved = _resolved(connection, [item.number for item in answered])
    moved_items, moved_questions = [], []
    for item in answered:
        label = resolved[item.number]
        to = ItemState.SKIPPED if label is None else ItemState.LABELLED
        moved_items.append({"of": item.number, "was": item.state, "to": to, "now": label})
        if item.query is not None and _QUESTION[item.state] is not _QUESTION[to]:
            was = _QUESTION[item.state]
            moved_questions.append({"of": item.number, "by": item.query, "was": was, "to": _QUESTION[to]})
    _move_items(connection, moved_items)
    _move_questions(connection, moved_questions)


def _resolved(connection: Connection, numbers: Sequence[int]) -> dict[int, int | None]:
    table = schema.annotation.c
    answers: defaultdict[int, list[int | None]] = defaultdict(list)
    for chunk in chunks(numbers):
        rows = select(table.item, table.label).where(table.item.in_(chunk)).order_by(table.number)
        for item, label in connection.execute(rows):
            answers[item].append(label)
    return {item: resolve(labels) for item, labels in answers.items()}


def _move_items(connection: Connection, moves: Sequence[dict[str, object]]) -> None:
    item = schema.item
    here = (item.c.number == bindparam("of")) & (item.c.state == bindparam("was"))
    change = update(item).where(here).values(state=bindparam("to"), label=bindparam("now"))
    for chunk in chunks(moves, CHUNK):
        items.check_moved(connection.execute(change, chunk).rowcount, len(chunk))


def _move_questions(connection: Connection, moves: Sequence[dict[str, object]]) -> None:
    question = schema.question
    here = (
        (question.c.item == bindparam("of"))
        & (question.c.query == bindparam("by"))
        & (question.c.state == bindparam("was"))
    )
    change = update(question).where(here).values(state=bindparam("to"))
    for chunk in chunks(moves, CHUNK):
        items.check_moved(connection.execute(change, chunk).rowcount, len(chunk))
