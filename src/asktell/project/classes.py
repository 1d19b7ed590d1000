"""The classes of a project: added, renamed, merged. A merged class keeps its row, so old annotations stay valid."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from asktell.errors import ProjectError, UnknownClassError
from asktell.project import schema


def add(connection: Connection, names: Sequence[str]) -> None:
    """New classes, after all others. Raises `ProjectError` if the project has one of them already."""
    for name in names:
        _check_new(connection, name)
    connection.execute(insert(schema.class_), [{"name": name} for name in names])


def numbers(connection: Connection) -> dict[str, int]:
    """Name to number, in the order in which the classes were added; merged ones are left out."""
    class_ = schema.class_.c
    rows = select(class_.name, class_.number).where(class_.merged_into.is_(None)).order_by(class_.number)
    return dict(connection.execute(rows).all())


def number(connection: Connection, name: object) -> int:
    """The number of one class; raises `UnknownClassError`."""
    return pick(numbers(connection), name)


def pick(known: dict[str, int], name: object) -> int:
    """The number under `name`; raises `UnknownClassError` with the classes that there are."""
    if not isinstance(name, str) or name not in known:
        raise UnknownClassError(
            f"the project has no class {name!r}; it has {', '.join(map(repr, known))}. "
            "Use one of these, asktell.SKIP, or add the class with add_class"
        )
    return known[name]


def rename(connection: Connection, name: str, new_name: str) -> None:
    """Another name for a class. Raises `UnknownClassError`, or `ProjectError` if the new name is taken."""
    found = number(connection, name)
    _check_new(connection, new_name)
    class_ = schema.class_
    connection.execute(update(class_).where(class_.c.number == found).values(name=new_name))


def merge(connection: Connection, source: str, into: str) -> None:
    """From now on every annotation that says `source` counts as `into`. Raises `UnknownClassError`."""
    if source == into:
        raise ProjectError(f"class {source!r} cannot be merged into itself; name two classes")
    gone, stays = number(connection, source), number(connection, into)
    class_ = schema.class_
    follows = (class_.c.number == gone) | (class_.c.merged_into == gone)
    connection.execute(update(class_).where(follows).values(merged_into=stays))


def present_name(label: ColumnElement[int | None]) -> ColumnElement[str]:
    """SQL: the name under which the class in column `label` is known now."""
    was, now = schema.class_.alias("was"), schema.class_.alias("now")
    joined = was.join(now, now.c.number == func.coalesce(was.c.merged_into, was.c.number))
    return select(now.c.name).select_from(joined).where(was.c.number == label).scalar_subquery()


def _check_new(connection: Connection, name: str) -> None:
    if name in numbers(connection):
        raise ProjectError(f"the project has a class {name!r} already; merge_classes makes one class of two")
