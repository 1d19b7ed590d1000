"""The items of a project: added, found, moved from state to state, withdrawn, released."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, insert, select, update

from asktell.errors import ProjectError, UnknownItemError
from asktell.project import schema
from asktell.project.classes import present_name
from asktell.project.schema import ItemState, QuestionState
from asktell.types import Candidates

T = TypeVar("T")
CHUNK = 5_000
"""Values in one statement: well below the 32,766 that SQLite takes."""


class Item(NamedTuple):
    """An item as a transaction sees it; `query` is the newest query that asked for it."""

    number: int
    state: ItemState
    query: int | None


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Consecutive pieces of at most `size` values.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    return (values[start : start + size] for start in range(0, len(values), size))


def add(connection: Connection, ids: Sequence[str]) -> None:
    """New free items, after all others. Raises `ProjectError` if the project holds one of them already."""
    for chunk in chunks(ids):
        known = connection.scalars(select(schema.item.c.id).where(schema.item.c.id.in_(chunk)).limit(1)).first()
        if known is not None:
            raise ProjectError(f"the project holds item {known!r} already; add new items only")
        connection.execute(insert(schema.item), [{"id": id_} for id_ in chunk])


def find(connection: Connection, ids: Sequence[str]) -> dict[str, Item]:
    """The items by id. Raises `UnknownItemError` if the project does not hold one of them."""
    item = schema.item.c
    found: dict[str, Item] = {}
    for chunk in chunks(ids):
        rows = connection.execute(select(item.id, item.number, item.state, item.query).where(item.id.in_(chunk)))
        found.update((row.id, Item(row.number, ItemState(row.state), row.query)) for row in rows)
    missing = next((id_ for id_ in ids if id_ not in found), None)
    if missing is not None:
        raise UnknownItemError(f"the project holds no item {missing!r}; add it with add_items, or check the spelling")
    return found


def move(connection: Connection, numbers: Sequence[int], was: ItemState, to: ItemState, **values: object) -> None:
    """One arrow of `ItemState` for many items. Raises `ProjectError` if one is not where it was thought to be."""
    item = schema.item
    for chunk in chunks(numbers):
        here = item.c.number.in_(chunk) & (item.c.state == was)
        check_moved(connection.execute(update(item).where(here).values(state=to, **values)).rowcount, len(chunk))


def check_moved(moved: int, expected: int) -> None:
    """Raise `ProjectError` unless a guarded update reached all rows that it was meant for."""
    if moved != expected:
        raise ProjectError(f"{expected - moved} of {expected} items changed meanwhile, so nothing was done; try again")


def withdraw(connection: Connection, ids: Sequence[str]) -> None:
    """Take items out for good; open questions for them are given back. Withdrawing twice is fine."""
    question = schema.question.c
    for state, numbers in _by_state(find(connection, ids)).items():
        if state is ItemState.WITHDRAWN:
            continue
        move(connection, numbers, state, ItemState.WITHDRAWN, label=None)
        for chunk in chunks(numbers if state is ItemState.PENDING else ()):
            asked = question.item.in_(chunk) & (question.state == QuestionState.OPEN)
            gone = update(schema.question).where(asked).values(state=QuestionState.WITHDRAWN)
            check_moved(connection.execute(gone).rowcount, len(chunk))


def release(connection: Connection, ids: Sequence[str]) -> None:
    """Make skipped items free again. Raises `ProjectError` for one that is not skipped."""
    found = find(connection, ids)
    for id_, item in found.items():
        if item.state is not ItemState.SKIPPED:
            raise ProjectError(f"item {id_!r} is {item.state}, not skipped; only skipped items can be released")
    move(connection, [item.number for item in found.values()], ItemState.SKIPPED, ItemState.FREE)


def in_state(connection: Connection, state: ItemState) -> tuple[str, ...]:
    """Ids of all items in a state, in insertion order."""
    item = schema.item.c
    return tuple(connection.scalars(select(item.id).where(item.state == state).order_by(item.number)))


def labels(connection: Connection) -> dict[str, str]:
    """Id to the present name of the class, for all labelled items in insertion order."""
    item = schema.item
    labelled = select(item.c.id, present_name(item.c.label)).where(item.c.state == ItemState.LABELLED)
    return dict(connection.execute(labelled.order_by(item.c.number)).all())


def candidates(connection: Connection) -> Candidates:
    """What may be asked, what is known, what is on order."""
    known = labels(connection)
    return Candidates(
        ids=in_state(connection, ItemState.FREE),
        labelled_ids=tuple(known),
        labels=tuple(known.values()),
        pending_ids=in_state(connection, ItemState.PENDING),
    )


def _by_state(found: Mapping[str, Item]) -> dict[ItemState, list[int]]:
    groups: dict[ItemState, list[int]] = {}
    for item in found.values():
        groups.setdefault(item.state, []).append(item.number)
    return groups
