"""Answers as people give them: one at a time to a question they see, sent again when no reply came, each done once."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from asktell.errors import ProjectError
from asktell.project import annotations, flags, items, receipts, schema
from asktell.project.items import Item
from asktell.project.schema import ItemPart, ItemState
from asktell.types import SKIP, Annotation, Skip


@dataclass(frozen=True)
class Taken:
    """What became of an answer: whether it was written down now, and `before`, another label that stood already.

    Somebody answered meanwhile, in another window perhaps: a class replaces that label, a skip leaves it.
    """

    recorded: bool
    before: Annotation | None = None


def take(connection: Connection, receipt: str, id_: str, label: str | Skip, annotator: str, *, corrects: bool) -> Taken:
    """Write an answer down unless it was before, or would change nothing. Raises as `Project.answer` does."""
    known = receipts.find(connection, annotator, receipt, id_)
    item = items.find(connection, [id_])[id_]
    told = annotations.of_number(connection, item.number, id_)
    if known is not None:
        return Taken(False, _another(_newest_standing(told, known.annotation), label))
    _refuse_unasked(id_, item)
    standing = _newest_standing(told)
    before = _another(standing, label)
    if _says(standing, annotator, label) or (label is SKIP and before is not None and not corrects):
        receipts.keep(connection, annotator, receipt, item.number)
        return Taken(False, before)
    annotations.append(connection, [id_], [label], annotator)
    receipts.keep(connection, annotator, receipt, item.number, _newest_number(connection))
    return Taken(True, before)


def take_back(connection: Connection, receipt: str | None, annotator: str, id_: str | None) -> str:
    """Undo the annotator's newest answer unless that was done before; gives the item's id."""
    known = receipts.find(connection, annotator, receipt, id_)
    if known is not None:
        return known.item
    number, told = annotations.take_back(connection, annotator, id_)
    receipts.keep(connection, annotator, receipt, items.find(connection, [told])[told].number, number)
    return told


def flag(connection: Connection, receipt: str | None, id_: str, annotator: str, flagged: bool) -> None:
    """Flag an item, or no longer, unless that was done before."""
    if receipts.find(connection, annotator, receipt, id_) is None:
        flags.append(connection, id_, annotator, flagged)
        receipts.keep(connection, annotator, receipt, items.find(connection, [id_])[id_].number)


def _refuse_unasked(id_: str, item: Item) -> None:
    if item.part is ItemPart.AUDIT and item.state is ItemState.FREE:
        raise ProjectError(
            f"item {id_!r} is kept for the audit and is labelled when its turn comes; fold it in to label it now"
        )
    if item.state is ItemState.WITHDRAWN:
        raise ProjectError(f"item {id_!r} was withdrawn and takes no answers")


def _newest_standing(told: Sequence[Annotation], before: int | None = None) -> Annotation | None:
    """The newest answer that stands, of those before a number if one is given."""
    found = [one for one in told if one.stands and (before is None or one.number < before)]
    return found[-1] if found else None


def _says(standing: Annotation | None, annotator: str, label: str | Skip) -> bool:
    """Whether this annotator has said so already, and nobody anything else since."""
    return standing is not None and (standing.annotator, standing.label) == (annotator, label)


def _another(standing: Annotation | None, label: str | Skip) -> Annotation | None:
    """The answer that stands, if it is a class and another than this one."""
    return standing if standing is not None and standing.label not in (SKIP, label) else None


def _newest_number(connection: Connection) -> int | None:
    newest: int | None = connection.scalar(select(func.max(schema.annotation.c.number)))
    return newest
