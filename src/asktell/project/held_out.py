"""Held-out items: the test set that came with the data. Never asked, never trained on, never audited."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from asktell.errors import ProjectError
from asktell.project import items, schema
from asktell.project.classes import present_name
from asktell.project.items import Item
from asktell.project.schema import ItemPart, ItemState, exactly


def hold_out(connection: Connection, ids: Sequence[str]) -> None:
    """Make items held-out. Raises `UnknownItemError`, and `ProjectError` for one asked, skipped or withdrawn."""
    found = items.find(connection, ids)
    for id_, item in found.items():
        _check(id_, item)
    for part in (ItemPart.POOL, ItemPart.AUDIT):
        moved = [item for item in found.values() if item.part is part]
        items.assign(connection, moved, part, ItemPart.HELD_OUT)


def labels(connection: Connection) -> dict[str, str]:
    """Id to the present name of the class, for labelled held-out items in insertion order."""
    item = schema.item.c
    here = (item.part == exactly(ItemPart.HELD_OUT)) & (item.state == ItemState.LABELLED)
    rows = select(item.id, present_name(item.label)).where(here).order_by(item.number)
    return dict(connection.execute(rows).all())


def _check(id_: str, item: Item) -> None:
    if item.part is ItemPart.HELD_OUT:
        return
    if item.query is not None or item.state not in (ItemState.FREE, ItemState.LABELLED):
        what = f"is {item.state}" if item.query is None else "was asked"
        raise ProjectError(
            f"item {id_!r} {what} and cannot be held out: the test set is of items that were never asked, free or "
            "labelled from the start"
        )
