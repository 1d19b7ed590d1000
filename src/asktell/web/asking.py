"""Which question comes next, and the questions that the server asks itself.

Every tenth question is the next of the audit. All others come from the project's strategy, whose worker keeps open ones
in stock; where the worker is behind or does not run, the server asks at random rather than let somebody wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from random import Random
from threading import Lock
from typing import TypeVar

from asktell.errors import BudgetError, ConflictError, ProjectError
from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.project.database import is_of_the_disk
from asktell.types import Query, Question

T = TypeVar("T")
AUDIT_EVERY = 10
"""Of so many questions, the last is one of the audit."""
STOCK = 3
"""Ordinary questions to have at hand at least: the one that is shown, and two for quick fingers."""
_ATTEMPTS = 20


class End(StrEnum):
    """Why there is no question."""

    BUDGET = "budget"
    STOPPED = "stopped"
    SKIPPED = "skipped"
    DONE = "done"
    BUSY = "busy"


@dataclass(frozen=True)
class Upcoming:
    """The next questions in the order in which they come; without any, `end` says why.

    `audit_used_up`: a question of the audit is due and no reserved item is left for it.
    """

    questions: tuple[Question, ...]
    audit_used_up: bool = False
    end: End | None = None


# The rules -------------------------------------------------------------------------------------------------------


def is_audit_due(closed: int) -> bool:
    """Whether the question after `closed` answered or skipped ones is one of the audit.

    >>> [closed for closed in range(30) if is_audit_due(closed)]
    [9, 19, 29]
    """
    return closed % AUDIT_EVERY == AUDIT_EVERY - 1


def audits_due(closed: int, n: int) -> int:
    """How many of the next `n` questions are of the audit.

    >>> audits_due(8, 1), audits_due(8, 2), audits_due(9, 11)
    (0, 1, 2)
    """
    return sum(map(is_audit_due, range(closed, closed + n)))


def arrange(closed: int, ordinary: Sequence[T], audit: Sequence[T], n: int, *, are_all: bool = False) -> tuple[T, ...]:
    """The next `n` questions, or fewer: ordinary ones in order, and audit ones where they are due.

    Where one is due and none is there, an ordinary one comes. No audit one comes before its turn, unless the ordinary
    ones `are_all` that there will be: then those that were asked come after them.

    >>> arrange(8, ["a", "b", "c"], ["x"], 3), arrange(5, ["a"], ["x"], 3), arrange(5, ["a"], ["x"], 3, are_all=True)
    (('a', 'x', 'b'), ('a',), ('a', 'x'))
    """
    usual, reserved, arranged = list(ordinary), list(audit), list[T]()
    while len(arranged) < n:
        if reserved and (is_audit_due(closed + len(arranged)) or (are_all and not usual)):
            arranged.append(reserved.pop(0))
        elif usual:
            arranged.append(usual.pop(0))
        else:
            break
    return tuple(arranged)


def seed_of(seed: int, query: int) -> int:
    """The seed of the server's random pick for a query, 64 bits of a hash of the project's seed and the number."""
    return int.from_bytes(sha256(f"{seed}:random:{query}".encode()).digest()[:8], "big")


# The questions ---------------------------------------------------------------------------------------------------


class Asking:
    """Serves questions of a project, one batch at a time in this process; other processes may ask meanwhile."""

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        self._project, self._catalogue = project, catalogue
        self._lock = Lock()
        self._trouble: ProjectError | None = None

    def upcoming(self, n: int, *, stopped: bool = False) -> Upcoming:
        """The next `n` questions, or fewer; asks those of the audit that are due, and random ones where stock is low.

        `stopped`: the project has decided to ask no more; what is open is still served. So it is where the disk takes
        no more questions; raises `ProjectError` if none is open then.
        """
        with self._lock:
            self._trouble = None
            closed = self._project.n_closed_questions
            ordinary = self._project.questions(n, audit=False)
            audit, used_up = self._audit(audits_due(closed, n))
            if len(ordinary) < min(STOCK, n) and not stopped:
                ordinary = self._restock(len(ordinary), min(STOCK, n), n)
            trouble = self._trouble
        questions = arrange(closed, ordinary, audit, n, are_all=len(ordinary) < min(STOCK, n))
        if trouble is not None and not questions:
            raise trouble
        return Upcoming(questions, used_up, None if questions else self._end(stopped))

    def _audit(self, due: int) -> tuple[tuple[Question, ...], bool]:
        """The open questions of the audit, as many as are due, and whether reserved items ran out before."""
        there = self._project.questions(max(due, 1), audit=True)
        for _ in range(due - len(there)):
            if not self._ask("audit", lambda _number: self._next_reserved()):
                return there, self._catalogue.reserves and not self._project.next_audit(1)
            there = self._project.questions(due, audit=True)
        return there, False

    def _restock(self, there: int, wanted: int, n: int) -> tuple[Question, ...]:
        for _ in range(wanted - there):
            if not self._ask("random", self._at_random):
                break
        return self._project.questions(n, audit=False)

    def _next_reserved(self) -> tuple[str, float | None] | None:
        waiting = self._project.next_audit(1)
        return (waiting[0], None) if waiting else None

    def _at_random(self, number: int) -> tuple[str, float | None] | None:
        return self._catalogue.any_free(Random(seed_of(self._project.seed, number)))

    def _ask(self, strategy: str, choose: Callable[[int], tuple[str, float | None] | None]) -> bool:
        """Record a query of one item; whether it was possible: there is an item, and budget and disk allow it."""
        for _ in range(_ATTEMPTS):
            number = self._project.next_query
            chosen = choose(number)
            if chosen is None:
                return False
            try:
                self._project.record(_query(number, self._project.seed, strategy, *chosen))
            except ConflictError:  # the worker asked meanwhile
                continue
            except BudgetError:
                return False
            except ProjectError as error:
                if not is_of_the_disk(error):
                    raise
                self._trouble = error
                return False
            return True
        return False

    def _end(self, stopped: bool) -> End:
        status = self._project.status()
        if status.budget.left is not None and status.budget.left <= 0:
            return End.BUDGET
        if self._catalogue.free:
            return End.STOPPED if stopped else End.BUSY
        return End.SKIPPED if status.states["skipped"] else End.DONE


def _query(number: int, seed: int, strategy: str, item: str, probability: float | None) -> Query:
    described: dict[str, object] = {"name": strategy, "parameters": {}, "inner": None}
    chances = None if probability is None else (probability,)
    return Query(number, (item,), (0.0,), described, seed, probabilities=chances)
