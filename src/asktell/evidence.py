"""The names of evidence, and `gather`: the one place that computes what a strategy needs from a posterior."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from asktell.errors import EvidenceError
from asktell.posteriors import Draws, OffersFeatures, OffersPoint, OffersUtility, Posterior
from asktell.posteriors.on_demand import OnDemand
from asktell.rows import Inputs, Rows, as_rows
from asktell.types import Candidates

PER_CANDIDATE = ("log_probs", "point_log_probs", "features", "utility")
PER_LABELLED = ("labels", "labelled_features", "labelled_point_log_probs")
PER_PENDING = ("pending_log_probs", "pending_point_log_probs", "pending_features")
PER_TARGET = ("target_log_probs",)
NAMES = frozenset(PER_CANDIDATE + PER_LABELLED + PER_PENDING + PER_TARGET)
"""Every name that evidence can have."""

TARGETS = 200

OFFERED_BY = {
    "log_probs": "every learner",
    "point_log_probs": "learners of one network, such as SingleNetwork",
    "features": "learners of one network, such as SingleNetwork",
    "utility": "the learner of a recipe that comes with one, such as egl-full, ceal, loss-prediction or vaal",
}
"""Who gives which evidence."""


@dataclass(frozen=True)
class Evidence:
    """What a strategy works from: arrays by name, rows as in the snapshot. None = not there.

    Per candidate: `log_probs` [n, k, c], `point_log_probs` [n, c], `features` [n, d], `utility` [n], which `gather`
    leaves to be computed when it is read.
    Rows of the labelled ones are labelled ids, no rows if nothing is labelled; of the pending ones pending ids, and
    None if nothing is pending. `labels` are int64 class numbers [l].
    """

    n: int
    log_probs: Tensor | Rows | None = None
    point_log_probs: Tensor | Rows | None = None
    features: Tensor | Rows | None = None
    utility: Tensor | Rows | None = None
    labels: Tensor | None = None
    labelled_features: Tensor | Rows | None = None
    labelled_point_log_probs: Tensor | None = None
    pending_log_probs: Tensor | None = None
    pending_point_log_probs: Tensor | None = None
    pending_features: Tensor | None = None
    target_log_probs: Tensor | None = None

    def __post_init__(self) -> None:
        for name in PER_CANDIDATE:
            rows = getattr(self, name)
            if rows is not None and len(rows) != self.n:
                raise EvidenceError(f"{name} has {len(rows)} rows for {self.n} candidates; pass one row per candidate")

    def require(self, name: str) -> Tensor | Rows:
        """The evidence called `name`; raises `EvidenceError` if it is not there."""
        found: Tensor | Rows | None = getattr(self, name)
        if found is None:
            raise EvidenceError(f"this strategy needs {name}; pass {name}=...")
        return found

    def tensor(self, name: str) -> Tensor:
        """The same, read whole into memory."""
        found = self.require(name)
        return found if isinstance(found, Tensor) else found[0 : len(found)]

    def without(self, rows: Tensor) -> "Evidence":
        """The evidence with these candidate rows left out; the others keep their order."""
        keep = torch.ones(self.n, dtype=torch.bool)
        keep[rows] = False
        return self.only(keep.nonzero().squeeze(1))

    def only(self, rows: Tensor) -> "Evidence":
        """The evidence of these candidate rows (ascending) and no others; nothing is read or computed yet."""
        left = {name: _some(getattr(self, name), rows) for name in PER_CANDIDATE}
        return replace(self, n=len(rows), **left)  # type: ignore[arg-type]

    def names(self) -> frozenset[str]:
        """The evidence that is there."""
        return frozenset(f.name for f in fields(self) if f.name != "n" and getattr(self, f.name) is not None)


def check_offered(needs: Iterable[str], offers: frozenset[str], who: str) -> None:
    """Raise unless a model that gives `offers` can serve `needs`."""
    missing = sorted({_source(name) for name in needs} - offers - {"labels"})
    if missing:
        sources = "; ".join(f"{name} comes from {OFFERED_BY.get(name, 'no learner')}" for name in missing)
        raise EvidenceError(
            f"{who} gives {', '.join(sorted(offers))}, but the strategy needs {', '.join(missing)}: {sources}"
        )


def gather(
    needs: frozenset[str],
    posterior: Posterior,
    snapshot: Candidates,
    inputs: Inputs,
    k: int,
    generator: torch.Generator,
    *,
    targets: Rows | int = TARGETS,
    labels: Tensor | None = None,
) -> Evidence:
    """The evidence that `needs` names, computed from `posterior`, and no more.

    One `draw` of min(k, distinct) functions serves candidates, pending items and targets alike. `targets`: inputs that
    predictions matter on, or how many candidates to draw for it. `labels`: class numbers of the labelled ids.

    Raises `EvidenceError` for a name that is unknown or that the posterior does not offer.
    """
    unknown = sorted(needs - NAMES)
    if unknown:
        raise EvidenceError(
            f"there is no evidence called {', '.join(unknown)}; the names are {', '.join(sorted(NAMES))}"
        )
    check_offered(needs, posterior.offers, type(posterior).__name__)
    gathering = _Gathering(posterior, snapshot, inputs, targets, generator)
    draws = gathering.drawn(k) if any(name.endswith("log_probs") and "point" not in name for name in needs) else None
    found = {name: labels if name == "labels" else gathering.compute(name, draws) for name in sorted(needs)}
    return Evidence(len(snapshot.ids), **found)  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Gathering:
    posterior: Posterior
    snapshot: Candidates
    inputs: Inputs
    targets: Rows | int
    generator: torch.Generator

    def drawn(self, k: int) -> Draws:
        distinct = self.posterior.distinct
        return self.posterior.draw(k if distinct is None else min(k, distinct), generator=self.generator)

    def compute(self, name: str, draws: Draws | None) -> Tensor | Rows | None:
        rows = self._rows(name)
        if len(rows) == 0 and name in PER_PENDING + PER_TARGET:
            return None
        kind = _source(name)
        if kind == "log_probs":
            assert draws is not None  # gather drew: the name says so
            return draws.log_probs(rows)
        if kind == "point_log_probs" and isinstance(self.posterior, OffersPoint):
            return self.posterior.point_log_probs(rows)
        if kind == "features" and isinstance(self.posterior, OffersFeatures):
            return self.posterior.features(rows)
        if kind == "utility" and isinstance(self.posterior, OffersUtility):
            return OnDemand(self.posterior.utility, rows)
        raise EvidenceError(
            f"{type(self.posterior).__name__} lists {kind} in its offers but has no method of that name"
        )

    def _rows(self, name: str) -> Rows:
        if name in PER_TARGET:
            return self._target_rows()
        if name in PER_PENDING:
            return self.inputs(self.snapshot.pending_ids)
        return self.inputs(self.snapshot.labelled_ids if name in PER_LABELLED else self.snapshot.ids)

    def _target_rows(self) -> Rows:
        if not isinstance(self.targets, int):
            return as_rows(self.targets)
        n = len(self.snapshot.ids)
        chosen = torch.randperm(n, generator=self.generator)[: self.targets].sort().values
        return self.inputs(tuple(self.snapshot.ids[i] for i in chosen.tolist()))


def _source(name: str) -> str:
    """What a posterior must offer for the evidence called `name`."""
    for prefix in ("labelled_", "pending_", "target_"):
        name = name.removeprefix(prefix)
    return name


def _some(rows: Tensor | Rows | None, chosen: Tensor) -> Tensor | Rows | None:
    if rows is None or isinstance(rows, Tensor):
        return None if rows is None else as_rows(rows).take(chosen)
    return _Some(rows, chosen)


@dataclass(frozen=True)
class _Some:
    """Some of other rows, read when they are asked for."""

    rows: Rows
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.rows.take(self.chosen[rows])

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return self.rows.take(self.chosen[indices])
