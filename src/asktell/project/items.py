"""The items of a project: added, found, moved from state to state, withdrawn."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, func, select, update

from asktell.errors import ProjectError, UnknownItemError
from asktell.project import counts, schema
from asktell.project.classes import present_name
from asktell.project.counts import Place
from asktell.project.database import insert_rows
from asktell.project.schema import ItemPart, ItemState, QuestionState, exactly
from asktell.types import Candidates

T = TypeVar("T")
CHUNK = 5_000
"""Values in one statement: well below the 32,766 that SQLite takes."""
ALL = frozenset(ItemPart)


class Item(NamedTuple):
    """An item as a transaction sees it; `label` numbers its class, `query` is the newest query that asked for it."""

    number: int
    state: ItemState
    label: int | None
    query: int | None
    part: ItemPart

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.part, self.state, self.label


def chunks(values: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Consecutive pieces of at most `size` values.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    return (values[start : start + size] for start in range(0, len(values), size))


def add(connection: Connection, ids: Sequence[str], audit_keys: Sequence[str | None]) -> int:
    """New free items, after all others; gives the number of the first. Those with an audit key are reserved.

    Raises `ProjectError` if the project holds one of them already.
    """
    first = total(connection) + 1
    if first > 1:
        _check_new(connection, ids)
    parts = [ItemPart.POOL.value if key is None else ItemPart.AUDIT.value for key in audit_keys]
    rows = list(zip(range(first, first + len(ids)), ids, parts, audit_keys, strict=True))
    insert_rows(connection, schema.item.name, ("number", "id", "part", "audit_key"), rows)
    pool, audit = (ItemPart.POOL, ItemState.FREE, None), (ItemPart.AUDIT, ItemState.FREE, None)
    ordinary = audit_keys.count(None)
    counts.items_moved(connection, {}, {pool: ordinary, audit: len(ids) - ordinary})
    return first


def total(connection: Connection) -> int:
    """How many items there are; they are numbered 1, 2, 3, ... and never removed."""
    return connection.scalar(select(func.max(schema.item.c.number))) or 0


def in_order(connection: Connection, after: int = 0, limit: int | None = None) -> tuple[str, ...]:
    """Ids of at most `limit` items in insertion order, from item number `after` + 1 on."""
    item = schema.item.c
    return tuple(connection.scalars(select(item.id).where(item.number > after).order_by(item.number).limit(limit)))


def find(connection: Connection, ids: Sequence[str]) -> dict[str, Item]:
    """The items by id. Raises `UnknownItemError` if the project does not hold one of them."""
    item = schema.item.c
    found: dict[str, Item] = {}
    for chunk in chunks(ids):
        rows = select(item.id, item.number, item.state, item.label, item.query, item.part).where(item.id.in_(chunk))
        for id_, number, state, label, query, part in connection.execute(rows):
            found[id_] = Item(number, ItemState(state), label, query, ItemPart(part))
    missing = next((id_ for id_ in ids if id_ not in found), None)
    if missing is not None:
        raise UnknownItemError(f"the project holds no item {missing!r}; add it with add_items, or check the spelling")
    return found


def move(connection: Connection, moved: Sequence[Item], was: ItemState, to: ItemState, **values: object) -> None:
    """One arrow of `ItemState`, to a state without a label. Raises `ProjectError` if one is not where it should be."""
    item = schema.item
    for chunk in chunks(moved):
        here = item.c.number.in_([one.number for one in chunk]) & (item.c.state == was)
        change = update(item).where(here).values(state=to, label=None, **values)
        check_moved(connection.execute(change).rowcount, len(chunk))
    counts.items_moved(connection, (one.place for one in moved), ((one.part, to, None) for one in moved))


def assign(connection: Connection, moved: Sequence[Item], was: ItemPart, to: ItemPart) -> None:
    """One arrow of `ItemPart`. Raises `ProjectError` if one is not where it should be."""
    item = schema.item
    for chunk in chunks(moved):
        here = item.c.number.in_([one.number for one in chunk]) & (item.c.part == was)
        check_moved(connection.execute(update(item).where(here).values(part=to, audit_key=None)).rowcount, len(chunk))
    counts.items_moved(connection, (one.place for one in moved), ((to, one.state, one.label) for one in moved))


def check_moved(moved: int, expected: int) -> None:
    """Raise `ProjectError` unless a guarded update reached all rows that it was meant for."""
    if moved != expected:
        raise ProjectError(f"{expected - moved} of {expected} items changed meanwhile, so nothing was done; try again")


def withdraw(connection: Connection, ids: Sequence[str]) -> None:
    """Take items out for good; open questions for them are given back. Withdrawing twice is fine."""
    for state, moved in _by_state(find(connection, ids)).items():
        if state is not ItemState.WITHDRAWN:
            move(connection, moved, state, ItemState.WITHDRAWN)
        if state is ItemState.PENDING:
            _give_back(connection, [item.number for item in moved])


def in_state(connection: Connection, state: ItemState, parts: Collection[ItemPart] = ALL) -> tuple[str, ...]:
    """Ids of all items in a state, in insertion order."""
    item = schema.item.c
    here = (item.state == state) & item.part.in_(parts)
    return tuple(connection.scalars(select(item.id).where(here).order_by(item.number)))


def labels(connection: Connection, parts: Collection[ItemPart] = ALL) -> dict[str, str]:
    """Id to the present name of the class, for all labelled items in insertion order."""
    item = schema.item.c
    here = (item.state == ItemState.LABELLED) & item.part.in_(parts)
    rows = select(item.id, present_name(item.label)).where(here).order_by(item.number)
    return dict(connection.execute(rows).all())


def candidates(connection: Connection) -> Candidates:
    """What may be asked, what is known, what is on order; reserved and held-out items are left out."""
    ordinary = {ItemPart.POOL}
    known = labels(connection, ordinary)
    return Candidates(
        ids=in_state(connection, ItemState.FREE, ordinary),
        labelled_ids=tuple(known),
        labels=tuple(known.values()),
        pending_ids=in_state(connection, ItemState.PENDING, ordinary),
    )


def _check_new(connection: Connection, ids: Sequence[str]) -> None:
    for chunk in chunks(ids):
        known = connection.scalars(select(schema.item.c.id).where(schema.item.c.id.in_(chunk)).limit(1)).first()
        if known is not None:
            raise ProjectError(f"the project holds item {known!r} already; add new items only")


def _by_state(found: Mapping[str, Item]) -> dict[ItemState, list[Item]]:
    groups: dict[ItemState, list[Item]] = {}
    for item in found.values():
        groups.setdefault(item.state, []).append(item)
    return groups


def _give_back(connection: Connection, numbers: Sequence[int]) -> None:
    question, withdrawn = schema.question.c, QuestionState.WITHDRAWN
    for chunk in chunks(numbers):
        asked = question.item.in_(chunk) & (question.state == exactly(QuestionState.OPEN))
        gone = connection.execute(update(schema.question).where(asked).values(state=withdrawn))
        check_moved(gone.rowcount, len(chunk))
    counts.questions_moved(connection, [QuestionState.OPEN] * len(numbers), [withdrawn] * len(numbers))
