"""Batches of typical rows: the densest place of every cluster that nobody asked about."""

from collections import deque
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from asktell.arrays import Features
from asktell.embeddings import Points, check_alike, squared_distances
from asktell.errors import RowError, SelectionError
from asktell.rows import Rows
from asktell.selection.clusters import clustered, distinct_rows
from asktell.selection.result import Report, Selection, check_batch, empty_selection

GivenFeatures = Float[Tensor, "l d"]

NEIGHBOURS = 20
MOST = 500
LEAST = 6
_EPSILON = 1e-5  # added to a mean distance, so that copies have a typicality
_TIE = 1e-9  # relative: as typical, but for rounding
_TABLE = 2**21  # distances that are held at once


def typiclust(
    features: Features | Rows,
    b: int,
    *,
    given: GivenFeatures | Rows | None = None,
    neighbours: int = NEIGHBOURS,
    most: int = MOST,
    least: int = LEAST,
    squared: bool = False,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """The most typical row of each of b clusters, scores = 1 / (mean distance to its nearest neighbours + 1e-5).

    k-means divides the rows and `given` [l, d] into l + b clusters, but no more than `most`. Those of fewer than
    `least` rows, given ones counted, are put aside; the others come in turn: first those with the fewest given, then
    the largest. Each gives the row with the smallest mean Euclidean distance (squared, if `squared`) to its
    min(`neighbours`, half of them) nearest among the rows of the cluster that are left, at least one; a row that is
    left alone has score 0. After the last cluster comes the first again. When these clusters are used up those put
    aside follow, from `report.filled_from` on. All rows are held in memory, several times.

    Raises `RowError` for a row that is not finite, `EvidenceError` for `given` of another width, `SelectionError` if
    b < 0 or b > n, and unless neighbours, most and least are at least 1. Hacohen et al. 2022
    (arXiv:2202.02794).

    >>> line = torch.tensor([[0.0], [1.0], [1.5], [9.0], [9.2], [9.6]])
    >>> typiclust(line, 2, least=1, neighbours=2, generator=torch.Generator()).indices.sort().values // 3
    tensor([0, 1])
    """
    if min(neighbours, most, least) < 1:
        raise SelectionError(f"neighbours, most and least must be at least 1, not {neighbours}, {most} and {least}")
    check_batch(b, len(features))
    if b == 0:
        return empty_selection()
    points = Points(features, memory=memory, kept=4 * (len(features) + (0 if given is None else len(given))))
    x = points.whole()[0].double().cpu()
    kept, aside = _clusters(x, _given(given, points), b, most, least, generator)
    typicality = _Typicality(x, neighbours, squared)
    picked = _taken_in_turn(kept, b, typicality)
    filled_from = len(picked) if len(picked) < b else None
    picked += _taken_in_turn(aside, b - len(picked), typicality)
    picks, scores = zip(*picked, strict=True)
    report = Report(points.passes, points.rows_read, filled_from=filled_from)
    return Selection(torch.tensor(picks), torch.tensor(scores, dtype=torch.float64), report=report)


@dataclass(frozen=True)
class _Cluster:
    """Rows that may be picked, in random order, and how many rows there are and are given."""

    rows: list[int]
    size: int
    given: int


@dataclass(frozen=True)
class _Typicality:
    x: Tensor
    neighbours: int
    squared: bool

    def most(self, rows: list[int]) -> tuple[int, float]:
        """The most typical of these rows, the first of equals, and its typicality."""
        if len(rows) == 1:
            return rows[0], 0.0
        mean = self._mean_distance(self.x[rows])
        at = int((mean <= (1 + _TIE) * mean.min()).nonzero()[0])
        return rows[at], 1 / (float(mean[at]) + _EPSILON)

    def _mean_distance(self, x: Tensor) -> Tensor:
        """Of every row to its nearest neighbours among the others."""
        x, count = x - x[0], min(self.neighbours, len(x) // 2)
        found = []
        for start in range(0, len(x), step := max(1, _TABLE // len(x))):
            apart = squared_distances((x[start : start + step],), (x,))
            apart.diagonal(start).fill_(torch.inf)
            nearest = apart.topk(count, largest=False).values
            found.append((nearest if self.squared else nearest.sqrt_()).mean(1))
        return torch.cat(found)


def _clusters(
    x: Tensor, given: Tensor, b: int, most: int, least: int, generator: torch.Generator
) -> tuple[list[_Cluster], list[_Cluster]]:
    """Clusters with rows to pick, in the order in which they give one: those of `least` rows, and smaller ones."""
    distinct, point = distinct_rows(torch.cat([x, given]))
    mass = torch.bincount(point, minlength=len(distinct)).double()
    label = clustered(distinct, mass, min(len(given) + b, most), generator)[point]
    rank = torch.randperm(len(distinct), generator=generator)[point[: len(x)]]
    order = torch.randperm(len(x), generator=generator)  # of copies
    order = order[rank[order].argsort(stable=True)]
    sizes = torch.bincount(label)
    held = torch.bincount(label[len(x) :], minlength=len(sizes))
    found = [
        _Cluster(order[label[order] == i].tolist(), int(sizes[i]), int(held[i]))
        for i in torch.randperm(len(sizes), generator=generator).tolist()
        if held[i] < sizes[i]
    ]
    found.sort(key=lambda cluster: (cluster.given, -cluster.size))
    return [one for one in found if one.size >= least], [one for one in found if one.size < least]


def _taken_in_turn(clusters: list[_Cluster], b: int, typicality: _Typicality) -> list[tuple[int, float]]:
    """Up to b rows and their scores: one of each cluster, then the second of each, and so on."""
    picked: list[tuple[int, float]] = []
    turns = deque(clusters)
    while turns and len(picked) < b:
        cluster = turns.popleft()
        picked.append(typicality.most(cluster.rows))
        cluster.rows.remove(picked[-1][0])
        if cluster.rows:
            turns.append(cluster)
    return picked


def _given(given: Tensor | Rows | None, points: Points) -> Tensor:
    if given is None or len(given) == 0:
        return torch.empty(0, points.widths[0], dtype=torch.float64)
    held = Points(given)
    check_alike(points, held)
    try:
        return held.whole()[0].double().cpu()
    except RowError as error:
        raise RowError("given", error.row, error.reason) from None
