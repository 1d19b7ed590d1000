"""Strategies that cover the pool: every item has an asked one near it, whatever the model predicts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from asktell.errors import RowError
from asktell.evidence import Evidence
from asktell.rows import Rows, as_rows
from asktell.selection import Selection, k_center, robust_k_center
from asktell.selection.cover import OUTLIERS, TIME_LIMIT
from asktell.strategies.views import Joined, UnitLength


@dataclass(frozen=True)
class Covering(ABC):
    """A cover of the candidates by those picked, pending and labelled; of directions only, if `normalise`."""

    normalise: bool = False

    @property
    def needs(self) -> frozenset[str]:
        """Where candidates, labelled and pending items lie."""
        return frozenset({"features", "labelled_features", "pending_features"})

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """The cover of the features, each divided by its length if `normalise`."""
        features = self._read(evidence.require("features"))
        labelled, pending = evidence.require("labelled_features"), evidence.pending_features
        given = Joined(tuple(self._read(rows) for rows in (labelled, pending) if rows is not None))
        try:
            return self.cover(features, b, given, memory, generator)
        except RowError as error:
            raise _named(error, len(labelled)) from None

    @abstractmethod
    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """b rows of `features`, which `given` are to cover with them."""

    def _read(self, rows: Tensor | Rows) -> Rows:
        return UnitLength(as_rows(rows)) if self.normalise else as_rows(rows)


@dataclass(frozen=True)
class CoreSet(Covering):
    """Farthest from all that are labelled, pending or picked: the greedy k-center (Sener & Savarese 2018)."""

    name: ClassVar[str] = "core-set"

    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """`selection.k_center`."""
        return k_center(features, b, given=given, memory=memory, generator=generator)


@dataclass(frozen=True)
class CoreSetRobust(Covering):
    """Smallest distance to the farthest item, a few outliers left out (Sener & Savarese 2018)."""

    name: ClassVar[str] = "core-set-robust"
    outliers: float = OUTLIERS
    time_limit: float = TIME_LIMIT

    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """`selection.robust_k_center`."""
        return robust_k_center(
            features,
            b,
            given=given,
            outliers=self.outliers,
            time_limit=self.time_limit,
            memory=memory,
            generator=generator,
        )


def _named(error: RowError, labelled: int) -> RowError:
    """The same error under the name of the evidence."""
    if error.name != "given":
        return error
    name, row = ("labelled_features", error.row) if error.row < labelled else ("pending_features", error.row - labelled)
    return RowError(name, row, error.reason)
