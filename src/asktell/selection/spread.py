"""Batches that spread out: k-means++ seeding, and the rows nearest to the centres of a weighted k-means.

k-means++ draws each pick with probability in proportion to D^2, its squared distance to the nearest centre (Arthur &
Vassilvitskii 2007). Distances only shrink as centres join, so one measured earlier bounds the one now: proposals are
drawn by the old distances and accepted with probability new / old. That is the D^2 law itself, and a pass over all
rows is due only when too many were rejected.
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from asktell.arrays import Features, Scores
from asktell.embeddings import (
    Factors,
    GradientEmbedding,
    Points,
    check_alike,
    nearest,
    squared_distances,
    squared_norms,
)
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.rows import Rows
from asktell.selection.clusters import distinct_rows, k_means
from asktell.selection.ranked import top_k
from asktell.selection.result import Report, Selection, check_batch, empty_selection

First = Literal["largest", "uniform"]
"""How k-means++ chooses its first centre."""

_PROPOSALS = 256  # drawn at once
_SEEK, _READ = 1024, 16  # what one row costs when read alone and when read in a pass, in distances
_CHEAP = 2**20  # distances: up to here all are computed once more for the probabilities
_TIE = 1e-9  # relative: both points of a cluster of two are as near to its centre, but for rounding
_TABLE = 2**21  # distances between centres and points that are held at once


def kmeans_pp(
    points: Features | Rows | GradientEmbedding,
    b: int,
    *,
    given: Features | Rows | GradientEmbedding | None = None,
    first: First = "largest",
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """b rows, each drawn with probability in proportion to D^2, its squared distance to the nearest centre so far.

    Of a `GradientEmbedding` this is BADGE. The first pick is the row of the largest norm (the authors' code) or, with
    first="uniform", any (algorithm 1); its score is its squared norm. With `given`, points of the same kind that are
    centres already, every pick is drawn by D^2. Scores are D^2 at the moment of the pick. When all rows left lie on
    centres the batch is filled uniformly, and `report.filled_from` says from which pick on.

    The law is exact, in few passes. `probabilities` are there while n * b <= 2 ** 20, at the price of one more pass;
    beyond it they are None, since each needs the distances of all rows at that moment. Two numbers per row, the picks
    and `given` stay in memory, and besides a tile some 20 MB of working space.

    Raises `RowError` for a row that is not finite, `EvidenceError` for points that are no matrix and if the budget is
    too small, `SelectionError` if b < 0 or b > n. Arthur & Vassilvitskii 2007, section 2.2; Ash et al. 2020,
    algorithm 1 (arXiv:1906.03671).

    >>> corner = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    >>> kmeans_pp(corner, 2, generator=torch.Generator()).scores
    tensor([25., 25.], dtype=torch.float64)
    """
    if first not in get_args(First):
        raise SelectionError(f"the first centre is one of {', '.join(get_args(First))}, not {first!r}")
    check_batch(b, len(points))
    return _Batch(points, given, b, memory, generator).pick(first) if b else empty_selection()


class _Batch:
    """The batch as it grows. The first `applied` centres are part of `weight_n`; the others wait for the next pass.

    `weight_n` bounds D^2 from above; a row that was proposed has its exact value.
    """

    def __init__(
        self,
        source: Features | Rows | GradientEmbedding,
        given: Features | Rows | GradientEmbedding | None,
        b: int,
        memory: int | None,
        generator: torch.Generator,
    ) -> None:
        count = 0 if given is None else len(given)
        self.points = Points(source, memory=memory, kept=count + b, state=24 * len(source))
        self.n, self.b, self.generator = len(source), b, generator
        self.weight_n = torch.zeros(self.n, dtype=torch.float64)
        self.cumulative_n = torch.zeros(self.n, dtype=torch.float64)
        self.centres = self.points.empty(count + b)
        self.given = self.count = self.applied = self.rejected = 0
        self.ties = 1
        self.picks: list[int] = []
        self.scores: list[float] = []
        if given is not None and count:
            self._give(given)

    def pick(self, first: First) -> Selection:
        self._begin(first)
        while len(self.picks) < self.b:
            if self._pass_is_due():
                self._apply()
            torch.cumsum(self.weight_n, 0, out=self.cumulative_n)
            if not float(self.cumulative_n[-1]) > 0:
                break
            self._propose()
        return self._selection()

    def _give(self, given: Features | Rows | GradientEmbedding) -> None:
        held = Points(given)
        check_alike(self.points, held)
        try:
            rows = held.whole()
        except RowError as error:
            raise RowError(f"given {error.name}", error.row, error.reason) from None
        self.centres = tuple(
            place.to(torch.promote_types(place.dtype, x.dtype)) for place, x in zip(self.centres, rows, strict=True)
        )
        self._add(rows)
        self.given = self.count

    def _begin(self, first: First) -> None:
        """The first pass gives norms: (|x| + |centre|)^2 bounds D^2, and the smallest centre bounds it best."""
        for start, tile in self.points.tiles():
            self.weight_n[start : start + len(tile[0])] = squared_norms(tile)
        if self.given == 0:
            self._take_first(first)
        reach = float(squared_norms(self._waiting()).min())
        self.weight_n.sqrt_().add_(math.sqrt(reach)).square_()
        self.weight_n[self.picks] = 0.0

    def _apply(self) -> None:
        """One pass: the centres that wait become part of every row's weight."""
        waiting = self._waiting()
        for start, tile in self.points.tiles():
            weight = self.weight_n[start : start + len(tile[0])]
            torch.minimum(weight, nearest(tile, waiting).cpu(), out=weight)
        self.applied, self.rejected = self.count, 0
        self.weight_n[self.picks] = 0.0

    def _pass_is_due(self) -> bool:
        """Whether the rows rejected since the last pass have cost as much as the next one will."""
        waiting = self.count - self.applied
        return waiting > 0 and self.rejected * (_SEEK + waiting) > self.n * (_READ + waiting)

    def _propose(self) -> None:
        """Draw rows by weight, with replacement; accept each in turn with probability weight now / weight then."""
        proposed = self._drawn(min(_PROPOSALS, self.points.plan.tile))
        rows, place = torch.unique(proposed, return_inverse=True)
        x = self.points.take(rows)
        then = self.weight_n[rows]
        now = torch.minimum(then, nearest(x, self._waiting()).cpu())
        hurdle = torch.rand(len(place), dtype=torch.float64, generator=self.generator) * then[place]
        passing = hurdle < now[place]
        taken = self._accepted(x, now, place[passing], hurdle[passing])
        self.weight_n[rows] = now
        self.rejected += len(place) - len(taken)
        self._take(rows[taken], tuple(factor[taken] for factor in x))

    def _drawn(self, count: int) -> Tensor:
        level = torch.rand(count, dtype=torch.float64, generator=self.generator) * self.cumulative_n[-1]
        return torch.searchsorted(self.cumulative_n, level, right=True).clamp_(max=self.n - 1)

    def _accepted(self, x: Factors, now: Tensor, place: Tensor, hurdle: Tensor) -> list[int]:
        """Which places of `x` become centres, in order; each lowers the weights `now` of those that came this far."""
        kept, turn = torch.unique(place, return_inverse=True)
        some = tuple(factor[kept] for factor in x)
        apart = squared_distances(some, some).cpu().numpy()
        weight = now[kept].numpy()
        taken: list[int] = []
        for j, level in zip(turn.tolist(), hurdle.tolist(), strict=True):
            if level < weight[j] and len(self.picks) + len(taken) < self.b:
                taken.append(j)
                self.scores.append(float(weight[j]))
                np.minimum(weight, apart[j], out=weight)
                weight[j] = 0.0
        now[kept] = torch.from_numpy(weight)
        return [int(row) for row in kept[taken]]

    def _waiting(self) -> Factors:
        return tuple(rows[self.applied : self.count] for rows in self.centres)

    def _take_first(self, first: First) -> None:
        tied = (self.weight_n == self.weight_n.max()).nonzero().squeeze(1)
        self.ties = self.n if first == "uniform" else len(tied)
        draw = torch.randint(self.ties, (1,), generator=self.generator)
        row = draw if first == "uniform" else tied[draw]
        self.scores.append(float(self.weight_n[row]))
        self._take(row, self.points.take(row))

    def _take(self, rows: Tensor, x: Factors) -> None:
        self.picks += rows.tolist()
        self.weight_n[rows] = 0.0
        self._add(x)

    def _add(self, x: Factors) -> None:
        count = self.count + len(x[0])
        for place, rows in zip(self.centres, x, strict=True):
            place[self.count : count] = rows
        self.count = count

    def _selection(self) -> Selection:
        drawn = len(self.picks)
        probabilities = self._probabilities(drawn) if self.n * self.b <= _CHEAP else None
        if drawn < self.b:
            self._fill()
        report = Report(
            passes=self.points.passes,
            rows_read=self.points.rows_read,
            filled_from=drawn if drawn < self.b else None,
        )
        return Selection(torch.tensor(self.picks), _doubles(self.scores), probabilities, report)

    def _fill(self) -> None:
        free = _left(self.n, self.picks)
        filled = free[torch.randperm(len(free), generator=self.generator)[: self.b - len(self.picks)]].tolist()
        self.picks += filled
        self.scores += [0.0] * len(filled)

    def _probabilities(self, drawn: int) -> Tensor:
        """Of each pick given the earlier ones: D^2 over its sum, and 1 / rows left where the choice was uniform."""
        found = 1 / torch.arange(self.n, self.n - self.b, -1, dtype=torch.float64)
        found[:drawn] = (_doubles(self.scores) / self._potentials(drawn)).clamp_max_(1.0)
        if self.given == 0:
            found[0] = 1 / self.ties
        return found

    def _potentials(self, drawn: int) -> Tensor:
        """The sum of D^2 over all rows before each pick, [drawn], in one pass; infinite where there was no centre."""
        given = tuple(rows[: self.given] for rows in self.centres)
        picked = tuple(rows[self.given : self.given + drawn] for rows in self.centres)
        total = torch.zeros(drawn, dtype=torch.float64)
        for _, tile in self.points.tiles():
            apart = torch.cat([nearest(tile, given)[:, None], squared_distances(tile, picked)], 1)
            total += apart.cummin(1).values[:, :drawn].sum(0).cpu()
        return total


def weighted_kmeans(
    features: Features | Rows,
    weights: Scores,
    b: int,
    *,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """The rows nearest to the b centres of a weighted k-means; scores are the weights of the rows picked.

    k-means++ starts, Lloyd iterates (scikit-learn). Then each centre in turn, the heaviest cluster first, takes the
    point nearest to it that is not taken. Of equal rows, whose weights add up, it takes the heaviest. A row without
    weight pulls no centre but may be nearest to one; when all weights are 0 they count as equal. Where fewer than b
    different points have weight there are that many centres, the heaviest rows left fill the batch, and
    `report.filled_from` says from which pick on. All rows are held in memory, several times: it is meant for the few
    that were filtered before.

    Raises `EvidenceError` for weights that are negative or not finite, `RowError` for a row that is not finite,
    `SelectionError` if b < 0 or b > n. Zhdanov 2019, section 3 (arXiv:1901.05954).

    >>> line = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
    >>> weighted_kmeans(line, torch.ones(4).double(), 2, generator=torch.Generator()).indices
    tensor([1, 3])
    """
    weights = _checked_weights(weights, len(features))
    check_batch(b, len(features))
    if b == 0:
        return empty_selection()
    points = Points(features, memory=memory, kept=4 * len(features) + 2 * b)
    rows = points.whole()[0].double().cpu()
    picks = _representatives(rows, weights, b, generator)
    filled = _left(len(rows), picks)
    filled = filled[top_k(weights[filled], b - len(picks), generator=generator).indices]
    indices = torch.tensor(picks + filled.tolist())
    report = Report(points.passes, points.rows_read, filled_from=len(picks) if len(picks) < b else None)
    return Selection(indices, weights[indices], report=report)


def _representatives(rows: Tensor, weights: Tensor, b: int, generator: torch.Generator) -> list[int]:
    """Rows nearest to the centres of at most b clusters, the heaviest first."""
    distinct, point = distinct_rows(rows)
    relative = weights / weights.max() if bool(weights.any()) else torch.ones_like(weights)
    mass = torch.zeros(len(distinct), dtype=torch.float64).index_add_(0, point, relative)
    centres = _centres(distinct, mass / mass.max(), b, generator)
    nearest_points = _nearest_points(distinct, centres, generator)
    return [_heaviest(weights, (point == i).nonzero().squeeze(1), generator) for i in nearest_points]


def _centres(points: Tensor, mass: Tensor, b: int, generator: torch.Generator) -> Tensor:
    """Centres of a k-means of the points that have mass, the heaviest cluster first."""
    heavy = mass > 0
    if not bool(heavy.all()):
        points, mass = points[heavy], mass[heavy]
    centres, cluster = k_means(points, mass, b, generator)
    weight = torch.zeros(len(centres), dtype=torch.float64).index_add_(0, cluster, mass)
    return centres[weight.argsort(descending=True, stable=True)]


def _nearest_points(points: Tensor, centres: Tensor, generator: torch.Generator) -> list[int]:
    """For each centre in turn the nearest point that is not taken yet; ties by the generator."""
    taken: list[int] = []
    for some in torch.split(centres, max(1, _TABLE // len(points))):
        for apart in squared_distances((some,), (points,)):
            apart[taken] = torch.inf
            taken.append(_any((apart <= (1 + _TIE) * apart.min()).nonzero().squeeze(1), generator))
    return taken


def _heaviest(weights: Tensor, rows: Tensor, generator: torch.Generator) -> int:
    return _any(rows[weights[rows] == weights[rows].max()], generator)


def _any(rows: Tensor, generator: torch.Generator) -> int:
    return int(rows[torch.randint(len(rows), (1,), generator=generator)])


def _left(n: int, picks: list[int]) -> Tensor:
    free = torch.ones(n, dtype=torch.bool)
    free[picks] = False
    return free.nonzero().squeeze(1)


def _doubles(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _checked_weights(weights: Tensor, n: int) -> Tensor:
    weights = weights.detach().double().cpu()
    if weights.shape != (n,):
        raise EvidenceError(f"there are {list(weights.shape)} weights for {n} rows of features; pass one per row")
    bad = ~(weights.isfinite() & (weights >= 0))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise RowError("weights", row, f"is {weights[row].item()}; weights must be numbers >= 0")
    return weights
