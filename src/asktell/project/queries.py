"""Queries: recorded in one transaction that checks that everything picked is still free, and read back."""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, true

from asktell.errors import BudgetError, ConflictError, ProjectError
from asktell.project import audit, counts, items, schema
from asktell.project.documents import to_json
from asktell.project.items import Item
from asktell.project.names import check_names, check_whole
from asktell.project.schema import ItemPart, ItemState, QuestionState, exactly
from asktell.types import Budget, Query


def next_number(connection: Connection) -> int:
    """The number that the next query gets: 0, 1, 2, ..."""
    newest = connection.scalar(select(func.max(schema.query.c.number)))
    return 0 if newest is None else newest + 1


def check(query: Query) -> None:
    """Raise `ProjectError` unless the query can be written down as it is."""
    b = len(check_names(query.ids, "item"))
    check_whole(query.seed, "seed")
    if not b:
        raise ProjectError("a query without items is not recorded; ask for at least one")
    if len(query.scores) != b or (query.probabilities is not None and len(query.probabilities) != b):
        raise ProjectError(
            f"{b} items came with {len(query.scores)} scores; give one score and one probability per item"
        )
    if any(math.isnan(value) for value in (*query.scores, *(query.probabilities or ()))):
        raise ProjectError("a score or probability is NaN; find out which item gives it before asking")
    to_json(dict(query.strategy), "the strategy of a query"), to_json(dict(query.report), "the report of a query")


def record(connection: Connection, query: Query) -> str:
    """Write the query down and make its items pending; gives the time of creation.

    Raises `UnknownItemError`; `BudgetError` if it costs more than is left; `ConflictError` if items are no longer free
    to be asked by this strategy, or another query got the number first.
    """
    part = ItemPart.AUDIT if query.strategy.get("name") == audit.STRATEGY else ItemPart.POOL
    found = items.find(connection, query.ids)
    _check_budget(budget(connection), len(query.ids))
    taken = tuple(id_ for id_ in query.ids if found[id_].state is not ItemState.FREE or found[id_].part is not part)
    number = next_number(connection)
    if taken or number != query.number:
        raise ConflictError(number, taken)
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    connection.execute(insert(schema.query), _row(query, created))
    asked = [found[id_] for id_ in query.ids]
    connection.execute(insert(schema.question), _questions(query, asked))
    counts.questions_moved(connection, (), [QuestionState.OPEN] * len(asked))
    items.move(connection, asked, ItemState.FREE, ItemState.PENDING, query=number)
    return created


def budget(connection: Connection) -> Budget:
    """The limit, and what the questions asked so far cost."""
    count = counts.questions(connection)
    limit = connection.scalar(select(schema.project.c.budget))
    return Budget(limit, count[QuestionState.ANSWERED], count[QuestionState.OPEN])


def read(connection: Connection, *, unanswered: bool = False) -> tuple[Query, ...]:
    """All queries, oldest first; or the open ones, each with only those items that are still pending."""
    query, question, item = schema.query, schema.question, schema.item
    wanted: ColumnElement[bool] = question.c.state == exactly(QuestionState.OPEN) if unanswered else true()
    rows = connection.execute(
        select(query, item.c.id, question.c.score, question.c.probability)
        .select_from(
            question.join(query, query.c.number == question.c.query).join(item, item.c.number == question.c.item)
        )
        .where(wanted)
        .order_by(question.c.query, question.c.position)
    )
    return tuple(_query(list(group)) for _, group in groupby(rows, key=lambda row: row.number))


def _check_budget(budget: Budget, b: int) -> None:
    if budget.left is not None and b > budget.left:
        raise BudgetError(
            f"asking for {b} labels, but of the budget of {budget.limit} {budget.spent} are spent and "
            f"{budget.pending} on order: ask for at most {max(budget.left, 0)}, or raise it with set_budget"
        )


def _row(query: Query, created: str) -> dict[str, object]:
    return {
        "number": query.number,
        "strategy": to_json(dict(query.strategy), "the strategy of a query"),
        "seed": query.seed,
        "model": query.model,
        "report": to_json(dict(query.report), "the report of a query"),
        "created": created,
    }


def _questions(query: Query, asked: Sequence[Item]) -> list[dict[str, object]]:
    chances: Sequence[float | None] = query.probabilities or [None] * len(query.ids)
    return [
        {
            "query": query.number,
            "position": position,
            "item": item.number,
            "score": score,
            "probability": chance,
            "audit": int(item.part is ItemPart.AUDIT),
        }
        for position, (item, score, chance) in enumerate(zip(asked, query.scores, chances, strict=True))
    ]


def _query(rows: Sequence[Any]) -> Query:
    first = rows[0]
    return Query(
        number=first.number,
        ids=tuple(row.id for row in rows),
        scores=tuple(row.score for row in rows),
        strategy=json.loads(first.strategy),
        seed=first.seed,
        model=first.model,
        probabilities=None if first.probability is None else tuple(row.probability for row in rows),
        report=json.loads(first.report),
        created=first.created,
    )
