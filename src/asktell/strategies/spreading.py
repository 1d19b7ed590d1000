"""Strategies that ask items which are uncertain and far apart."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from asktell.embeddings import GradientEmbedding, Points
from asktell.errors import SelectionError
from asktell.evidence import Evidence
from asktell.selection import Selection, kmeans_pp, top_k, weighted_kmeans
from asktell.selection.spread import First
from asktell.strategies.ranking import Margin, renormalised


@dataclass(frozen=True)
class BADGE:
    """Gradients of the last layer, spread by k-means++ (Ash et al. 2020); what is pending counts as picked."""

    name: ClassVar[str] = "badge"
    needs: ClassVar[frozenset[str]] = frozenset(
        {"point_log_probs", "features", "pending_point_log_probs", "pending_features"}
    )
    first: First = "largest"

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """`selection.kmeans_pp` of the gradient embedding; `first` is for when nothing is pending."""
        gradients = GradientEmbedding.of(evidence.require("point_log_probs"), evidence.require("features"))
        given = _pending(evidence)
        selection = kmeans_pp(gradients, b, given=given, first=self.first, memory=memory, generator=generator)
        return selection.reported(renormalised=renormalised(evidence))


@dataclass(frozen=True)
class KMeansMargin:
    """The beta * b smallest margins, clustered with 1 - margin as weights (Zhdanov 2019)."""

    name: ClassVar[str] = "kmeans-margin"
    point: bool = False
    beta: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.beta < math.inf:
            raise SelectionError(
                f"kmeans-margin keeps beta * b items; beta must be at least 1 and finite, not {self.beta}"
            )

    @property
    def needs(self) -> frozenset[str]:
        """`features`, and `log_probs` or, with `point`, `point_log_probs`."""
        return Margin(self.point).needs | {"features"}

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """`selection.weighted_kmeans` of the features of the most informative candidates."""
        weights = (1 + Margin(self.point).scores(evidence, memory=memory)).clamp_min(0.0)
        count = max(b, int(min(self.beta * b, evidence.n)))
        rows = top_k(weights, count, generator=generator).indices
        points = Points(evidence.require("features"), memory=memory, kept=count)
        (features,) = points.gathered(rows)
        selection = weighted_kmeans(features, weights[rows], b, memory=memory, generator=generator)
        return replace(selection, indices=rows[selection.indices]).reported(
            passes=1 + points.passes, rows_read=evidence.n + points.rows_read, renormalised=renormalised(evidence)
        )


def _pending(evidence: Evidence) -> GradientEmbedding | None:
    if evidence.pending_point_log_probs is None and evidence.pending_features is None:
        return None
    return GradientEmbedding.of(evidence.require("pending_point_log_probs"), evidence.require("pending_features"))
