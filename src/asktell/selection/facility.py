"""Batches that represent the pool: every row counts with its similarity to the pick that is most like it.

Facility location. What a pick adds only shrinks as others join (the sum is submodular), so an old gain bounds the new
one: candidates are evaluated again in descending order of old gains, until one comes out first. The picks are those of
evaluating every candidate after every pick.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from asktell.arrays import Features
from asktell.embeddings import squared_distances, unit_length
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.rows import Reading, Rows, as_rows
from asktell.selection.farthest import PART, by_rank, check_finite, given_rows, most_rows, width
from asktell.selection.result import Report, Selection, check_batch, empty_selection

GivenFeatures = Float[Tensor, "l d"]
CandidateRows = Int64[Tensor, " candidates"]

Likeness = Literal["cosine", "gaussian"]
"""How alike two rows are: max(0, cos), or exp(-|x - y|^2 / (2 s^2))."""

_FEW = 64  # candidates whose gains are renewed first


@runtime_checkable
class Similarity(Protocol):
    """A number for every pair of rows; below zero counts as zero."""

    def prepared(self, rows: Tensor) -> Tensor:
        """Rows as `between` takes them, float64 [m, d]; NaN where a row is not finite."""
        ...

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """[m, k] for prepared rows."""
        ...


@dataclass(frozen=True)
class Cosine:
    """cos(x, y); a row of zeros is like no other."""

    def prepared(self, rows: Tensor) -> Tensor:
        """Rows of length 1."""
        return unit_length(rows)

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Their inner products."""
        return x @ y.T


@dataclass(frozen=True)
class Gaussian:
    """exp(-|x - y|^2 / (2 scale^2)); distances are taken from rows less `centre`."""

    centre: Tensor
    scale: float

    @classmethod
    def of(cls, rows: Rows, breadth: float, memory: int | None) -> "Gaussian":
        """`breadth` times the root mean square distance of the rows to their mean, measured in one pass."""
        total, square, d = torch.zeros((), dtype=torch.float64), 0.0, width(rows, "features")
        reference = rows[0:1].detach().double()
        for start, tile in Reading(rows, memory=memory, state=24 * d).tiles():
            x = tile.detach().double() - reference
            check_finite(torch.linalg.vecdot(x, x), "features", start)
            total, square = total + x.sum(0), square + float(x.square().sum())
        mean = total / len(rows)
        spread = math.sqrt(max(0.0, square / len(rows) - float(mean.square().sum())))
        return cls(reference[0] + mean, breadth * (spread or 1.0))

    def prepared(self, rows: Tensor) -> Tensor:
        """Rows less the centre."""
        return rows.detach().double() - self.centre

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """In (0, 1], 1 between equal rows."""
        return squared_distances((x,), (y,)).mul_(-0.5 / self.scale**2).exp_()


def max_cover(
    features: Features | Rows,
    candidates: CandidateRows,
    b: int,
    *,
    given: GivenFeatures | Rows | None = None,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Greedily the b candidates that represent all n rows best, scores = what each adds to how well they do.

    That is the sum over rows j of the largest max(0, cos(x_j, x_i)) over picks i, and over `given` [l, d] from the
    start; a row of zeros is like no other. `candidates`: rows of `features`, each once; the picks are rows of
    `features` too. Scores never rise; once nothing can be added the rest is uniform, with score 0, from
    `report.filled_from` on. The gains of few candidates are renewed after a pick: one pass, or a few.

    Raises what `k_center` raises, `SelectionError` if b is more than there are candidates, and `EvidenceError` for
    candidates that are no rows of `features` or come twice. Yang et al. 2017, its second step (arXiv:1706.04737).

    >>> towards = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> selection = max_cover(towards, torch.arange(4), 2, generator=torch.Generator())
    >>> selection.indices, selection.scores
    (tensor([1, 3]), tensor([2.4142, 1.0000], dtype=torch.float64))
    """
    rows = as_rows(features)
    check_batch(b, len(candidates))
    _check_candidates(candidates, len(rows))
    if b == 0:
        return empty_selection()
    greedy = Greedy(rows, candidates, Cosine(), memory, generator)
    greedy.adopt(given_rows(given, rows))
    return greedy.filled(b)


def facility_location(
    features: Features | Rows,
    b: int,
    *,
    similarity: Likeness = "cosine",
    breadth: float = 1.0,
    parts: int = 1,
    given: GivenFeatures | Rows | None = None,
    memory: int | None = None,
    generator: torch.Generator,
) -> Selection:
    """Greedily the b rows that represent all n best, scores = what each adds to sum_j max_i s(x_j, x_i).

    i runs over the picks and, from the start, over `given` [l, d]. s is "cosine", max(0, cos), or "gaussian",
    exp(-|x_j - x_i|^2 / (2 s^2)) with s = `breadth` times the root mean square distance of the rows to their mean. The
    sum comes to at least 1 - 1/e of the largest that any b rows reach. Scores never rise; once nothing can be added the
    rest is uniform, with score 0, from `report.filled_from` on. It takes n^2 similarities, and those of few candidates
    again after a pick; no table of them is kept.

    With `parts` m > 1 the rows are dealt at random to m parts, b are picked greedily in each by how they represent
    their part, then b out of those; the better of these and of the best part's is the batch (GreeDi). That takes
    n^2 / m + m b n similarities.

    Raises what `k_center` raises, and `SelectionError` unless parts >= 1 and breadth > 0. Nemhauser, Wolsey & Fisher
    1978; Mirzasoleiman et al. 2013 (GreeDi).

    >>> line = torch.tensor([[0.0], [1.0], [2.0], [9.0]])
    >>> facility_location(line, 2, similarity="gaussian", breadth=0.5, generator=torch.Generator()).indices
    tensor([1, 3])
    """
    if similarity not in get_args(Likeness):
        raise SelectionError(f"similarity is one of {', '.join(get_args(Likeness))}, not {similarity!r}")
    if not (parts >= 1 and 0 < breadth < math.inf):
        raise SelectionError(f"there must be parts >= 1 and a breadth > 0, not {parts} and {breadth}")
    rows = as_rows(features)
    check_batch(b, len(rows))
    if b == 0:
        return empty_selection()
    measure = Cosine() if similarity == "cosine" else Gaussian.of(rows, breadth, memory)
    location = _Location(rows, measure, given_rows(given, rows), memory, generator)
    everything = torch.arange(len(rows))
    return location.pick(everything, b) if parts == 1 else location.pick_in_parts(everything, b, parts)


@dataclass(frozen=True)
class _Location:
    """Where rows are to be represented."""

    rows: Rows
    similarity: Similarity
    given: Rows
    memory: int | None
    generator: torch.Generator

    def pick(self, candidates: Tensor, b: int) -> Selection:
        """The b candidates that represent all rows best."""
        return self._greedy(self.rows, candidates).filled(b)

    def pick_in_parts(self, everything: Tensor, b: int, parts: int) -> Selection:
        """GreeDi."""
        dealt = torch.randperm(len(everything), generator=self.generator).tensor_split(min(parts, len(everything)))
        alone = [self._picked_alone(part.sort().values, b) for part in dealt]
        merged = self.pick(torch.cat(alone).sort().values, b)
        values = [self._value(picks) for picks in alone if len(picks) == b]
        if not values or max(values) <= self._value(merged.indices):
            return merged
        best = max((picks for picks in alone if len(picks) == b), key=self._value)
        return self.pick(best.sort().values, b)

    def _picked_alone(self, part: Tensor, b: int) -> Tensor:
        """The picks in one part, which is read into memory."""
        greedy = self._greedy(as_rows(self.rows.take(part)), torch.arange(len(part)))
        try:
            return part[greedy.filled(min(b, len(part))).indices]
        except RowError as error:
            raise RowError(error.name, int(part[error.row]), error.reason) from None

    def _value(self, picks: Tensor) -> float:
        greedy = self._greedy(self.rows, picks)
        greedy.adopt(as_rows(self.rows.take(picks.sort().values)))
        return float(greedy.reached.sum())

    def _greedy(self, rows: Rows, candidates: Tensor) -> "Greedy":
        greedy = Greedy(rows, candidates, self.similarity, self.memory, self.generator)
        greedy.adopt(self.given)
        return greedy


class Greedy:
    """Candidates with bounds on their gains, and of each row the largest similarity to a centre so far, `reached`."""

    def __init__(
        self, rows: Rows, candidates: Tensor, similarity: Similarity, memory: int | None, generator: torch.Generator
    ) -> None:
        n, d, k = len(rows), width(rows, "features"), len(candidates)
        self.candidates, self.held = candidates.cpu(), most_rows(d)
        self.reading = Reading(rows, memory=memory, state=8 * (n + 4 * k + d * min(k, self.held)))
        self.similarity = similarity
        self.reached = torch.zeros(n, dtype=torch.float64, device=rows[0:1].device)
        self.rank = torch.randperm(k, generator=generator)
        self.bound = torch.full((k,), math.inf, dtype=torch.float64)
        self.fresh = torch.zeros(k, dtype=torch.bool)

    def adopt(self, rows: Rows) -> None:
        """The rows given become centres, in one pass for every block of them."""
        for start in range(0, len(rows), self.held):
            block = rows[start : start + self.held].to(self.reached.device)
            self._pass(self._prepared(block, "given", start), self._some([]))

    def pick(self, b: int, *, above: float = 0.0) -> tuple[list[int], list[float]]:
        """Up to b places of candidates, best first, and their gains, as long as these are above `above`."""
        picked: list[int] = []
        gains: list[float] = []
        while len(picked) < b:
            best = self._best(picked[-1:])
            if self.bound[best] <= above:
                break
            picked.append(best)
            gains.append(float(self.bound[best]))
            self.bound[best] = -1.0
            self.fresh.zero_()
        return picked, gains

    def filled(self, b: int) -> Selection:
        """b candidates; when nothing can be added, any."""
        picked, gains = self.pick(b)
        filled_from = len(picked) if len(picked) < b else None
        picked += by_rank(self.bound >= 0, self.rank)[: b - len(picked)].tolist()
        gains += [0.0] * (b - len(gains))
        report = Report(passes=self.reading.passes, rows_read=self.reading.rows_read, filled_from=filled_from)
        return Selection(self.candidates[picked], torch.tensor(gains, dtype=torch.float64), report=report)

    def _best(self, new: list[int]) -> int:
        """The candidate of the largest gain, which `bound` then is; `new` has become a centre."""
        size = _FEW
        while True:
            order = self.rank.argsort()
            order = order[self.bound[order].sort(descending=True, stable=True).indices]
            if self.fresh[order[0]] or self.bound[order[0]] <= 0:
                return int(order[0])
            stale = order[~self.fresh[order] & (self.bound[order] >= 0)]
            stale = stale[: self.held if bool(self.bound[stale[0]].isinf()) else size]
            gains = self._pass(self._some(new), self._some(stale))
            self.bound[stale] = self.bound[stale].minimum(gains)
            self.fresh[stale] = True
            new, size = [], min(2 * size, self.held)

    def _some(self, places: Tensor | list[int]) -> Tensor:
        rows = self.candidates[places]
        return self._prepared(self.reading.take(rows), "features", rows)

    def _prepared(self, rows: Tensor, name: str, numbers: Tensor | int) -> Tensor:
        x = self.similarity.prepared(rows)
        check_finite(x.sum(1), name, numbers)
        return x

    def _pass(self, centres: Tensor, candidates: Tensor) -> Tensor:
        """One pass: rows may now be most similar to one of these centres. What each candidate would add then."""
        gains = self.reached.new_zeros(len(candidates))
        for start, tile in self.reading.tiles():
            x = self._prepared(tile, "features", start)
            reached = self.reached[start : start + len(tile)]
            for some in _parts(centres):
                torch.maximum(reached, self.similarity.between(x, centres[some]).amax(1), out=reached)
            for some in _parts(candidates):
                added = self.similarity.between(x, candidates[some]).sub_(reached[:, None])
                gains[some] += added.clamp_min_(0.0).sum(0)
        return gains.cpu()


def _parts(rows: Tensor) -> Iterator[slice]:
    return (slice(start, start + PART) for start in range(0, len(rows), PART))


def _check_candidates(candidates: Tensor, n: int) -> None:
    if candidates.ndim != 1 or candidates.dtype != torch.int64:
        raise EvidenceError(f"candidates must be int64 [k], not {candidates.dtype} of shape {list(candidates.shape)}")
    if len(candidates) == 0:
        return
    if int(candidates.min()) < 0 or int(candidates.max()) >= n:
        raise EvidenceError(f"candidates must be rows of features, 0 to {n - 1}")
    if bool((candidates.sort().values.diff() == 0).any()):
        raise EvidenceError("candidates names a row twice; name each once")
