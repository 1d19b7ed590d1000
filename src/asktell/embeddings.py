"""Points given as factors: a row stands for the outer product of its factors' rows, which is never written out.

Features are points of one factor. The gradient of the last layer is a point of two, residual and features: c + d
numbers stand for c * d. So is what the last layer says and sees, of which all its gradients are made.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Union

import numpy as np
import torch
from torch import Tensor

from asktell.arrays import Features, PointLogProbs, Scores, probabilities
from asktell.errors import EvidenceError, RowError
from asktell.rows import Plan, Reading, Rows, as_rows, plan, tile_rows

Factors = tuple[Tensor, ...]
"""[n, ...] for each factor, rows aligned."""
Source = Union[Tensor, np.ndarray, Rows, "GradientEmbedding", "LastLayer"]
"""Where points come from: features, a gradient embedding, or a last layer."""

_CLOSE = 1e-9  # of |x|^2 + |y|^2: nearer points are measured by their difference, where nothing cancels
_EQUAL = 1e-28  # nearer still: the same point but for rounding
_PAIRS = 1024
_COLUMNS = 256
_LARGEST = 1e280  # squared norms: so many can be added up


@dataclass(frozen=True, eq=False)
class GradientEmbedding:
    """The last layer's gradient (p - onehot(yhat)) x h, as if the prediction were the label: `residual` x `features`.

    Rows [n, c] and [n, d], both from one deterministic pass; their product is never formed. Weights only, no bias.
    The norm is conservative: no other label in place of yhat gives a smaller one. Ash et al. 2020, section 3
    (arXiv:1906.03671).

    Raises `EvidenceError` if the two have different lengths or are no matrices.

    >>> a, h = torch.tensor([[-0.5, 0.5], [0.0, 0.0]]), torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    >>> GradientEmbedding(a, h).norms()
    tensor([3.5355, 0.0000], dtype=torch.float64)
    """

    residual: Tensor | Rows
    features: Tensor | Rows

    def __post_init__(self) -> None:
        _check_aligned(self.residual, self.features, "residuals")
        for name, rows in self.factors.items():
            _check_matrix(rows, name)

    @classmethod
    def of(cls, point_log_probs: PointLogProbs | Rows, features: Features | Rows) -> "GradientEmbedding":
        """The embedding of predictions: residuals are computed when they are read, each time.

        >>> GradientEmbedding.of(torch.tensor([[0.75, 0.25]]).log(), torch.ones(1, 2)).residual[0:1]
        tensor([[-0.2500,  0.2500]], dtype=torch.float64)
        """
        return cls(Residuals(as_rows(point_log_probs)), features)

    @property
    def factors(self) -> dict[str, Rows]:
        """Residual and features, by name."""
        return {"residual": as_rows(self.residual), "features": as_rows(self.features)}

    def __len__(self) -> int:
        return len(self.features)

    def norms(self, *, memory: int | None = None) -> Scores:
        """|a| |h| of every row, float64 [n], where |a|^2 = 1 - 2 max p + sum p^2."""
        points = Points(self, memory=memory)
        found = torch.zeros(len(self), dtype=torch.float64)
        for start, tile in points.tiles():
            found[start : start + len(tile[0])] = squared_norms(tile)
        return found.sqrt_()

    def squared_distances(self, other: "GradientEmbedding") -> Tensor:
        """|g_i - g_j|^2 between these rows and those of another embedding, float64 [n, m]; both are read whole."""
        mine, others = Points(self), Points(other)
        check_alike(mine, others)
        return squared_distances(mine.whole(), others.whole())


@dataclass(frozen=True, eq=False)
class LastLayer:
    """What the last layer says and what it sees: predictions [n, c] and features [n, d], both from one pass.

    Gradients and Fisher information of the last layer are made of the two. Read as points it has two factors,
    probabilities and features. Raises `EvidenceError` if the two have different lengths or are no matrices.

    >>> layer = LastLayer(torch.tensor([[0.75, 0.25]]).log(), torch.ones(1, 2))
    >>> layer.factors["point_log_probs"][0:1]
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """

    point_log_probs: Tensor | Rows
    features: Tensor | Rows

    def __post_init__(self) -> None:
        _check_aligned(self.point_log_probs, self.features, "point_log_probs")
        _check_matrix(as_rows(self.features), "features")
        _check_matrix(as_rows(self.point_log_probs), "point_log_probs")

    @property
    def factors(self) -> dict[str, Rows]:
        """Probabilities, by the name of what they come from, and features."""
        return {"point_log_probs": Probabilities(as_rows(self.point_log_probs)), "features": as_rows(self.features)}

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class OfPredictions(ABC):
    """Float64 rows [c] computed from rows of log-probabilities when they are read, each time.

    Raises `RowError` for a row that is no log-probabilities.
    """

    log_probs: Rows

    def __post_init__(self) -> None:
        _check_matrix(self.log_probs, "point_log_probs")

    def __len__(self) -> int:
        return len(self.log_probs)

    def __getitem__(self, rows: slice, /) -> Tensor:
        start, stop, _ = rows.indices(len(self))
        probe = self.log_probs[0:1]
        found = probe.new_empty(max(0, stop - start), probe.shape[1], dtype=torch.float64)
        step = tile_rows(tuple(probe.shape[1:]))
        for first in range(start, stop, step):
            last = min(first + step, stop)
            try:
                found[first - start : last - start] = self.of(self.log_probs[first:last])
            except RowError as error:
                raise error.moved(first) from None
        return found

    def take(self, indices: Tensor, /) -> Tensor:
        """What the rows at `indices` give."""
        try:
            return self.of(self.log_probs.take(indices))
        except RowError as error:
            raise RowError(error.name, int(indices[error.row]), error.reason) from None

    @abstractmethod
    def of(self, log_probs: Tensor) -> Tensor:
        """What log-probabilities [m, c] give, [m, c]."""


class Probabilities(OfPredictions):
    """p of each row."""

    def of(self, log_probs: Tensor) -> Tensor:
        """`arrays.probabilities`."""
        return probabilities(log_probs, "point_log_probs")[0]


class Residuals(OfPredictions):
    """p - onehot(yhat) of each row; a tie for yhat goes to the lowest class."""

    def of(self, log_probs: Tensor) -> Tensor:
        """The residuals, to full precision where p is nearly certain."""
        p, log_p = probabilities(log_probs, "point_log_probs")
        predicted = log_probs.argmax(-1, keepdim=True)
        return p.scatter_(-1, predicted, log_p.gather(-1, predicted).expm1())


class Points:
    """Factors read side by side, tile by tile, under one plan; the first pass checks that they are finite.

    `kept` more points are held throughout, and `state` bytes. Raises `EvidenceError` if the budget `memory` does not
    hold them and one tile.
    """

    def __init__(self, source: Source, *, memory: int | None = None, kept: int = 0, state: int = 0) -> None:
        factors = _factors(source)
        self.n = len(source)
        self.widths = [prod(rows[0:1].shape[1:]) for rows in factors.values()]
        width = sum(self.widths)
        self.plan: Plan = plan(self.n, (width,), memory, state=state + 8 * width * kept)
        self.readings = {name: Reading(rows, planned=self.plan) for name, rows in factors.items()}

    @property
    def passes(self) -> int:
        """Passes over all rows so far."""
        return next(iter(self.readings.values())).passes

    @property
    def rows_read(self) -> int:
        """Rows read so far; a row counts once, however many factors it has."""
        return next(iter(self.readings.values())).rows_read

    def tiles(self) -> Iterator[tuple[int, Factors]]:
        """One pass: (first row, factors) of every tile. A tile is valid until the next."""
        first_pass = self.passes == 0
        for numbered in zip(*(reading.tiles() for reading in self.readings.values()), strict=True):
            start, tile = numbered[0][0], tuple(rows.detach() for _, rows in numbered)
            if first_pass:
                self._check(tile, start)
            yield start, tile

    def take(self, indices: Tensor) -> Factors:
        """The factors of the rows at `indices`."""
        return tuple(reading.take(indices).detach() for reading in self.readings.values())

    def whole(self) -> Factors:
        """All rows, checked."""
        found = self.empty(self.n)
        for start, tile in self.tiles():
            for place, rows in zip(found, tile, strict=True):
                place[start : start + len(rows)] = rows
        return found

    def gathered(self, indices: Tensor) -> Factors:
        """The factors of the rows at `indices`, in any order, out of one pass that checks all rows."""
        found = self.empty(len(indices))
        for start, tile in self.tiles():
            here = ((indices >= start) & (indices < start + len(tile[0]))).nonzero().squeeze(1)
            for place, rows in zip(found, tile, strict=True):
                place[here] = rows[indices[here] - start]
        return found

    def empty(self, count: int) -> Factors:
        """A place for `count` points, as they are stored."""
        probes = [reading.rows[0:1] for reading in self.readings.values()]
        return tuple(probe.new_empty(count, *probe.shape[1:]) for probe in probes)

    def _check(self, tile: Factors, start: int) -> None:
        if bool((squared_norms(tile) <= _LARGEST).all()):
            return
        for name, rows in zip(self.readings, tile, strict=True):
            bad = ~rows.isfinite().all(1)
            if bool(bad.any()):
                reason = "holds NaN or infinity; find out which input of the model gives it"
                raise RowError(name, start + int(bad.nonzero()[0]), reason)
        row = int((squared_norms(tile) > _LARGEST).nonzero()[0])
        raise RowError(name, start + row, f"its squared norm is above {_LARGEST:g}; divide all rows by one number")


def check_alike(points: Points, others: Points) -> None:
    """Raise unless both are points of one space."""
    if points.widths != others.widths:
        raise EvidenceError(
            f"rows of {others.widths} numbers cannot be compared with rows of {points.widths}; "
            "both must be features, or both gradient embeddings, of one model"
        )


def squared_norms(x: Factors) -> Tensor:
    """|x|^2, float64 [n]: the product of the factors' squared norms."""
    return torch.stack([torch.linalg.vecdot(rows, rows) for rows in _double(x)]).prod(0)


def squared_distances(x: Factors, y: Factors) -> Tensor:
    """|x_i|^2 + |y_j|^2 - 2 <x_i, y_j>, float64 [n, m]; the inner product is the product of the factors'.

    Never negative, and exactly 0 between equal points: where the difference would cancel it is formed first.

    >>> squared_distances((torch.tensor([[0.1, 0.2]]),), (torch.tensor([[0.1, 0.2], [0.1, 1.2]]),))
    tensor([[0.0000, 1.0000]], dtype=torch.float64)
    """
    x, y = _double(x), _double(y)
    scale = squared_norms(x)[:, None] + squared_norms(y)
    apart = _inner(x, y).mul_(-2).add_(scale)
    close = (apart <= scale.mul_(_CLOSE)).nonzero()
    for i, j in (pairs.unbind(1) for pairs in torch.split(close, _PAIRS)):
        near = _squared_difference(tuple(rows[i] for rows in x), tuple(rows[j] for rows in y))
        apart[i, j] = torch.where(near <= _EQUAL / _CLOSE * scale[i, j], 0.0, near)
    return apart.clamp_min_(0.0)


def nearest(x: Factors, centres: Factors) -> Tensor:
    """The smallest squared distance of each row to a centre, float64 [n]; infinite without centres."""
    x = _double(x)
    found = x[0].new_full((len(x[0]),), torch.inf)
    for columns in zip(*(torch.split(rows, _COLUMNS) for rows in centres), strict=True):
        if len(columns[0]):
            torch.minimum(found, squared_distances(x, columns).amin(1), out=found)
    return found


def unit_length(rows: Tensor) -> Tensor:
    """Rows divided by their lengths, float64; a row of zeros stays one, and one that is not finite has NaN."""
    x = rows.detach().double()
    x = x / _not_zero(x.abs().amax(1, keepdim=True))
    return x.div_(_not_zero(torch.linalg.vector_norm(x, dim=1, keepdim=True)))


def _not_zero(lengths: Tensor) -> Tensor:
    return lengths.where(lengths > 0, 1.0)


def _inner(x: Factors, y: Factors) -> Tensor:
    found = x[0] @ y[0].T
    for rows, others in zip(x[1:], y[1:], strict=True):
        found *= rows @ others.T
    return found


def _squared_difference(x: Factors, y: Factors) -> Tensor:
    """|x_i - y_i|^2 row by row, from differences: a' h - a h' = (a' - a) h + a (h - h')."""
    if len(x) == 1:
        return squared_norms((x[0] - y[0],))
    h, a, (da, dh) = x[1], y[0], (x[0] - y[0], x[1] - y[1])
    across: Tensor = torch.linalg.vecdot(da, a) * torch.linalg.vecdot(h, dh)
    return squared_norms((da, h)) + squared_norms((a, dh)) + 2 * across


def _double(x: Factors) -> Factors:
    return tuple(rows.to(x[-1].device, torch.float64) for rows in x)


def _factors(source: Source) -> dict[str, Rows]:
    if isinstance(source, GradientEmbedding | LastLayer):
        return source.factors
    return {"features": _matrix(source)}


def _matrix(features: Tensor | np.ndarray | Rows) -> Rows:
    rows = as_rows(features)
    _check_matrix(rows, "features")
    return rows


def _check_aligned(one: Tensor | Rows, features: Tensor | Rows, name: str) -> None:
    if len(one) != len(features):
        raise EvidenceError(
            f"there are {len(one)} rows of {name} and {len(features)} of features; "
            "both must come from one pass over the same items"
        )


def _check_matrix(rows: Rows, name: str) -> None:
    probe = rows[0:1]
    if probe.ndim != 2 or probe.is_complex():
        shape = [len(rows), *probe.shape[1:]]
        raise EvidenceError(
            f"{name} must be real numbers of shape [items, numbers], not {probe.dtype} of shape {shape}"
        )
