"""Queries: recorded in one transaction that checks that everything picked is still free, and read back."""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, true

from asktell.errors import BudgetError, ConflictError, ProjectError
from asktell.project import items, schema
from asktell.project.names import check_names, check_whole
from asktell.project.schema import ItemState, QuestionState
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
    _to_json(query.strategy), _to_json(query.report)


def record(connection: Connection, query: Query) -> str:
    """Write the query down and make its items pending; gives the time of creation.

    Raises `UnknownItemError`; `BudgetError` if it costs more than is left; `ConflictError` if items are no longer free
    or another query got the number first.
    """
    found = items.find(connection, query.ids)
    _check_budget(budget(connection), len(query.ids))
    taken = tuple(id_ for id_ in query.ids if found[id_].state is not ItemState.FREE)
    number = next_number(connection)
    if taken or number != query.number:
        raise ConflictError(number, taken)
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    connection.execute(insert(schema.query), _row(query, created))
    connection.execute(insert(schema.question), _questions(query, [found[id_].number for id_ in query.ids]))
    asked = [item.number for item in found.values()]
    items.move(connection, asked, ItemState.FREE, ItemState.PENDING, query=number)
    return created


def budget(connection: Connection) -> Budget:
    """The limit, and what the questions asked so far cost."""
    question = schema.question.c
    counted = select(question.state, func.count()).group_by(question.state)
    count: dict[str, int] = dict(connection.execute(counted).all())
    limit = connection.scalar(select(schema.project.c.budget))
    return Budget(limit, count.get(QuestionState.ANSWERED, 0), count.get(QuestionState.OPEN, 0))


def read(connection: Connection, *, unanswered: bool = False) -> tuple[Query, ...]:
    """All queries, oldest first; or the open ones, each with only those items that are still pending."""
    query, question, item = schema.query, schema.question, schema.item
    wanted: ColumnElement[bool] = question.c.state == QuestionState.OPEN if unanswered else true()
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
        "strategy": _to_json(query.strategy),
        "seed": query.seed,
        "model": query.model,
        "report": _to_json(query.report),
        "created": created,
    }


def _questions(query: Query, numbers: Iterable[int]) -> list[dict[str, object]]:
    chances: Sequence[float | None] = query.probabilities or [None] * len(query.ids)
    rows = enumerate(zip(numbers, query.scores, chances, strict=True))
    return [
        {"query": query.number, "position": position, "item": number, "score": score, "probability": chance}
        for position, (number, score, chance) in rows
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


def _to_json(document: object) -> str:
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ProjectError(f"strategy and report must be JSON, and {document!r} is not: {error}") from None
