"""What a project looks like at a glance, counted by the database without reading the items."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from asktell.project import classes, counts, flags, queries, schema
from asktell.project.schema import ItemPart, ItemState, QuestionState, exactly
from asktell.types import Budget


@dataclass(frozen=True)
class Status:
    """Counts: items by state (every state), labels by class (every class, in order), queries, and the budget.

    `unanswered` counts queries with at least one pending item; `annotations` counts answers, corrections included.
    `audit` and `held_out` count the reserved and the held-out items by state, as parts of `states`; `flagged` counts
    flagged items.
    """

    states: Mapping[str, int]
    labels: Mapping[str, int]
    queries: int
    unanswered: int
    annotations: int
    budget: Budget
    audit: Mapping[str, int] = field(default_factory=dict)
    held_out: Mapping[str, int] = field(default_factory=dict)
    flagged: int = 0

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
    parts, question = counts.items(connection), schema.question.c
    waiting = select(func.count(question.query.distinct())).where(question.state == exactly(QuestionState.OPEN))
    return Status(
        states={state.value: sum(counts[state] for counts in parts.values()) for state in ItemState},
        labels=_labels(connection),
        queries=queries.next_number(connection),
        unanswered=connection.scalar(waiting) or 0,
        annotations=connection.scalar(select(func.max(schema.annotation.c.number))) or 0,
        budget=queries.budget(connection),
        audit=_by_name(parts[ItemPart.AUDIT]),
        held_out=_by_name(parts[ItemPart.HELD_OUT]),
        flagged=flags.count(connection),
    )


def _by_name(counts: Mapping[ItemState, int]) -> dict[str, int]:
    return {state.value: items for state, items in counts.items()}


def _labels(connection: Connection) -> dict[str, int]:
    kept, class_ = schema.item_count.c, schema.class_.c
    counted = select(kept.label, func.sum(kept.n)).where(kept.label != 0).group_by(kept.label)
    merged = dict(connection.execute(select(class_.number, class_.merged_into)).all())
    names = {number: name for name, number in classes.numbers(connection).items()}
    count = dict.fromkeys(names.values(), 0)
    for label, labelled in connection.execute(counted):
        count[names[merged[label] or label]] += labelled
    return count
