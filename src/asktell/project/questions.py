"""Questions: single items of queries, as a person meets them."""

import json
from typing import Any

from sqlalchemy import Connection, Integer, Select, literal_column, select

from asktell.project import counts, items, schema
from asktell.project.schema import QuestionState, exactly
from asktell.types import Question


def waiting(connection: Connection, limit: int | None, audit: bool | None) -> tuple[Question, ...]:
    """The open questions, oldest query first and in pick order; of one kind, if asked."""
    question = schema.question.c
    rows = _questions().where(question.state == exactly(QuestionState.OPEN))
    if audit is not None:
        rows = rows.where(question.audit == literal_column(str(int(audit)), Integer))
    ordered = rows.order_by(question.query, question.position).limit(limit)
    return tuple(_question(row) for row in connection.execute(ordered))


def newest(connection: Connection, id_: str) -> Question | None:
    """The newest question for an item, open or closed. Raises `UnknownItemError`."""
    item, question = items.find(connection, [id_])[id_], schema.question.c
    if item.query is None:
        return None
    here = (question.query == item.query) & (question.item == item.number)
    return _question(connection.execute(_questions().where(here)).one())


def closed(connection: Connection) -> int:
    """How many questions are answered or skipped."""
    found = counts.questions(connection)
    return found[QuestionState.ANSWERED] + found[QuestionState.SKIPPED]


def _questions() -> Select[Any]:
    question, query, item = schema.question, schema.query, schema.item
    joined = question.join(query, query.c.number == question.c.query).join(item, item.c.number == question.c.item)
    asked = (question.c.query, question.c.position, question.c.score, question.c.probability)
    stands = (question.c.state, question.c.audit)
    why = (query.c.strategy, query.c.seed, query.c.model, query.c.created)
    return select(item.c.id, *asked, *stands, *why).select_from(joined)


def _question(row: Any) -> Question:
    return Question(
        item=row.id,
        query=row.query,
        position=row.position,
        score=row.score,
        probability=row.probability,
        strategy=json.loads(row.strategy),
        seed=row.seed,
        model=row.model,
        created=row.created,
        audit=bool(row.audit),
        state=row.state,
    )
