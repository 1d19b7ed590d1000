"""Receipts: ids that senders make up, so that what is sent again has its effect once, whatever crashed meanwhile."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from asktell.errors import ProjectError
from asktell.project import schema
from asktell.project.names import check_name


class Receipt(NamedTuple):
    """What was done: to which item, by which annotation, if by any."""

    item: str
    annotation: int | None


def check(id_: str | None) -> None:
    """Raise `ProjectError` for what cannot be a receipt; None is fine: what comes without is done whenever it comes."""
    if id_ is not None:
        check_name(id_, "receipt")


def find(connection: Connection, annotator: str, id_: str | None, item: str | None = None) -> Receipt | None:
    """What an annotator's receipt was given for; None if it is new.

    Raises `ProjectError` if that was another item than this: two answers came under one id, and one would be lost.
    """
    if id_ is None:
        return None
    receipt, of = schema.receipt, schema.item
    rows = select(of.c.id, receipt.c.annotation).select_from(receipt.join(of, of.c.number == receipt.c.item))
    row = connection.execute(rows.where(receipt.c.annotator == annotator, receipt.c.receipt == id_)).first()
    if row is None:
        return None
    if item is not None and item != row.id:
        raise ProjectError(
            f"the receipt {id_!r} was given for item {row.id!r} and now came with item {item!r}, so nothing was done; "
            "make up a new one for each answer, of random letters"
        )
    return Receipt(row.id, row.annotation)


def keep(connection: Connection, annotator: str, id_: str | None, item: int, annotation: int | None = None) -> None:
    """It is done; `item` and `annotation` are numbers."""
    if id_ is not None:
        row = {"annotator": annotator, "receipt": id_, "item": item, "annotation": annotation}
        connection.execute(insert(schema.receipt), row)
