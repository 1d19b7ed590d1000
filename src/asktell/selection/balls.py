"""Batches whose balls of one radius cover most of the pool, and the radius within which balls are pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from asktell.arrays import Features
from asktell.embeddings import Points, nearest, squared_distances
from asktell.errors import SelectionError
from asktell.rows import Reading, Rows, as_rows
from asktell.selection.clusters import clustered, distinct_rows
from asktell.selection.facility import Greedy
from asktell.selection.farthest import by_rank, given_rows
from asktell.selection.result import Report, Selection, check_batch, empty_selection

GivenFeatures = Float[Tensor, "l d"]

Covered = Literal["shrink", "random"]
"""What follows when every row is covered: smaller balls, or any rows."""

PURITY = 0.95
SAMPLE = 10_000
_ROUNDING = 1e-9  # relative: by so much the radius stays below the distance that limits it
_TABLE = 2**21  # distances that are held at once


def probcover(
    features: Features | Rows,
    b: int,
    *,
    delta: float,
    given: GivenFeatures | Rows | None = None,
    covered: Covered = "shrink",
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Greedily the b rows whose open balls of radius `delta` cover most rows, scores = how many rows each newly covers.

    Row x covers y if |x - y| < delta, itself included; the balls of `given` [l, d] cover from the start. Ties are
    broken at random. No fewer than 1 - 1/e of the most that any b rows can cover are covered. Once every row is,
    `report.filled_from` says from which pick on, and `covered` what follows: "shrink" halves the radius until a row is
    uncovered and goes on, "random" takes any, with score 0. Copies of centres come last, at random.

    It takes n^2 distances, and those of few rows again after a pick; no table of them is kept. `report.radius` is
    `delta`. Raises what `k_center` raises, and `SelectionError` unless delta is positive. Yehuda et al. 2022,
    algorithm 1 (arXiv:2205.11320).

    >>> line = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    >>> selection = probcover(line, 2, delta=1.5, generator=torch.Generator())
    >>> selection.indices, selection.scores
    (tensor([1, 3]), tensor([3., 1.], dtype=torch.float64))
    """
    if not delta > 0:
        raise SelectionError(f"balls need a radius above 0, not {delta}")
    if covered not in get_args(Covered):
        raise SelectionError(f"covered is one of {', '.join(get_args(Covered))}, not {covered!r}")
    rows = as_rows(features)
    check_batch(b, len(rows))
    if b == 0:
        return empty_selection()
    return _Balls(rows, given_rows(given, rows), memory, generator).pick(b, delta, covered == "shrink")


def purity_radius(
    features: Features | Rows,
    clusters: int,
    *,
    alpha: float = PURITY,
    sample: int = SAMPLE,
    memory: int | None = None,
    generator: torch.Generator,
) -> float:
    """The largest radius at which a share `alpha` of all balls is pure, each around a row and within one cluster.

    Clusters of a k-means stand for classes. A ball is pure up to the distance to the nearest row of another cluster, so
    that the radius is the (floor((1 - alpha) n) + 1)-th smallest of these distances (less one part in 10^9, lest
    rounding decide whether that row is in). With a single cluster every ball is pure, and the radius reaches across
    all rows. Of more than `sample` rows so many are drawn at random. They are held in memory, several times.

    Raises `RowError` for a row that is not finite, `SelectionError` unless clusters >= 1, 0 < alpha <= 1 and
    sample >= 1. Yehuda et al. 2022 (arXiv:2205.11320).

    >>> line = torch.tensor([[0.0], [1.0], [5.0], [7.0]])
    >>> round(purity_radius(line, 2, alpha=1.0, generator=torch.Generator()), 6)
    4.0
    """
    if not (clusters >= 1 and 0 < alpha <= 1 and sample >= 1):
        raise SelectionError(
            f"there must be clusters >= 1, 0 < alpha <= 1 and sample >= 1, not {clusters}, {alpha} and {sample}"
        )
    points = Points(features, memory=memory, kept=4 * min(sample, len(features)))
    chosen = torch.arange(points.n)
    if points.n > sample:
        chosen = torch.randperm(points.n, generator=generator)[:sample].sort().values
    x = points.gathered(chosen)[0].double().cpu()
    distinct, point = distinct_rows(x)
    mass = torch.bincount(point, minlength=len(distinct)).double()
    label = clustered(distinct, mass, clusters, generator)[point]
    apart = _to_other_labels(x, label).sort().values
    limit = float(apart[min(math.floor((1 - alpha) * len(x) + 1e-9), len(x) - 1)])
    return limit * (1 - _ROUNDING) if math.isfinite(limit) else _across(x)


@dataclass(frozen=True)
class Within:
    """1 for rows less than `radius` apart, else 0; distances are taken from rows less `reference`."""

    radius: float
    reference: Tensor

    def prepared(self, rows: Tensor) -> Tensor:
        """Rows less the reference."""
        return rows.detach().double() - self.reference

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """0 or 1."""
        return (squared_distances((x,), (y,)) < self.radius**2).double()


@dataclass
class _Balls:
    """Rows to be covered, and the centres that are given."""

    rows: Rows
    given: Rows
    memory: int | None
    generator: torch.Generator

    def __post_init__(self) -> None:
        self.readings: list[Reading] = []
        self.rank = self._rank()

    def pick(self, b: int, delta: float, shrink: bool) -> Selection:
        """b rows; see `probcover`."""
        greedy, radius = self._greedy(delta, []), delta
        picks, scores = greedy.pick(b)
        filled_from = len(picks) if len(picks) < b else None
        while shrink and len(picks) < b:
            radius = _halved(radius, greedy, self._centres(picks))
            if radius == 0:
                break
            greedy = self._greedy(radius, picks)
            more, counts = greedy.pick(b - len(picks))
            picks, scores = picks + more, scores + counts
        picks += by_rank(greedy.bound >= 0, greedy.rank)[: b - len(picks)].tolist()
        scores += [0.0] * (b - len(scores))
        passes, rows_read = (sum(getattr(one, name) for one in self.readings) for name in ("passes", "rows_read"))
        report = Report(passes, rows_read, filled_from=filled_from, radius=delta)
        return Selection(torch.tensor(picks), torch.tensor(scores, dtype=torch.float64), report=report)

    def _greedy(self, radius: float, picks: list[int]) -> Greedy:
        """Rows of which some are picked already, with balls of this radius."""
        similarity = Within(radius, self.rows[0:1].detach().double())
        greedy = Greedy(self.rows, torch.arange(len(self.rows)), similarity, self.memory, self.generator)
        self.readings.append(greedy.reading)
        greedy.rank = self.rank
        for centres in self._centres(picks):
            greedy.adopt(centres)
        greedy.bound[picks] = -1.0
        return greedy

    def _centres(self, picks: list[int]) -> tuple[Rows, ...]:
        found = as_rows(self.rows.take(torch.tensor(picks, dtype=torch.int64).sort().values))
        return (self.given, found)

    def _rank(self) -> Tensor:
        """A random order that goes with what rows hold, not with where they stand: the place of each, [n].

        Counts tie so often that an order by place would decide which items are asked. Rows are hashed, bit by bit, with
        random factors (modulo 2^64); copies, which hash alike, are in random order of place.
        """
        n, generator = len(self.rows), self.generator
        reading = Reading(self.rows, memory=self.memory, state=24 * n)
        self.readings.append(reading)
        d = math.prod(reading.row_shape)
        keys, factors = torch.randint(-(2**63), 2**63 - 1, (2, d), generator=generator).unbind()
        hashes = torch.empty(n, dtype=torch.int64)
        for start, tile in reading.tiles():
            bits = (tile.detach().double().flatten(1).cpu() + 0.0).view(torch.int64) ^ keys  # + 0: no -0
            hashes[start : start + len(tile)] = ((bits ^ (bits >> 29)) * (factors | 1)).sum(1)
        order = torch.randperm(n, generator=generator)
        order = order[hashes[order].argsort(stable=True)]
        return order.argsort()


def _halved(radius: float, greedy: Greedy, centres: tuple[Rows, ...]) -> float:
    """The radius halved until it leaves a row uncovered; 0 if every row lies on a centre."""
    squared = torch.full_like(greedy.reached, math.inf)
    for block in _blocks(centres, greedy.held):
        held = greedy.similarity.prepared(block.to(squared.device))
        for start, tile in greedy.reading.tiles():
            apart = nearest((greedy.similarity.prepared(tile),), (held,))
            torch.minimum(squared[start : start + len(tile)], apart, out=squared[start : start + len(tile)])
    farthest = float(squared.max())
    if farthest <= 0:
        return 0.0
    return math.ldexp(radius, -max(1, math.ceil(math.log2(radius) - math.log2(farthest) / 2)))


def _blocks(parts: tuple[Rows, ...], size: int) -> Iterator[Tensor]:
    return (rows[start : start + size] for rows in parts for start in range(0, len(rows), size))


def _to_other_labels(x: Tensor, label: Tensor) -> Tensor:
    """The distance of every row to the nearest of another label; infinite if all have one."""
    x = x - x[0]
    step = max(1, _TABLE // len(x))
    parts = zip(torch.split(x, step), torch.split(label, step), strict=True)
    apart = [squared_distances((some,), (x,)).masked_fill_(own[:, None] == label, math.inf) for some, own in parts]
    return torch.cat([part.amin(1) for part in apart]).sqrt_()


def _across(x: Tensor) -> float:
    """A radius that reaches from every row to every other; 1 if they are all equal."""
    reach = math.sqrt(float((x - x.mean(0)).square().sum(1).max()))
    return 2.5 * reach if reach else 1.0
