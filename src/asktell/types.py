"""The frozen values that travel between the durable half and the rest. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Skip(Enum):
    """The type of `SKIP`, so that a label is `str | Skip`."""

    SKIP = "skip"


SKIP: Final = Skip.SKIP
"""The answer of an annotator who cannot or will not say."""


@dataclass(frozen=True)
class Candidates:
    """What may be asked now, and what is known: one consistent snapshot, ids in insertion order.

    `labels[i]` is the resolved class name of `labelled_ids[i]`. Pending ids are asked and not yet answered.
    """

    ids: tuple[str, ...]
    labelled_ids: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    pending_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """One `ask`, as it stands in the project: ids in pick order with the score of each when it was picked.

    `strategy` is JSON {name, parameters, inner}; `report` says what the selection did (fills, saturation, passes);
    `probabilities` are sequential, for strategies that sample; `model` names the weights that were asked.
    """

    number: int
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    strategy: Mapping[str, object]
    seed: int
    model: str | None = None
    probabilities: tuple[float, ...] | None = None
    report: Mapping[str, object] = field(default_factory=dict)
    created: str = ""


@dataclass(frozen=True)
class Annotation:
    """One answer of one annotator. Append-only: a correction is a new annotation.

    `query` is None for labels that came from elsewhere (imported). An answer that was taken back, and a skip whose item
    was released, no longer `stands`: it is kept and decides nothing.
    """

    number: int
    item: str
    annotator: str
    label: str | Skip
    query: int | None
    created: str
    stands: bool = True


@dataclass(frozen=True)
class Budget:
    """How many labels may be bought (`limit`, None = no limit), how many were, and how many are on order.

    Only asked items count; skipped ones are given back; imported labels are free.
    """

    limit: int | None
    spent: int
    pending: int

    @property
    def left(self) -> int | None:
        """Labels that may still be asked for; None without a limit."""
        return None if self.limit is None else self.limit - self.spent - self.pending


@dataclass(frozen=True)
class Question:
    """One item of one query, and why it was asked: strategy, score, place, model and seed.

    `position` counts from 0, the first pick. `audit`: asked to measure accuracy, not by a strategy. `state` is open,
    answered, skipped or withdrawn.
    """

    item: str
    query: int
    position: int
    score: float
    probability: float | None
    strategy: Mapping[str, object]
    seed: int
    model: str | None
    created: str
    audit: bool = False
    state: str = "open"


@dataclass(frozen=True)
class Training:
    """One training of the model: number (0, 1, 2, ...), on how many labels, since when, for how many seconds.

    `model` names the weights that came out, None where `error` says what went wrong. `report` is JSON; evaluations that
    come later are merged into it.
    """

    number: int
    model: str | None
    n_labelled: int
    started: str
    seconds: float
    report: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Audit:
    """Where the reserved items stand: `share` of all ids, drawn by hash, for an unbiased measure of accuracy.

    `answered` maps ids to class names, in audit order: labels that were given to a question. Labels that came without
    a question are only counted (`imported`), and so are items still free (`waiting`), `pending` and `skipped`.
    """

    share: float
    waiting: int = 0
    pending: int = 0
    skipped: int = 0
    imported: int = 0
    answered: Mapping[str, str] = field(default_factory=dict)
