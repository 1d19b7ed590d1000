"""What the items are: a text, the path of an image, a row of a file. Kept apart from the items, as given."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from asktell.errors import ProjectError
from asktell.project import items, schema
from asktell.project.database import insert_rows
from asktell.project.items import chunks
from asktell.project.names import is_storable


def check(contents: Iterable[str] | None, ids: Sequence[str]) -> list[str] | None:
    """The contents as a list; raises `ProjectError` unless there is one text per id, each of which can be stored."""
    if contents is None:
        return None
    found = [contents] if isinstance(contents, str) else list(contents)
    if isinstance(contents, str) or len(found) != len(ids):
        raise ProjectError(f"{len(ids)} items came with {len(found)} contents; give one text per item, in a list")
    for id_, content in zip(ids, found, strict=True):
        if not isinstance(content, str):
            raise ProjectError(f"item {id_!r}: its content must be text, not {type(content).__name__}")
        if not is_storable(content):
            raise ProjectError(f"item {id_!r}: its content holds NUL or half a surrogate pair; leave it out or mend it")
    return found


def add(connection: Connection, first: int, contents: Sequence[str]) -> None:
    """One content per item, from item number `first` on."""
    insert_rows(connection, schema.content.name, ("item", "text"), list(enumerate(contents, start=first)))


def read(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Id to content in the order of `ids`; items that came without are left out. Raises `UnknownItemError`."""
    found = {item.number: id_ for id_, item in items.find(connection, ids).items()}
    content = schema.content.c
    there: dict[str, str] = {}
    for chunk in chunks(list(found)):
        rows = connection.execute(select(content.item, content.text).where(content.item.in_(chunk)))
        there.update((found[number], text) for number, text in rows)
    return {id_: there[id_] for id_ in ids if id_ in there}
