"""Items and their questions follow the answers that stand."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, update

from asktell.project import counts, items, retractions, schema
from asktell.project.items import Item, chunks
from asktell.project.resolve import resolve
from asktell.project.schema import ItemState, QuestionState

_QUESTION = {
    ItemState.FREE: QuestionState.SKIPPED,  # as the release of a skip left it
    ItemState.PENDING: QuestionState.OPEN,
    ItemState.LABELLED: QuestionState.ANSWERED,
    ItemState.SKIPPED: QuestionState.SKIPPED,
}
"""Where an item's newest question stands, by where the item stands."""


def settle(connection: Connection, told: Sequence[Item]) -> None:
    """Bring items, and the questions that asked for them, to where the answers that stand put them."""
    before = [item for item in told if item.state is not ItemState.WITHDRAWN]
    answers = _standing(connection, [item.number for item in before])
    after = [_settled(connection, item, answers[item.number]) for item in before]
    _move_items(connection, before, after)
    asked = [pair for pair in zip(before, after, strict=True) if pair[0].query is not None]
    _move_questions(connection, [pair for pair in asked if _QUESTION[pair[0].state] is not _QUESTION[pair[1].state]])


def _standing(connection: Connection, numbers: Sequence[int]) -> defaultdict[int, list[int | None]]:
    """The classes that were answered, by item; oldest first, None for a skip."""
    annotation = schema.annotation.c
    answers: defaultdict[int, list[int | None]] = defaultdict(list)
    for chunk in chunks(numbers):
        here = annotation.item.in_(chunk) & schema.standing
        for item, label in connection.execute(
            select(annotation.item, annotation.label).where(here).order_by(annotation.number)
        ):
            answers[item].append(label)
    return answers


def _settled(connection: Connection, item: Item, answers: Sequence[int | None]) -> Item:
    """The item as it should be. With no answer left it is pending if it was asked, and not released since."""
    if answers:
        label = resolve(answers)
        return item._replace(state=ItemState.SKIPPED if label is None else ItemState.LABELLED, label=label)
    waits = item.query is not None and not retractions.was_released(connection, item.number, item.query)
    return item._replace(state=ItemState.PENDING if waits else ItemState.FREE, label=None)


def _move_items(connection: Connection, before: Sequence[Item], after: Sequence[Item]) -> None:
    table = schema.item
    here = (table.c.number == bindparam("of")) & (table.c.state == bindparam("was"))
    change = update(table).where(here).values(state=bindparam("to"), label=bindparam("now"))
    moves = [
        {"of": was.number, "was": was.state, "to": now.state, "now": now.label}
        for was, now in zip(before, after, strict=True)
    ]
    for chunk in chunks(moves):
        items.check_moved(connection.execute(change, chunk).rowcount, len(chunk))
    counts.items_moved(connection, (item.place for item in before), (item.place for item in after))


def _move_questions(connection: Connection, moved: Sequence[tuple[Item, Item]]) -> None:
    table = schema.question
    here = (table.c.item == bindparam("of")) & (table.c.query == bindparam("by")) & (table.c.state == bindparam("was"))
    change = update(table).where(here).values(state=bindparam("to"))
    moves = [
        {"of": was.number, "by": was.query, "was": _QUESTION[was.state], "to": _QUESTION[now.state]}
        for was, now in moved
    ]
    for chunk in chunks(moves):
        items.check_moved(connection.execute(change, chunk).rowcount, len(chunk))
    counts.questions_moved(
        connection, (_QUESTION[was.state] for was, _ in moved), (_QUESTION[now.state] for _, now in moved)
    )
