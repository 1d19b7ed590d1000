"""Strategies that look at some of the candidates only: those of the highest score, or any."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from asktell.arrays import probabilities
from asktell.errors import RowError, SelectionError
from asktell.evidence import PER_CANDIDATE, Evidence
from asktell.rows import Rows, score
from asktell.selection import Selection, top_k
from asktell.selection.result import check_batch, empty_selection
from asktell.strategies.protocols import Scored, Strategy
from asktell.strategies.ranking import renormalised

CANDIDATES = 1_000


@dataclass(frozen=True)
class Prefilter:
    """Of the beta * b candidates of the highest `score` those that another strategy picks: informative, then diverse.

    >>> from asktell.strategies import CoreSet, Entropy
    >>> sorted(Prefilter(Entropy(), CoreSet()).needs)
    ['features', 'labelled_features', 'log_probs', 'pending_features']
    """

    name: ClassVar[str] = "prefilter"
    score: Scored
    inner: Strategy
    beta: float = 10.0

    def __post_init__(self) -> None:
        check_beta(self.name, self.beta)

    @property
    def needs(self) -> frozenset[str]:
        """What both need."""
        return self.score.needs | self.inner.needs

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b candidates, with what `inner` says about them; ties at the limit are broken at random."""
        check_batch(b, evidence.n)
        if not b:
            return empty_selection()
        scores = self.score.scores(evidence, memory=memory)
        for name in sorted((self.inner.needs - self.score.needs) & set(PER_CANDIDATE)):
            _check_rows(name, evidence.require(name), memory)
        rows = top_k(scores, kept(self.beta, b, evidence.n), generator=generator).indices.sort().values
        return _narrowed(self.inner, evidence, rows, b, generator, memory)


@dataclass(frozen=True)
class Subset:
    """What another strategy picks of `candidates` candidates, or of b if that is more, drawn at random.

    For strategies that cost too much on the whole pool. Evidence of the other candidates is not read, nor computed
    where that happens on demand. `report.candidates` says how many were looked at, if not all; then there are no
    `probabilities`, since those of the other strategy hold within the subset only.
    """

    name: ClassVar[str] = "subset"
    inner: Strategy
    candidates: int = CANDIDATES

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise SelectionError(f"a subset holds at least one candidate, not {self.candidates}")

    @property
    def needs(self) -> frozenset[str]:
        """What the other strategy needs."""
        return self.inner.needs

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """b candidates; all are looked at if there are no more than `candidates`."""
        check_batch(b, evidence.n)
        count = min(max(b, self.candidates), evidence.n)
        if count == evidence.n:
            return self.inner(evidence, b, generator=generator, memory=memory)
        rows = torch.randperm(evidence.n, generator=generator)[:count].sort().values
        return replace(_narrowed(self.inner, evidence, rows, b, generator, memory), probabilities=None)


def kept(beta: float, b: int, n: int) -> int:
    """How many of n candidates are looked at for a batch of b: beta * b, at least b, at most all."""
    return max(b, int(min(beta * b, n)))


def check_beta(name: str, beta: float) -> None:
    """Raise unless beta is at least 1 and finite."""
    if not 1 <= beta < math.inf:
        raise SelectionError(f"{name} keeps beta * b items; beta must be at least 1 and finite, not {beta}")


def _narrowed(
    inner: Strategy, evidence: Evidence, rows: Tensor, b: int, generator: torch.Generator, memory: int | None
) -> Selection:
    """What `inner` picks of these rows (ascending), by their numbers among all candidates."""
    try:
        selection = inner(evidence.only(rows), b, generator=generator, memory=memory)
    except RowError as error:
        if error.name not in PER_CANDIDATE:
            raise
        raise RowError(error.name, int(rows[error.row]), error.reason) from None
    found = replace(selection, indices=rows[selection.indices])
    looked_at = len(rows) if len(rows) < evidence.n else None
    return found.reported(candidates=looked_at, renormalised=renormalised(evidence))


def _check_rows(name: str, rows: Tensor | Rows, memory: int | None) -> None:
    """One pass over evidence of which only some rows will be looked at."""
    score(lambda tile: _checked(name, tile), rows, memory=memory)


def _checked(name: str, tile: Tensor) -> Tensor:
    if name.endswith("log_probs"):
        probabilities(tile, name)
        return torch.zeros(len(tile))
    bad = ~tile.reshape(len(tile), -1).isfinite().all(1)
    if bool(bad.any()):
        reason = "holds NaN or infinity; find out which input of the model gives it"
        raise RowError(name, int(bad.nonzero()[0]), reason)
    return torch.zeros(len(tile))
