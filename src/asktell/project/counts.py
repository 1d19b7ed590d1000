"""How many items and questions stand where: counts kept beside the rows, so that nothing is read to count it.

Whoever changes a row's state says so here, in the same transaction.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, TableClause, and_, insert, select, update

from asktell.project import schema
from asktell.project.schema import ItemPart, ItemState, QuestionState

Place = tuple[ItemPart, ItemState, int | None]
"""Where an item stands: its part, its state, and the number of its class."""


def items(connection: Connection) -> dict[ItemPart, dict[ItemState, int]]:
    """How many items stand in each state of each part, every state and part."""
    kept = schema.item_count.c
    found = {part: dict.fromkeys(ItemState, 0) for part in ItemPart}
    for part, state, n in connection.execute(select(kept.part, kept.state, kept.n)):
        found[ItemPart(part)][ItemState(state)] += n
    return found


def questions(connection: Connection) -> dict[QuestionState, int]:
    """How many questions stand in each state, every state."""
    kept = schema.question_count.c
    found = dict.fromkeys(QuestionState, 0)
    found.update((QuestionState(state), n) for state, n in connection.execute(select(kept.state, kept.n)))
    return found


def items_moved(
    connection: Connection, before: Iterable[Place] | Mapping[Place, int], after: Iterable[Place] | Mapping[Place, int]
) -> None:
    """Items have moved from these places to those, one by one or counted; new items have none before."""
    changes = Counter(after)
    changes.subtract(before)
    for (part, state, label), change in changes.items():
        _shift(connection, schema.item_count, {"part": part, "state": state, "label": label or 0}, change)


def questions_moved(connection: Connection, before: Iterable[QuestionState], after: Iterable[QuestionState]) -> None:
    """Questions have moved from these states to those; new questions have none before."""
    changes = Counter(after)
    changes.subtract(before)
    for state, change in changes.items():
        _shift(connection, schema.question_count, {"state": state}, change)


def _shift(connection: Connection, table: TableClause, place: Mapping[str, object], change: int) -> None:
    if not change:
        return
    here: list[ColumnElement[bool]] = [table.c[name] == value for name, value in place.items()]
    moved = connection.execute(update(table).where(and_(*here)).values(n=table.c.n + change))
    if not moved.rowcount:
        connection.execute(insert(table), {**place, "n": change})
