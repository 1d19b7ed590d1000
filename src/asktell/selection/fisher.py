"""Batches whose Fisher information, with that of what is labelled, speaks of what the whole pool asks about.

The Fisher information of an item in the last layer is I(x) = (diag p - p p') (x) h h', of rank c - 1. Adding or taking
away an item changes the inverse of the sum by a matrix of rank c (Woodbury), and what every other item would gain is
told by two c x c matrices of its own, which change by small products with what the item that was picked changes. So
after one pass with the whole inverse a pick costs n c^2 (d + c) multiplications, not n (c d)^2.
"""

import math
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from asktell.embeddings import LastLayer, Points, check_alike
from asktell.errors import RowError, SelectionError
from asktell.selection.result import Report, Selection, check_batch, empty_selection

Weighting = Literal["paper", "sum", "code"]
"""What labelled and picked items count; see `bait`."""
Projection = Literal["principal", "random"]
"""Onto which directions features are projected where they are too many."""

SIZE = 1_024
_BLOCK = 2**21  # numbers that are held at once
_FEW = 256  # items that are evaluated first
_TIE = 1e-9  # relative: as good, but for rounding


def bait(
    points: LastLayer,
    b: int,
    *,
    labelled: LastLayer | None = None,
    given: LastLayer | None = None,
    regulariser: float = 1.0,
    oversample: float = 2.0,
    weighting: Weighting = "paper",
    size: int = SIZE,
    projection: Projection = "principal",
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Greedily the b items S of smallest tr[(M + sum_S I(x))^-1 F], scores = how much each lowered it when it joined.

    I(x) is the Fisher information of the last layer's weights, without bias; F its mean over all items: `points`,
    `labelled` and `given`. M = `regulariser` times the identity + the mean I of `labelled` + the sum of I over `given`,
    which count as picked. `oversample` b items join one by one, each that of the largest decrease; then those whose
    loss raises the trace least leave until b are left, which come in the order in which they joined.

    `weighting`: "paper" as above; "sum" adds up I over `labelled`, as over picks; "code" is the authors' program: the
    mean over l labelled items counts l / (l + b), each pick b / (l + b). If c * d is above `size`, features are
    projected to size // c directions: the "principal" ones of their second moments, or "random" ones.

    When no item lowers the trace the rest is uniform, with score 0, from `report.filled_from` on. In memory stay
    n (2 c^2 + c + d) numbers and some of (c d)^2, d after projection; the pool is read once, or twice if it is
    projected. Raises `RowError` for a row that is no log-probabilities or not finite, `EvidenceError` for parts of
    different networks and if the budget is too small, `SelectionError` if b < 0 or b > n and for parameters out of
    range. Ash et al. 2021, algorithm 1 (arXiv:2106.09675).

    >>> h = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    >>> bait(LastLayer(torch.full((3, 2), 0.5).log(), h), 1, generator=torch.Generator()).indices
    tensor([2])
    """
    _check(regulariser, oversample, weighting, size, projection)
    check_batch(b, len(points))
    if b == 0:
        return empty_selection()
    pool = _Pool(points, [labelled, given], size, projection, memory, generator)
    count = len(pool.parts[0].p)
    factor = b / (count + b) if weighting == "code" else 1.0
    share = {"paper": 1 / max(count, 1), "sum": 1.0, "code": 1 / (count + b)}[weighting]
    known = share * pool.parts[0].information() + factor * pool.parts[1].information()
    trace = _Trace(pool, known.add_(regulariser * torch.eye(len(known), dtype=torch.float64)), factor, generator)
    joined, scores = trace.forward(min(pool.n, max(b, math.ceil(oversample * b))))
    stay = trace.backward(joined, b)
    return pool.selection([joined[i] for i in stay], [scores[i] for i in stay], b)


class _Part(NamedTuple):
    """Probabilities [m, c] and features [m, d], float64."""

    p: Tensor
    h: Tensor

    def information(self) -> Tensor:
        """sum I(x), [c d, c d]: diag_y(sum p_y h h') - sum (p (x) h)(p (x) h)'."""
        c, d = self.p.shape[1], self.h.shape[1]
        total = torch.zeros(c, d, c, d, dtype=torch.float64)
        for p, h in zip(*(torch.split(rows, max(1, _BLOCK // (c * d))) for rows in self), strict=True):
            whole = (p[:, :, None] * h[:, None, :]).flatten(1)
            total.view(c * d, c * d).sub_(whole.T @ whole)
            total.diagonal(dim1=0, dim2=2).add_(torch.einsum("ny,ni,nj->ijy", p, h, h))
        return total.view(c * d, c * d)


class _Pool:
    """The items, projected, and what else has information: labelled and given ones."""

    def __init__(
        self,
        points: LastLayer,
        others: list[LastLayer | None],
        size: int,
        projection: Projection,
        memory: int | None,
        generator: torch.Generator,
    ) -> None:
        c, d = (rows[0:1].shape[1] for rows in points.factors.values())
        few = min(d, max(1, size // c))
        self.n, self.generator = len(points), generator
        beside = sum(len(part) for part in others if part is not None) * (c + d)
        state = self.n * (2 * c * c + c + few + 1) + 6 * (c * few) ** 2 + beside
        self.points = Points(points, memory=memory, state=8 * (state + (d * d if few < d else 0)))
        whole = [_whole(part, name, self.points) for part, name in zip(others, ("labelled", "given"), strict=True)]
        onto = None if few == d else self._directions(whole, d, few, projection)
        self.parts = [part if onto is None else _Part(part.p, part.h @ onto) for part in whole]
        self.pool = self._read(c, few, onto)

    def mean_information(self) -> Tensor:
        """Over the items and the others."""
        total, count = self.pool.information(), self.n
        for part in self.parts:
            total, count = total + part.information(), count + len(part.p)
        return total / count

    def selection(self, picks: list[int], scores: list[float], b: int) -> Selection:
        """These picks, and any others if they are too few."""
        drawn = len(picks)
        left = [row for row in torch.randperm(self.n, generator=self.generator).tolist() if row not in set(picks)]
        report = Report(self.points.passes, self.points.rows_read, filled_from=drawn if drawn < b else None)
        values = torch.tensor(scores + [0.0] * (b - drawn), dtype=torch.float64)
        return Selection(torch.tensor(picks + left[: b - drawn]), values, report=report)

    def _directions(self, others: list[_Part], d: int, few: int, projection: Projection) -> Tensor:
        """[d, few]: orthogonal directions of the largest second moments, or a Gaussian matrix."""
        if projection == "random":
            return torch.randn(d, few, generator=self.generator, dtype=torch.float64) / math.sqrt(few)
        moments = torch.zeros(d, d, dtype=torch.float64)
        for part in others:
            moments += part.h.T @ part.h
        for _, (_, h) in self.points.tiles():
            moments += (h.double().T @ h.double()).cpu()
        directions: Tensor = torch.linalg.eigh(moments).eigenvectors
        return directions[:, -few:]

    def _read(self, c: int, d: int, onto: Tensor | None) -> _Part:
        found = _Part(*(torch.empty(self.n, width, dtype=torch.float64) for width in (c, d)))
        for start, (p, h) in self.points.tiles():
            found.p[start : start + len(p)] = p
            h = h.double().cpu()
            found.h[start : start + len(p)] = h if onto is None else h @ onto
        return found


class _Trace:
    """tr[P F], P the inverse of the information so far, as items join and leave.

    With V V' = factor * I(x), V = A (x) h for a c x c matrix A, `g_n` and `t_n` [n, c, c] hold V' P V and V' P F P V
    of every item: joining or leaving it changes the trace by tr[(1 +- g)^-1 t].
    """

    def __init__(self, pool: _Pool, information: Tensor, factor: float, generator: torch.Generator) -> None:
        (self.p, self.h), self.factor, self.generator = pool.pool, factor, generator
        self.c, self.d = self.p.shape[1], self.h.shape[1]
        self.fisher = pool.mean_information()
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(information))
        self.g_n = self._between(self.inverse)
        self.t_n = self._between(self.inverse @ self.fisher @ self.inverse)

    def forward(self, count: int) -> tuple[list[int], list[float]]:
        """Up to `count` items, each of the largest decrease of the trace, and these decreases."""
        joined: list[int] = []
        gains: list[float] = []
        rows = torch.arange(len(self.p))
        while len(joined) < count:
            best, gain = self._best(joined)
            if gain <= 0:
                break
            joined.append(best)
            gains.append(gain)
            self._update(best, 1.0, rows)
        return joined, gains

    def backward(self, joined: list[int], b: int) -> list[int]:
        """Which b of `joined` stay when those leave one by one whose loss raises the trace least."""
        stay = list(range(len(joined)))
        rows = torch.tensor(joined, dtype=torch.int64)
        while len(stay) > b:
            change = self._change(rows[stay], -1.0)
            gone = stay.pop(self._any(change <= float(change.min()) * (1 + _TIE)))
            self._update(joined[gone], -1.0, rows[stay])
        return stay

    def _best(self, joined: list[int]) -> tuple[int, float]:
        """The item of the largest decrease; tr t bounds it, so few are evaluated."""
        bound = self.t_n.diagonal(dim1=1, dim2=2).sum(1)
        bound[joined] = -torch.inf
        order, gains = bound.argsort(descending=True), torch.full_like(bound, -torch.inf)
        best, start, size = 0.0, 0, _FEW
        while start < len(order) - len(joined) and bound[order[start]] >= best * (1 - _TIE):
            some = order[start : min(start + size, len(order) - len(joined))]
            gains[some] = self._change(some, 1.0)
            best, start, size = max(best, float(gains[some].max())), start + size, 2 * size
        return self._any(gains >= best * (1 - _TIE)) if best > 0 else 0, best

    def _change(self, rows: Tensor, sign: float) -> Tensor:
        """By how much the trace falls when each of these items joins (sign 1), or rises when it leaves (-1)."""
        one = torch.eye(self.c, dtype=torch.float64)
        found = [
            torch.cholesky_solve(self.t_n[some], torch.linalg.cholesky(one + sign * self.g_n[some]))
            for some in self._parts(rows)
        ]
        return torch.cat([solved.diagonal(dim1=1, dim2=2).sum(1) for solved in found])

    def _update(self, item: int, sign: float, rows: Tensor) -> None:
        """`item` joins or leaves: P becomes P - sign U U'. Only `rows` of `g_n` and `t_n` are kept up."""
        u = self._step(item, sign)
        seen = self.fisher @ u
        y = u @ (u.T @ seen) / 2 - sign * (self.inverse @ seen)
        self.inverse -= sign * (u @ u.T)
        for some in self._parts(rows):
            u_n, y_n = torch.split(self._contracted(torch.cat([u, y], 1), some), self.c, 2)
            self.g_n[some] -= sign * (u_n @ u_n.mT)
            cross = u_n @ y_n.mT
            self.t_n[some] += cross + cross.mT

    def _step(self, item: int, sign: float) -> Tensor:
        """U [c d, c] = P V L^-T with L L' = 1 + sign V' P V."""
        p, h = self.p[item], self.h[item]
        one = torch.eye(self.c, dtype=torch.float64)
        root = (self.factor * p).sqrt() * (one - p[:, None])
        w = (self.inverse.view(-1, self.c, self.d) @ h) @ root
        inner = root.T @ torch.einsum("adr,d->ar", w.view(self.c, self.d, self.c), h)
        lower = torch.linalg.cholesky(one + sign * (inner + inner.T) / 2)
        step: Tensor = torch.linalg.solve_triangular(lower, w.T, upper=False)
        return step.T

    def _contracted(self, x: Tensor, rows: Tensor) -> Tensor:
        """V' x of each item for x [c d, r], [m, c, r]."""
        r = x.shape[1]
        flat = x.view(self.c, self.d, r).transpose(0, 1).reshape(self.d, -1)
        return self._turned((self.h[rows] @ flat).view(-1, self.c, r), rows)

    def _turned(self, x_n: Tensor, rows: Tensor | slice) -> Tensor:
        """A' x of each item for x_n [m, c, r]: A = (1 - p 1') diag(factor * p)^1/2."""
        p = self.p[rows]
        mean = (p[:, None, :] @ x_n).squeeze(1)
        return (self.factor * p).sqrt()[:, :, None] * (x_n - mean[:, None, :])

    def _between(self, matrix: Tensor) -> Tensor:
        """V' matrix V of every item for a symmetric matrix, [n, c, c]."""
        c, d = self.c, self.d
        flat = matrix.view(c, d, c, d).permute(1, 0, 2, 3).reshape(d, c * c * d)
        found = torch.empty(len(self.h), c, c, dtype=torch.float64)
        step = max(1, _BLOCK // (c * c * d))
        for start in range(0, len(self.h), step):
            rows = slice(start, start + step)
            h = self.h[rows]
            inner = ((h @ flat).view(len(h), c, c, d) @ h[:, None, :, None]).squeeze(3)
            found[rows] = self._turned(self._turned(inner, rows).mT, rows)
        return found

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        return torch.split(rows, max(1, _BLOCK // (2 * self.c**2)))

    def _any(self, marked: Tensor) -> int:
        rows = marked.nonzero().squeeze(1)
        return int(rows[torch.randint(len(rows), (1,), generator=self.generator)])


def _whole(part: LastLayer | None, name: str, points: Points) -> _Part:
    """All of a part, float64; no rows if there is none."""
    if part is None or len(part) == 0:
        return _Part(*(torch.empty(0, width, dtype=torch.float64) for width in points.widths))
    held = Points(part)
    check_alike(points, held)
    try:
        return _Part(*(rows.double().cpu() for rows in held.whole()))
    except RowError as error:
        raise RowError(f"{name} {error.name}", error.row, error.reason) from None


def _check(regulariser: float, oversample: float, weighting: str, size: int, projection: str) -> None:
    if not (0 < regulariser < math.inf and 1 <= oversample < math.inf and size >= 1):
        raise SelectionError(
            "there must be a regulariser above 0, an oversample of at least 1 and a size of at least 1, "
            f"not {regulariser}, {oversample} and {size}"
        )
    for word, words in ((weighting, Weighting), (projection, Projection)):
        if word not in get_args(words):
            raise SelectionError(f"{word!r} is none of {', '.join(get_args(words))}")
