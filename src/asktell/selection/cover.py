"""Batches that cover the pool: no row is far from the nearest pick."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from asktell.arrays import Features
from asktell.errors import SelectionError
from asktell.rows import Reading, Rows, as_rows
from asktell.selection.farthest import PART, Pool, given_rows, width
from asktell.selection.result import Report, Selection, check_batch, empty_selection

GivenFeatures = Float[Tensor, "l d"]

OUTLIERS = 1e-4
TIME_LIMIT = 60.0
EXACT_ROWS = 2_000
"""With more rows `robust_k_center` is `k_center`."""
_INFEASIBLE = 2  # status of scipy.optimize.milp
_TABLES = 12  # what distances between all rows and the solver take, in arrays [n, n]


def k_center(
    features: Features | Rows,
    b: int,
    *,
    given: GivenFeatures | Rows | None = None,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Farthest-first: each pick is the row farthest from all centres so far, scores = these (Euclidean) distances.

    Scores never rise. Together the picks cover the pool within twice the smallest radius that any b rows could.
    `given` [l, d]: features of labelled and pending items, which are centres from the start; without any the first pick
    is uniform, and its score the largest distance to it. Once every row lies on a centre the rest is uniform, with
    score 0, from `report.filled_from` on. The picks are those of the plain algorithm, which computes every distance;
    in memory stay three numbers per row, the picks, and one block of rows.

    Raises `RowError` for a row that holds NaN or infinity, `EvidenceError` for features that are not [n, d],
    `SelectionError` if b < 0 or b > n. Sener & Savarese 2018, algorithm 1 (arXiv:1708.00489).

    >>> line = torch.tensor([[0.0], [1.0], [5.0], [9.0]])
    >>> selection = k_center(line, 2, given=line[1:2], generator=torch.Generator())
    >>> selection.indices, selection.scores
    (tensor([3, 2]), tensor([8., 4.], dtype=torch.float64))
    """
    rows = as_rows(features)
    check_batch(b, len(rows))
    if b == 0:
        return empty_selection()
    centres = given_rows(given, rows)
    pool = Pool(rows, b, memory, generator, given=len(centres))
    if len(centres):
        pool.approach_given(centres)
    else:
        pool.begin()
    picked = pool.pick()
    fill = pool.unpicked()[: b - len(picked)].tolist()
    squared = torch.tensor([squared for _, squared in picked] + [0.0] * len(fill), dtype=torch.float64)
    report = _report(pool.reading, len(picked) if fill else None)
    return Selection(torch.tensor([row for row, _ in picked] + fill), squared.sqrt(), report=report)


def robust_k_center(
    features: Features | Rows,
    b: int,
    *,
    given: GivenFeatures | Rows | None = None,
    outliers: float = OUTLIERS,
    time_limit: float = TIME_LIMIT,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """The b rows that, with those given, cover all rows but ceil(outliers * n) within the smallest radius.

    Bisection over the distances between rows, each step a mixed-integer programme that HiGHS solves, beginning with the
    picks of `k_center`. The picks come farthest first among themselves, scores as in `k_center`. `report.optimal` says
    whether no smaller radius is possible. That is not known when `time_limit` (seconds) ran out, which leaves the best
    picks found by then, nor with more than 2,000 rows, which leaves those of `k_center`.

    Raises what `k_center` raises, and `SelectionError` unless 0 <= outliers < 1 and time_limit > 0. Sener & Savarese
    2018, algorithm 2 (arXiv:1708.00489).

    >>> line = torch.tensor([[0.0], [1.0], [2.0], [99.0]])
    >>> robust_k_center(line, 1, outliers=0.25, generator=torch.Generator()).indices
    tensor([1])
    """
    if not (0 <= outliers < 1 and time_limit > 0):
        raise SelectionError(f"outliers must be in [0, 1) and time_limit above 0, not {outliers} and {time_limit}")
    rows, deadline = as_rows(features), time.monotonic() + time_limit
    check_batch(b, len(rows))
    if b == 0 or len(rows) > EXACT_ROWS:
        return k_center(features, b, given=given, memory=memory, generator=generator).reported(optimal=b == 0)
    n, left_out = len(rows), math.ceil(outliers * len(rows) - 1e-9)
    reading = Reading(rows, memory=memory, state=8 * n * (width(rows, "features") + _TABLES * n))
    x, centres = _whole(reading), given_rows(given, rows)
    greedy = k_center(x, min(b + left_out + 1, n), given=centres, generator=generator)
    covering = _Covering.of(x, centres, left_out, deadline, generator)
    chosen, optimal = covering.solve(greedy, b)
    ordered = k_center(x[chosen], b, given=centres, generator=generator)
    scores = ordered.scores.clone()
    if len(centres) == 0:
        scores[0] = (x - x[chosen[ordered.indices[0]]]).square().sum(1).max().sqrt()
    report = _report(reading, ordered.report.filled_from, optimal)
    return Selection(chosen[ordered.indices], scores, report=report)


@dataclass(frozen=True)
class _Covering:
    """Distances [n, n] between rows in an order of their own, and [n] to the nearest of those given.

    Of the rows `numbers` [n] stand for, all but `left_out` are to be covered. The order depends on the distances; only
    rows that these do not tell apart are in random order.
    """

    numbers: np.ndarray
    between: np.ndarray
    to_given: np.ndarray
    left_out: int
    deadline: float

    @classmethod
    def of(cls, x: Tensor, given: Rows, left_out: int, deadline: float, generator: torch.Generator) -> "_Covering":
        between = _distances(x, x).numpy()
        to_given = np.full(len(x), math.inf)
        for start in range(0, len(given), PART):
            block = given[start : start + PART].detach().double().cpu()
            to_given = np.minimum(to_given, _distances(x, block).amin(1).numpy())
        rank = torch.randperm(len(x), generator=generator).numpy()
        numbers = np.lexsort((rank, np.sort(between, 1).sum(1)))
        return cls(numbers, between[np.ix_(numbers, numbers)], to_given[numbers], left_out, deadline)

    def solve(self, greedy: Selection, b: int) -> tuple[Tensor, bool]:
        """The rows of the smallest radius that was found, and whether none is smaller."""
        picks = self.numbers.argsort()[greedy.indices[:b].numpy()]
        # of b + left_out + 1 rows so far apart two, or one and a given one, are covered by the same centre
        least = float(greedy.scores[-1]) / 2 if len(greedy) == b + self.left_out + 1 else 0.0
        radii = np.unique(np.concatenate([self.between.ravel(), self.to_given]))
        radii = radii[(radii >= least * (1 - 1e-9)) & (radii < self._radius(picks))]
        low, high, optimal = 0, len(radii), True
        while low < high:
            middle = (low + high) // 2
            found, decided = self._within(float(radii[middle]), b)
            optimal = optimal and decided
            if found is None:
                low = middle + 1
            else:
                picks, high = found, min(middle, int(np.searchsorted(radii, self._radius(found))))
        return torch.from_numpy(self.numbers[picks]), optimal

    def _radius(self, picks: np.ndarray) -> float:
        nearest = np.sort(np.minimum(self.between[:, picks].min(1), self.to_given))
        return float(nearest[-1 - self.left_out]) if self.left_out < len(nearest) else 0.0

    def _within(self, radius: float, b: int) -> tuple[np.ndarray | None, bool]:
        """b rows that cover within `radius`, if there are any, and whether that is certain.

        u_j = 1: row j is picked; z_i = 1: row i is left out. sum u = b, sum z <= left_out, and for every row i that
        those given do not cover z_i + sum_{d_ij <= radius} u_j >= 1. It takes at most half of the time that is left.
        """
        from scipy import sparse
        from scipy.optimize import Bounds, LinearConstraint, milp

        seconds = (self.deadline - time.monotonic()) / 2
        if seconds <= 0:
            return None, False
        open_ = self.to_given > radius
        n, m = len(open_), int(open_.sum())
        reach = sparse.csr_array((self.between[open_] <= radius).astype(np.float64))
        solved = milp(
            np.zeros(n + m),
            integrality=np.ones(n + m),
            bounds=Bounds(0, 1),
            constraints=[
                LinearConstraint(sparse.hstack([reach, sparse.eye_array(m)], format="csr"), lb=1),
                LinearConstraint(np.r_[np.ones(n), np.zeros(m)][None], b, b),
                LinearConstraint(np.r_[np.zeros(n), np.ones(m)][None], ub=self.left_out),
            ],
            options={"presolve": False, "time_limit": seconds},  # presolve takes minutes and heeds no limit
        )
        if solved.x is None:
            return None, solved.status == _INFEASIBLE
        return (solved.x[:n] > 0.5).nonzero()[0], True


def _distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _whole(reading: Reading) -> Tensor:
    """All rows, float64, on the CPU."""
    x = torch.empty(reading.n, *reading.row_shape, dtype=torch.float64)
    for start, tile in reading.tiles():
        x[start : start + len(tile)] = tile.detach()
    return x


def _report(reading: Reading, filled_from: int | None, optimal: bool | None = None) -> Report:
    return Report(passes=reading.passes, rows_read=reading.rows_read, filled_from=filled_from, optimal=optimal)
