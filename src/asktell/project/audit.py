"""The audit: items reserved by the hash of their id, so that their labels measure accuracy without bias.

Whether an item is reserved depends on the project's seed, its share and the item's id, and on nothing else: adding
items later moves no other item in or out.
"""

import math
from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Connection, select

from asktell.errors import ProjectError
from asktell.project import counts, items, schema
from asktell.project.classes import present_name
from asktell.project.schema import ItemPart, ItemState, exactly
from asktell.types import Audit

STRATEGY = "audit"
"""The name of the strategy of queries that ask for reserved items, and of no other queries."""

_RESERVED = schema.item.c.part == exactly(ItemPart.AUDIT)
_ANSWERED = _RESERVED & (schema.item.c.state == ItemState.LABELLED) & schema.item.c.query.is_not(None)
"""An item that is labelled cannot be asked, so the answer that decides was given to the newest question, if any."""


def check_share(share: float) -> float:
    """The share as a float; raises `ProjectError` unless it is at least 0 and below 1."""
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise ProjectError(f"audit is the share of items to reserve, at least 0 and below 1, not {share!r}")
    return float(share)


def keys(seed: int, share: float, ids: Sequence[str]) -> list[str | None]:
    """The audit key of each id: sha256 of "seed:id" in hex where it lies in the lowest `share` of values, else None.

    >>> [key and key[:6] for key in keys(0, 0.5, ["d", "e", "f"])]
    ['7d98c2', None, '49f447']
    """
    if not share:
        return [None] * len(ids)
    bound = math.ceil(share * 2**256).to_bytes(32, "big")
    prefix = f"{seed}:".encode()
    digests = (sha256(prefix + id_.encode()) for id_ in ids)
    return [digest.hexdigest() if digest.digest() < bound else None for digest in digests]


def read(connection: Connection) -> Audit:
    """Where the reserved items stand."""
    item = schema.item.c
    rows = select(item.id, present_name(item.label)).where(_ANSWERED).order_by(item.audit_key)
    answered: dict[str, str] = dict(connection.execute(rows).all())
    states = counts.items(connection)[ItemPart.AUDIT]
    return Audit(
        share=float(connection.scalars(select(schema.project.c.audit)).one()),
        waiting=states[ItemState.FREE],
        pending=states[ItemState.PENDING],
        skipped=states[ItemState.SKIPPED],
        imported=states[ItemState.LABELLED] - len(answered),
        answered=answered,
    )


def upcoming(connection: Connection, limit: int) -> tuple[str, ...]:
    """Free reserved ids, in audit order."""
    item = schema.item.c
    free = select(item.id).where(_RESERVED & (item.state == ItemState.FREE)).order_by(item.audit_key).limit(limit)
    return tuple(connection.scalars(free))


def fold_in(connection: Connection, ids: Sequence[str] | None) -> tuple[str, ...]:
    """Make reserved items ordinary: the named ones, or all that are answered; gives their ids.

    Raises `UnknownItemError`, and `ProjectError` for an item that is not reserved.
    """
    item = schema.item.c
    chosen = list(connection.scalars(select(item.id).where(_ANSWERED).order_by(item.audit_key))) if ids is None else ids
    found = items.find(connection, chosen)
    for id_ in chosen:
        if found[id_].part is not ItemPart.AUDIT:
            raise ProjectError(f"item {id_!r} is not reserved for the audit, so it cannot be folded in; leave it out")
    items.assign(connection, list(found.values()), ItemPart.AUDIT, ItemPart.POOL)
    return tuple(chosen)
