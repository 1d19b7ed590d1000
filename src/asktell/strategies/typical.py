"""Strategies for few labels: items that stand for many others, whatever the model predicts."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from asktell.arrays import probabilities
from asktell.errors import RowError
from asktell.evidence import Evidence
from asktell.rows import Rows
from asktell.selection import Selection, probcover, purity_radius, typiclust
from asktell.selection.balls import PURITY, SAMPLE, Covered
from asktell.selection.typical import LEAST, MOST, NEIGHBOURS
from asktell.strategies.covering import Covering
from asktell.strategies.views import Joined


@dataclass(frozen=True)
class TypiClust(Covering):
    """The most typical item of every cluster in which nothing is labelled or pending (Hacohen et al. 2022)."""

    name: ClassVar[str] = "typiclust"
    normalise: bool = True
    neighbours: int = NEIGHBOURS
    most: int = MOST
    least: int = LEAST
    squared: bool = False

    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """`selection.typiclust`."""
        return typiclust(
            features,
            b,
            given=given,
            neighbours=self.neighbours,
            most=self.most,
            least=self.least,
            squared=self.squared,
            memory=memory,
            generator=generator,
        )


@dataclass(frozen=True)
class ProbCover(Covering):
    """Most items within a radius of one that is labelled, pending or picked (Yehuda et al. 2022).

    The radius is `delta`; None is the largest at which balls are pure under a k-means into `clusters` clusters; None of
    these is as many as there are classes, which the width of the predictions says.
    """

    name: ClassVar[str] = "probcover"
    normalise: bool = True
    delta: float | None = None
    clusters: int | None = None
    alpha: float = PURITY
    sample: int = SAMPLE
    covered: Covered = "shrink"

    @property
    def needs(self) -> frozenset[str]:
        """Where items lie and, to count the classes, `labelled_point_log_probs`, unless the parameters say it."""
        known = self.delta is not None or self.clusters is not None
        return super().needs | (set() if known else {"labelled_point_log_probs"})

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b items; `report.radius` is the radius."""
        if self.delta is None and self.clusters is None:
            predicted = evidence.tensor("labelled_point_log_probs")
            probabilities(predicted, "labelled_point_log_probs")
            told = replace(self, clusters=predicted.shape[-1])
            return told(evidence, b, generator=generator, memory=memory)
        return super().__call__(evidence, b, generator=generator, memory=memory)

    def cover(self, features: Rows, b: int, given: Rows, memory: int | None, generator: torch.Generator) -> Selection:
        """`selection.probcover`, within `selection.purity_radius` unless `delta` is given."""
        delta = self.delta
        if delta is None:  # a batch that cannot be picked needs none
            delta = self._radius(features, given, memory, generator) if 0 < b <= len(features) else 1.0
        return probcover(
            features, b, delta=delta, given=given, covered=self.covered, memory=memory, generator=generator
        )

    def _radius(self, features: Rows, given: Rows, memory: int | None, generator: torch.Generator) -> float:
        assert self.clusters is not None  # __call__ saw to it
        every = Joined((features, given))
        try:
            return purity_radius(
                every, self.clusters, alpha=self.alpha, sample=self.sample, memory=memory, generator=generator
            )
        except RowError as error:
            after = error.row - len(features)
            raise error if after < 0 else RowError("given", after, error.reason) from None
