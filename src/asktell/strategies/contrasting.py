"""Strategies that ask where the model contradicts itself: alike in features, predicted differently."""

from dataclasses import dataclass
from typing import ClassVar

from asktell.arrays import Scores
from asktell.evidence import Evidence
from asktell.scores import contrastive
from asktell.scores.contrast import NEIGHBOURS
from asktell.strategies.fisher import last_layer
from asktell.strategies.ranking import Ranking


@dataclass(frozen=True)
class CAL(Ranking):
    """Largest divergence from what is predicted for the nearest labelled items (Margatina et al. 2021)."""

    name: ClassVar[str] = "cal"
    needs: ClassVar[frozenset[str]] = frozenset(
        {"point_log_probs", "features", "labelled_point_log_probs", "labelled_features"}
    )
    neighbours: int = NEIGHBOURS
    normalise: bool = True

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """`scores.contrastive`."""
        return contrastive(
            last_layer(evidence),
            last_layer(evidence, "labelled_"),
            neighbours=self.neighbours,
            normalise=self.normalise,
            memory=memory,
        )
