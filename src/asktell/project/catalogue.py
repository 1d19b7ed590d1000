"""Items as people look for them: found, filtered, paged and picked by the database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, func, select

from asktell.errors import UnknownItemError
from asktell.project import classes, counts, items, schema, tallies
from asktell.project.classes import present_name
from asktell.project.database import Database
from asktell.project.schema import ItemPart, ItemState, exactly, standing
from asktell.project.tallies import ByAnnotator, ByStrategy

_DRAWS, _ROUNDS = 64, 8


@dataclass(frozen=True)
class Entry:
    """An item at a glance; `part` is pool, audit or held-out, `label` the present name of its class."""

    number: int
    id: str
    state: str
    part: str
    label: str | None
    flagged: bool


@dataclass(frozen=True)
class Filter:
    """Which items to list: all those that everything given here is true of. `text` occurs in the id or the text."""

    text: str = ""
    state: str = ""
    label: str = ""
    flagged: bool = False


@dataclass(frozen=True)
class Told:
    """One answer as exports show it; `label` is None for a skip."""

    number: int
    item: str
    annotator: str
    label: str | None
    query: int | None
    created: str
    stands: bool


class Catalogue:
    """Reads the database of a project, `Project.path`; changes nothing. May be used from several threads. Close it."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    def close(self) -> None:
        """Let go of the database."""
        self._database.dispose()

    def entry(self, id_: str) -> Entry:
        """One item. Raises `UnknownItemError`."""
        with self._database.reading() as connection:
            row = connection.execute(_entries().where(schema.item.c.id == id_)).first()
        if row is None:
            raise UnknownItemError(f"the project holds no item {id_!r}; check the spelling")
        return _entry(row)

    def ids(self, state: ItemState, part: ItemPart | None = None) -> tuple[str, ...]:
        """All items in a state, of every part unless one is named, in insertion order."""
        with self._database.reading() as connection:
            return items.in_state(connection, state, frozenset(ItemPart) if part is None else {part})

    def page(self, wanted: Filter, *, after: int = 0, limit: int = 50) -> tuple[Entry, ...]:
        """The first items after number `after` that the filter lets through, in insertion order."""
        item = schema.item.c
        rows = _entries().where(item.number > after, *_conditions(wanted)).order_by(item.number).limit(limit)
        with self._database.reading() as connection:
            return tuple(_entry(row) for row in connection.execute(rows))

    def numbers(self, ids: Sequence[str]) -> dict[str, int]:
        """The numbers of items, counted from 1 in insertion order; unknown ids are left out."""
        item = schema.item.c
        with self._database.reading() as connection:
            rows = connection.execute(select(item.id, item.number).where(item.id.in_(ids)))
            return {row.id: row.number for row in rows}

    def flagged(self, ids: Sequence[str]) -> frozenset[str]:
        """Those of these items that are flagged."""
        item = schema.item.c
        with self._database.reading() as connection:
            return frozenset(connection.scalars(select(item.id).where(item.id.in_(ids), _flagged())))

    def balance(self) -> dict[str, int]:
        """How many labels each class has, every class in order; those of held-out items are not counted."""
        kept = schema.item_count.c
        counted = select(present_name(kept.label).label("name"), kept.n).where(kept.part != ItemPart.HELD_OUT)
        with self._database.reading() as connection:
            there = dict.fromkeys(classes.numbers(connection), 0)
            for name, n in connection.execute(counted.where(kept.label > 0)):
                there[name] += n
        return there

    @property
    def free(self) -> int:
        """How many items strategies may still ask for."""
        with self._database.reading() as connection:
            return _count_free(connection)

    @property
    def reserves(self) -> bool:
        """Whether any item is, or once was, reserved for the audit."""
        with self._database.reading() as connection:
            return bool(connection.scalar(select(schema.project.c.audit)))

    def any_free(self, random: Random) -> tuple[str, float] | None:
        """A uniform pick of the items that strategies may ask for, and its probability; None if there is none.

        Draws places until one is free, which takes no longer in a large project; where few are left, those are read.
        """
        item = schema.item.c
        with self._database.reading() as connection:
            free = _count_free(connection)
            last = connection.scalar(select(func.max(item.number))) or 0
            for _ in range(_ROUNDS if free else 0):
                drawn = [random.randint(1, last) for _ in range(_DRAWS)]
                rows = connection.execute(select(item.number, item.id).where(item.number.in_(drawn), _askable()))
                found: dict[int, str] = {row.number: row.id for row in rows}
                picked = next((found[number] for number in drawn if number in found), None)
                if picked is not None:
                    return picked, 1 / free
            if not free:
                return None
            place = select(item.id).where(_askable()).order_by(item.number).offset(random.randrange(free)).limit(1)
            return connection.scalars(place).one(), 1 / free

    def annotators(self) -> tuple[ByAnnotator, ...]:
        """Who answered how much, the first to answer first."""
        with self._database.reading() as connection:
            return tallies.by_annotator(connection)

    def strategies(self) -> tuple[ByStrategy, ...]:
        """What was asked by which strategy, the first to ask first."""
        with self._database.reading() as connection:
            return tallies.by_strategy(connection)

    def told(self) -> Iterator[Told]:
        """All annotations, oldest first, as of now."""
        annotation, item = schema.annotation, schema.item
        columns = (annotation.c.number, item.c.id, annotation.c.annotator, annotation.c.query, annotation.c.created)
        rows = (
            select(*columns, present_name(annotation.c.label).label("name"), standing.label("stands"))
            .select_from(annotation.join(item, item.c.number == annotation.c.item))
            .order_by(annotation.c.number)
        )
        with self._database.reading() as connection:
            for row in connection.execute(rows):
                yield Told(row.number, row.id, row.annotator, row.name, row.query, row.created, bool(row.stands))


def _askable() -> ColumnElement[bool]:
    item = schema.item.c
    return (item.state == exactly(ItemState.FREE)) & (item.part == exactly(ItemPart.POOL))


def _count_free(connection: Connection) -> int:
    return counts.items(connection)[ItemPart.POOL][ItemState.FREE]


@cache
def _flagged() -> ColumnElement[bool]:
    """SQL: the item's newest flag is up."""
    flag, later = schema.flag, schema.flag.alias("later")
    newest = ~exists().where((later.c.item == flag.c.item) & (later.c.number > flag.c.number))
    return exists().where((flag.c.item == schema.item.c.number) & (flag.c.flagged == 1) & newest)


@cache
def _entries() -> Select[Any]:
    item = schema.item.c
    name = present_name(item.label).label("name")
    return select(item.number, item.id, item.state, item.part, name, _flagged().label("flagged"))


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    item, content = schema.item.c, schema.content.c
    if wanted.text:
        says = exists().where((content.item == item.number) & content.text.contains(wanted.text, autoescape=True))
        yield item.id.contains(wanted.text, autoescape=True) | says
    if wanted.state in {part.value for part in ItemPart}:
        yield item.part == wanted.state
    elif wanted.state:
        yield item.state == wanted.state
    if wanted.label:
        yield present_name(item.label) == wanted.label
    if wanted.flagged:
        yield _flagged()


def _entry(row: Any) -> Entry:
    return Entry(row.number, row.id, row.state, row.part, row.name, bool(row.flagged))
