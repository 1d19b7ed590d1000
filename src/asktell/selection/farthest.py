"""Farthest-first traversal that reads few rows more than once.

A row's distance to the nearest centre only shrinks as centres join, so an old distance bounds the new one. The rows
with the largest old distances are brought up to date and worked on apart, for as long as the best of them comes before
all others; what is worked on apart has in turn its farthest rows worked on apart. The picks are those of computing
every distance after every pick.

Distances come from float64 matrix products of rows less a reference row and, where these cancel, from differences: a
copy of a centre is at distance 0. Differences under 1e-16 of the spread of the features count as none.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from asktell.errors import EvidenceError, RowError
from asktell.rows import Reading, Rows, as_rows

Picked = list[tuple[int, float]]
"""(row, squared distance to the nearest centre when it was picked)."""
Place = tuple[float, int]
"""(squared distance, -rank): the largest is picked first."""

_LAST: Place = (-math.inf, 0)
_FEW_ROWS = 256
_MOST_ROWS = 2_048
_MOST_BYTES = 64 * 2**20
PART = 512  # rows and centres in one product
_CLOSE = 1e-4  # squared distances below this share of the squared norms are taken from differences


class Centred(NamedTuple):
    """Rows less the reference, float64 [m, d], and their squared norms [m]."""

    x: Tensor
    norms: Tensor

    @classmethod
    def empty(cls, m: int, reference: Tensor) -> "Centred":
        """A place for m of them."""
        return cls(reference.new_empty(m, len(reference)), reference.new_empty(m))

    def at(self, rows: Tensor | slice) -> "Centred":
        """Some of them."""
        return Centred(self.x[rows], self.norms[rows])

    def put(self, start: int, others: "Centred") -> None:
        """Write `others` from place `start` on."""
        self.x[start : start + len(others.x)] = others.x
        self.norms[start : start + len(others.x)] = others.norms


class Pool:
    """Rows that are read as they are needed.

    `squared` [n]: squared distance to the nearest of the first `seen` [n] centres, those given not counted; -1 once
    picked. Ties go to the lowest `rank` [n], a random permutation. Besides, the picks and one block are in memory;
    `given` is how many centres are to come from outside.
    """

    def __init__(self, rows: Rows, b: int, memory: int | None, generator: torch.Generator, *, given: int = 0) -> None:
        n, self.d = len(rows), width(rows, "features")
        held = max(self._block_rows(n), min(given, most_rows(self.d)))
        self.reading = Reading(rows, memory=memory, state=20 * n + 8 * (self.d + 1) * b + 8 * (self.d + 3) * held)
        rank = torch.randperm(n, generator=generator)
        self.reference = self._reference()
        self.rank = rank.to(self.reference.device)
        self.squared = self.reference.new_full((n,), math.inf)
        self.seen = torch.zeros(n, dtype=torch.int32, device=self.reference.device)
        self.centres, self.block = Centred.empty(b, self.reference), Centred.empty(held, self.reference)
        self.picked: Picked = []

    def approach_given(self, rows: Rows) -> None:
        """The rows given become centres, in one pass for every block of them."""
        size = len(self.block.x)
        for start in range(0, len(rows), size):
            self._approach(self._centred(rows[start : start + size], "given", start, self.block))

    def begin(self) -> None:
        """Pick any row; its distance is the largest to it."""
        row = self.rank.argmin().reshape(1)
        centre = self._points(row)
        self._approach(centre)
        self.squared[row] = -1.0
        self._add([(int(row), max(0.0, float(self.squared.max())))], centre)
        self.seen.fill_(1)

    def pick(self) -> Picked:
        """The b picks, or all until every row lies on a centre."""
        b, size = len(self.centres.x), self._block_rows(len(self.squared))
        while len(self.picked) < b:
            rows, outside = _farthest(self.squared, self.rank, size)
            block = Block(self._points(rows), self.squared[rows], self.rank[rows])
            self._update(block, self.seen[rows])
            taken = block.pick(b - len(self.picked), outside)
            if not taken and outside[0] <= 0:
                break
            self._add([(int(rows[at]), squared) for at, squared in taken], block.points.at(_places(taken)))
            self.squared[rows], self.seen[rows] = block.squared, len(self.picked)
        return self.picked

    def unpicked(self) -> Tensor:
        """The rows that are left, by rank."""
        return by_rank(self.squared >= 0, self.rank)

    def _add(self, taken: Picked, points: Centred) -> None:
        self.centres.put(len(self.picked), points)
        self.picked += taken

    def _update(self, block: "Block", seen: Tensor) -> None:
        """Distances of the block to the centres that its rows have not seen, for rows that missed about as many."""
        for part in torch.split(seen.argsort(), PART):
            squared = block.squared[part]
            unseen = self.centres.at(slice(int(seen[part[0]]), len(self.picked)))
            approach(squared, block.points.at(part), unseen)
            block.squared[part] = squared

    def _approach(self, centres: Centred) -> None:
        """One pass: the nearest centre may be one of these."""
        place = Centred.empty(min(self.reading.plan.tile, self.reading.n), self.reference)
        for start, tile in self.reading.tiles():
            points = self._centred(tile, "features", start, place)
            approach(self.squared[start : start + len(tile)], points, centres)

    def _points(self, rows: Tensor) -> Centred:
        """These rows, where those asked for last were."""
        for start in range(0, len(rows), PART):
            some = rows[start : start + PART]
            self._centred(self.reading.take(some.cpu()), "features", some, self.block.at(slice(start, None)))
        return self.block.at(slice(len(rows)))

    def _centred(self, rows: Tensor, name: str, numbers: Tensor | int, place: Centred) -> Centred:
        """`rows` of `name`, of these numbers or from this one on, checked, at the start of `place`."""
        found = place.at(slice(len(rows)))
        found.x.copy_(rows.detach()).sub_(self.reference)
        torch.linalg.vecdot(found.x, found.x, out=found.norms)
        check_finite(found.norms, name, numbers)
        return found

    def _reference(self) -> Tensor:
        """The median of the first rows: values of the data, so that differences of small integers stay exact."""
        rows = self.reading.take(torch.arange(min(self.reading.n, self.reading.plan.tile, PART))).detach().double()
        check_finite(rows.sum(1), "features", 0)
        return rows.median(0).values

    def _block_rows(self, n: int) -> int:
        """How many of n rows are worked on apart: all if they are few, at most an eighth if they are many."""
        return min(most_rows(self.d), n, max(_FEW_ROWS, n // 8))


class Block:
    """Points in order of rank, with their squared distances to the nearest centre; -1 once picked."""

    def __init__(self, points: Centred, squared: Tensor, rank: Tensor) -> None:
        self.points, self.squared, self.rank = points, squared, rank

    def pick(self, count: int, outside: Place) -> Picked:
        """Up to `count` of them, each the farthest from all centres, while it is off them and before `outside`."""
        picked: Picked = []
        while len(picked) < count:
            places, others = _farthest(self.squared, self.rank, _FEW_ROWS)
            few = Block(self.points.at(places), self.squared[places], self.rank[places])
            taken = few.pick_one_by_one(count - len(picked), max(outside, others))
            if not taken:
                break
            picked += [(int(places[at]), squared) for at, squared in taken]
            self.squared[places] = few.squared
            approach(self.squared, self.points, few.points.at(_places(taken)))
        return picked

    def pick_one_by_one(self, count: int, outside: Place) -> Picked:
        """The same, with all distances after every pick."""
        picked: Picked = []
        while len(picked) < count and len(self.squared):
            at = int(self.squared.argmax())  # the first of equals: that of the lowest rank
            best = float(self.squared[at])
            if best <= 0 or (best, -int(self.rank[at])) < outside:
                break
            picked.append((at, best))
            self.squared[at] = -1.0
            approach(self.squared, self.points, self.points.at(slice(at, at + 1)))
        return picked


def approach(squared: Tensor, points: Centred, centres: Centred) -> None:
    """Lower `squared` [m] where one of the centres is nearer."""
    for start in range(0, len(squared), PART):
        part = slice(start, start + PART)
        for first in range(0, len(centres.x), PART):
            _approach_part(squared[part], points.at(part), centres.at(slice(first, first + PART)))


def _approach_part(squared: Tensor, points: Centred, centres: Centred) -> None:
    products = torch.addmm(centres.norms, points.x, centres.x.T, alpha=-2)
    nearest = products.amin(1).add_(points.norms)
    close = (nearest <= _CLOSE * (points.norms + centres.norms.max())).logical_and_(squared > 0).nonzero().squeeze(1)
    if len(close):
        nearest[close] = _by_differences(points.at(close), centres, products[close])
    torch.minimum(squared, nearest.clamp_min_(0.0), out=squared)


def _by_differences(points: Centred, centres: Centred, products: Tensor) -> Tensor:
    """Squared distance to the nearest centre, from all that can be it by the rounding error of their product."""
    error = points.x.shape[1] * torch.finfo(torch.float64).eps
    least = products + points.norms[:, None] - error * (points.norms[:, None] + centres.norms)
    least.clamp_min_(0.0)
    squared = torch.full_like(points.norms, math.inf)
    while True:
        bound, centre = least.min(1)
        nearer = (bound < squared).nonzero().squeeze(1)
        if len(nearer) == 0:
            return squared
        difference = points.x[nearer] - centres.x[centre[nearer]]
        squared[nearer] = squared[nearer].minimum(torch.linalg.vecdot(difference, difference))
        least[nearer, centre[nearer]] = math.inf


def _farthest(squared: Tensor, rank: Tensor, size: int) -> tuple[Tensor, Place]:
    """The `size` rows that come first, by rank, and the place of the best of the others."""
    if int((squared >= 0).sum()) <= size:
        return by_rank(squared >= 0, rank), _LAST
    least = squared.topk(size + 1).values[-1]
    above, tied = (squared > least).nonzero().squeeze(1), by_rank(squared == least, rank)
    room = size - len(above)
    rows = torch.cat([above, tied[:room]])
    return rows[rank[rows].argsort()], (float(least), -int(rank[tied[room]]))


def by_rank(mask: Tensor, rank: Tensor) -> Tensor:
    """The rows that are marked, lowest rank first."""
    rows = mask.nonzero().squeeze(1)
    return rows[rank[rows].argsort()]


def _places(picked: Picked) -> Tensor:
    return torch.tensor([at for at, _ in picked], dtype=torch.int64)


def most_rows(d: int) -> int:
    """The most rows of d numbers that are worked on apart: 2,048, or 64 MiB."""
    return max(1, min(_MOST_ROWS, _MOST_BYTES // (8 * max(1, d))))


def width(rows: Rows, name: str) -> int:
    """Numbers in a row; raises `EvidenceError` unless rows are vectors."""
    shape = list(rows[0:1].shape)
    if len(shape) != 2 or shape[1] == 0:
        raise EvidenceError(f"{name} must have one vector per item, not rows of shape {shape[1:]}; flatten them")
    return shape[1]


def given_rows(given: Tensor | Rows | None, features: Rows) -> Rows:
    """The rows given, none at all if there are none; they must be as wide as the features."""
    d = width(features, "features")
    if given is None or len(given) == 0:
        return as_rows(torch.empty(0, d))
    rows = as_rows(given)
    if width(rows, "given") != d:
        raise EvidenceError(
            f"given has {width(rows, 'given')} numbers a row where features has {d}; take both from one network"
        )
    return rows


def check_finite(sums: Tensor, name: str, rows: Tensor | int) -> None:
    """Raise unless every sum over a row is finite; `rows` are the rows of `name`, or the first of them."""
    bad = ~sums.isfinite()
    if bool(bad.any()):
        at = int(bad.nonzero()[0])
        row = rows + at if isinstance(rows, int) else int(rows[at])
        raise RowError(name, row, "holds NaN, infinity or a number too large to square; find out which input gives it")
