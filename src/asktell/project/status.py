"""What a project looks like at a glance, counted by the database without reading the items."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from asktell.project import classes, queries, schema
from asktell.project.schema import ItemState
from asktell.types import Budget


@dataclass(frozen=True)
class Status:
    """Counts: items by state (every state), labels by class (every class, in order), queries, and the budget.

    `unanswered` counts queries with at least one pending item; `annotations` counts answers, corrections included.
    """

    states: Mapping[str, int]
    labels: Mapping[str, int]
    queries: int
    unanswered: int
    annotations: int
    budget: Budget

    @property
    def items(self) -> int:
        """All items, withdrawn ones included."""
        return sum(self.states.values())

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in order."""
        return tuple(self.labels)


def status(connection: Connection) -> Status:
    """The counts as the transaction sees them."""
    item, pending = schema.item.c, schema.item.c.state == ItemState.PENDING
    states: dict[str, int] = dict(connection.execute(select(item.state, func.count()).group_by(item.state)).all())
    return Status(
        states={state.value: states.get(state, 0) for state in ItemState},
        labels=_labels(connection),
        queries=queries.next_number(connection),
        unanswered=connection.scalar(select(func.count(item.query.distinct())).where(pending)) or 0,
        annotations=connection.scalar(select(func.max(schema.annotation.c.number))) or 0,
        budget=queries.budget(connection),
    )


def _labels(connection: Connection) -> dict[str, int]:
    item, class_ = schema.item.c, schema.class_.c
    counted = select(item.label, func.count()).where(item.label.is_not(None)).group_by(item.label)
    merged = dict(connection.execute(select(class_.number, class_.merged_into)).all())
    names = {number: name for name, number in classes.numbers(connection).items()}
    count = dict.fromkeys(names.values(), 0)
    for label, labelled in connection.execute(counted):
        count[names[merged[label] or label]] += labelled
    return count
