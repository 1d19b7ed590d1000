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

    `query` is None for labels that came from elsewhere (imported).
    """

    number: int
    item: str
    annotator: str
    label: str | Skip
    query: int | None
    created: str


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
