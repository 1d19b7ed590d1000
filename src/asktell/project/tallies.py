"""Who answered how much, and what was asked by which strategy: counted by the database, for a report."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select

from asktell.project import schema
from asktell.project.schema import QuestionState, standing


@dataclass(frozen=True)
class ByAnnotator:
    """One annotator's answers: classes and skips that stand, and those that no longer do; when the first and last came.

    A correction is an answer of its own, and what it corrects stands beside it.
    """

    annotator: str
    answers: int
    skips: int
    gone: int
    first: str
    last: str


@dataclass(frozen=True)
class ByStrategy:
    """What a strategy asked: in how many queries, with how many models, and where its questions stand by state."""

    strategy: Mapping[str, object]
    queries: int
    models: int
    states: Mapping[str, int]

    @property
    def questions(self) -> int:
        """All of them."""
        return sum(self.states.values())


def by_annotator(connection: Connection) -> tuple[ByAnnotator, ...]:
    """Every annotator, the first to answer first."""
    annotation = schema.annotation.c
    stands, is_skip = standing, annotation.label.is_(None)
    counted = (_count(stands & ~is_skip), _count(stands & is_skip), _count(~stands))
    times = (func.min(annotation.created), func.max(annotation.created))
    rows = select(annotation.annotator, *counted, *times).group_by(annotation.annotator)
    return tuple(ByAnnotator(*row) for row in connection.execute(rows.order_by(func.min(annotation.number))))


def by_strategy(connection: Connection) -> tuple[ByStrategy, ...]:
    """Every strategy that asked, the first to ask first; with other parameters it is another."""
    query, question = schema.query, schema.question
    states = [_count(question.c.state == state).label(state.name) for state in QuestionState]
    columns = (func.count(query.c.number.distinct()), func.count(query.c.model.distinct()), *states)
    joined = query.join(question, question.c.query == query.c.number)
    rows = select(query.c.strategy, *columns).select_from(joined).group_by(query.c.strategy)
    return tuple(
        ByStrategy(json.loads(strategy), queries, models, dict(zip(map(str, QuestionState), counts, strict=True)))
        for strategy, queries, models, *counts in connection.execute(rows.order_by(func.min(query.c.number)))
    )


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows are so."""
    return func.sum(case((condition, 1), else_=0))
