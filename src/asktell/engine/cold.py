"""The first questions, before there is a model: items that stand for many others."""

from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor

from asktell.evidence import Evidence
from asktell.selection import Selection, k_center, weighted_kmeans
from asktell.selection.result import Report, check_batch, empty_selection

SCORED: Final = 20_000
"""Candidates that are clustered at most, and labelled items that are looked at."""
GIVEN: Final = 100


@dataclass(frozen=True)
class Typical:
    """The items nearest to the centres of the largest clusters in which nothing is labelled or pending yet.

    After TypiClust (Hacohen et al. 2022, arXiv:2202.02794): as many clusters as items asked before and now together.
    The score of an item is the share of all items that are nearest to it. Where too few clusters are left, those
    items fill the batch that are farthest from all others asked; their score is 0.
    """

    name: ClassVar[str] = "typical"
    needs: ClassVar[frozenset[str]] = frozenset({"features", "labelled_features", "pending_features"})

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b rows; raises `SelectionError` for more than there are."""
        check_batch(b, evidence.n)
        if not b:
            return empty_selection()
        rows = evidence.tensor("features").double()
        parts = [evidence.tensor("labelled_features"), evidence.pending_features]
        given = torch.cat([part.double().reshape(-1, rows.shape[1]) for part in parts if part is not None])
        picks, shares = _representatives(rows, given, b, generator)
        return _filled(rows, given, picks[:b], shares[:b], b, generator)


def _representatives(rows: Tensor, given: Tensor, b: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Rows that stand for clusters without a given item, the largest cluster first, and their shares."""
    points = torch.cat([rows, given])
    count = min(b + len(given), len(points))
    medoids = weighted_kmeans(points, torch.ones(len(points), dtype=torch.float64), count, generator=generator).indices
    of = torch.cdist(points, points[medoids]).argmin(1)
    sizes = torch.bincount(of, minlength=count).double() / len(points)
    free = medoids < len(rows)
    free[of[len(rows) :]] = False
    order = sizes[free].argsort(descending=True, stable=True)
    return medoids[free][order], sizes[free][order]


def _filled(
    rows: Tensor, given: Tensor, picks: Tensor, shares: Tensor, b: int, generator: torch.Generator
) -> Selection:
    missing = b - len(picks)
    if not missing:
        return Selection(picks, shares)
    left = torch.ones(len(rows), dtype=torch.bool)
    left[picks] = False
    rest = left.nonzero().squeeze(1)
    found = k_center(rows[rest], missing, given=torch.cat([given, rows[picks]]), generator=generator)
    scores = torch.cat([shares, shares.new_zeros(missing)])
    return Selection(torch.cat([picks, rest[found.indices]]), scores, report=Report(filled_from=len(picks)))
