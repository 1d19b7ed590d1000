"""Strategies whose batch represents the pool: every item has one like it among those asked."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from asktell.errors import RowError
from asktell.evidence import Evidence
from asktell.rows import Rows
from asktell.selection import Selection, facility_location, max_cover, top_k
from asktell.selection.facility import Likeness
from asktell.selection.result import check_batch, empty_selection
from asktell.strategies.covering import Covering
from asktell.strategies.narrowing import check_beta, kept
from asktell.strategies.protocols import Scored
from asktell.strategies.ranking import MeanStd, renormalised


@dataclass(frozen=True)
class FacilityLocation(Covering):
    """Most similarity between items and the likest one that is labelled, pending or picked: facility location.

    With more than one of `parts` by GreeDi (Mirzasoleiman et al. 2013).
    """

    name: ClassVar[str] = "facility-location"
    similarity: Likeness = "cosine"
    breadth: float = 1.0
    parts: int = 1

    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """`selection.facility_location`."""
        return facility_location(
            features,
            b,
            similarity=self.similarity,
            breadth=self.breadth,
            parts=self.parts,
            given=given,
            memory=memory,
            generator=generator,
        )


@dataclass(frozen=True)
class SuggestiveAnnotation:
    """Of the beta * b items of the highest score those that represent all candidates best (Yang et al. 2017)."""

    name: ClassVar[str] = "suggestive-annotation"
    inner: Scored = field(default_factory=MeanStd)
    beta: float = 2.0

    def __post_init__(self) -> None:
        check_beta(self.name, self.beta)

    @property
    def needs(self) -> frozenset[str]:
        """What the score needs, `features`, and those of pending items."""
        return self.inner.needs | {"features", "pending_features"}

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """`selection.max_cover` of all candidates by those of the highest score; what is pending counts as picked."""
        check_batch(b, evidence.n)
        if not b:
            return empty_selection()
        scores = self.inner.scores(evidence, memory=memory)
        candidates = top_k(scores, kept(self.beta, b, evidence.n), generator=generator).indices
        features, pending = evidence.require("features"), evidence.pending_features
        try:
            selection = max_cover(features, candidates, b, given=pending, memory=memory, generator=generator)
        except RowError as error:
            raise RowError(error.name.replace("given", "pending_features"), error.row, error.reason) from None
        return selection.reported(candidates=len(candidates), renormalised=renormalised(evidence))
