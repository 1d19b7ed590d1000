"""New items on their way into a project: checked before the transaction, reserved and stored inside it."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from asktell.project import audit, contents, items, schema
from asktell.project.names import check_names


@dataclass(frozen=True)
class Addition:
    """Ids that can serve, and what each of the items is."""

    ids: list[str]
    contents: list[str] | None

    @classmethod
    def of(cls, ids: Iterable[str], texts: Iterable[str] | None) -> "Addition":
        """Checked; raises `ProjectError`."""
        named = check_names(ids, "item")
        return cls(named, contents.check(texts, named))

    def add(self, connection: Connection) -> None:
        """After all other items, some of them reserved. Raises `ProjectError` if one is there already."""
        seed, share = connection.execute(select(schema.project.c.seed, schema.project.c.audit)).one()
        first = items.add(connection, self.ids, audit.keys(seed, share, self.ids))
        if self.contents is not None:
            contents.add(connection, first, self.contents)
