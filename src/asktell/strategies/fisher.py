"""Strategies that choose by the Fisher information of the last layer."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from asktell.embeddings import LastLayer
from asktell.errors import RowError
from asktell.evidence import Evidence
from asktell.selection import Selection, bait
from asktell.selection.fisher import SIZE, Projection, Weighting
from asktell.strategies.ranking import renormalised

_NAMES = {"labelled": "labelled", "given": "pending"}


@dataclass(frozen=True)
class BAIT:
    """Smallest trace of the pool's Fisher information times the inverse of that of what is asked (Ash et al. 2021)."""

    name: ClassVar[str] = "bait"
    needs: ClassVar[frozenset[str]] = frozenset(
        {
            "point_log_probs",
            "features",
            "labelled_point_log_probs",
            "labelled_features",
            "pending_point_log_probs",
            "pending_features",
        }
    )
    regulariser: float = 1.0
    oversample: float = 2.0
    weighting: Weighting = "paper"
    size: int = SIZE
    projection: Projection = "principal"

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """`selection.bait`; what is pending counts as picked."""
        try:
            selection = bait(
                last_layer(evidence),
                b,
                labelled=last_layer(evidence, "labelled_"),
                given=pending_last_layer(evidence),
                regulariser=self.regulariser,
                oversample=self.oversample,
                weighting=self.weighting,
                size=self.size,
                projection=self.projection,
                memory=memory,
                generator=generator,
            )
        except RowError as error:
            of, _, name = error.name.rpartition(" ")
            raise RowError(f"{_NAMES[of]}_{name}" if of else name, error.row, error.reason) from None
        return selection.reported(renormalised=renormalised(evidence))


def last_layer(evidence: Evidence, prefix: str = "") -> LastLayer:
    """What the last layer says and sees of candidates, or of `labelled_` or `pending_` items."""
    return LastLayer(evidence.require(f"{prefix}point_log_probs"), evidence.require(f"{prefix}features"))


def pending_last_layer(evidence: Evidence) -> LastLayer | None:
    """The same of pending items, None if there are none."""
    if evidence.pending_point_log_probs is None and evidence.pending_features is None:
        return None
    return last_layer(evidence, "pending_")
