"""The queue of open questions: when it runs low, and how the missing ones are chosen given those that are open."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asktell.engine import cold
from asktell.engine.cold import Typical
from asktell.engine.items import Items
from asktell.engine.models import Model, class_numbers
from asktell.engine.settings import Settings
from asktell.evidence import check_offered, gather
from asktell.loop import Loop
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import Rows
from asktell.strategies import Random, Strategy
from asktell.types import Candidates, Query

LARGEST_EVIDENCE = 2**27
"""Numbers of evidence that are held at once; fewer candidates are scored where they would be more."""


@dataclass(frozen=True)
class Asker:
    """Asks by the project's strategy; for what stands for many others as long as there is no model."""

    project: Project
    items: Items
    settings: Settings

    def missing(self, waiting: int) -> int:
        """How many questions the queue lacks, 0 while at least half of it waits to be answered."""
        return 0 if 2 * waiting >= self.settings.queue else self.settings.queue - waiting

    def ask(self, model: Model | None, count: int) -> Query | None:
        """Ask for `count` items, or as many as are free and paid for; None if there are none.

        Raises `EvidenceError` if the model does not give what the strategy needs.
        """
        snapshot = self.items.usable(self.project.candidates())
        left = self.project.budget.left
        b = min(count, len(snapshot.ids), count if left is None else left)
        if b <= 0:
            return None
        strategy = self.strategy(model)
        number = self.project.next_query
        some, notes = self._some(snapshot, model, number, b) if strategy.needs else (snapshot, {})
        evidence = self._evidence(strategy, some, model, number)
        loop = _NotingLoop(self.project, strategy, notes)
        return loop.ask(some, b, model=None if model is None else model.id, **evidence)  # type: ignore[arg-type]

    def strategy(self, model: Model | None) -> Strategy:
        """The project's strategy; without a model, one that sees where items lie, given what is labelled and open."""
        told = self.settings.strategy
        if model is not None or not told.needs:
            return told
        return Typical() if self.items.have_positions else Random()

    def _some(
        self, snapshot: Candidates, model: Model | None, number: int, b: int
    ) -> tuple[Candidates, Mapping[str, object]]:
        """The candidates that are scored: all, or a seeded choice, in order, and a note that says so."""
        n, generator = len(snapshot.ids), derive(self.project.seed, "query", number, "candidates")
        if model is None:
            most = min(self.settings.candidates, cold.SCORED)
            chosen = _chosen(snapshot.labelled_ids, cold.GIVEN, generator)
            labels = dict(zip(snapshot.labelled_ids, snapshot.labels, strict=True))
            snapshot = replace(snapshot, labelled_ids=chosen, labels=tuple(labels[id_] for id_ in chosen))
        else:
            most = min(self.settings.candidates, LARGEST_EVIDENCE // (self.settings.draws * len(model.classes)))
        most = max(b, most)
        notes = {"candidates": most, "of": n} if n > most else {}
        return replace(snapshot, ids=_chosen(snapshot.ids, most, generator)), notes

    def _evidence(
        self, strategy: Strategy, snapshot: Candidates, model: Model | None, number: int
    ) -> Mapping[str, Tensor | Rows]:
        if not strategy.needs:
            return {}
        if model is None:
            return self._positions(snapshot)
        check_offered(strategy.needs, model.posterior.offers, f"the model {model.id[:12]}")
        found = gather(
            strategy.needs,
            model.posterior,
            snapshot,
            self.items.inputs,
            self.settings.draws,
            derive(self.project.seed, "query", number, "evidence"),
            labels=class_numbers(snapshot.labels, model.classes) if "labels" in strategy.needs else None,
        )
        return {name: getattr(found, name) for name in found.names()}

    def _positions(self, snapshot: Candidates) -> dict[str, Tensor | Rows]:
        """Where the items lie, as embeddings."""
        found: dict[str, Tensor | Rows] = {
            "features": self.items.positions(snapshot.ids),
            "labelled_features": self.items.positions(snapshot.labelled_ids),
        }
        if snapshot.pending_ids:
            found["pending_features"] = self.items.positions(snapshot.pending_ids)
        return found


def _chosen(ids: tuple[str, ...], most: int, generator: torch.Generator) -> tuple[str, ...]:
    """All of them, or `most` drawn from them, in order."""
    if len(ids) <= most:
        return ids
    rows = torch.randperm(len(ids), generator=generator)[:most].sort().values
    return tuple(ids[row] for row in rows.tolist())


class _NotingLoop(Loop):
    """Adds notes to the report of its queries."""

    def __init__(self, project: Project, strategy: Strategy, notes: Mapping[str, object]) -> None:
        super().__init__(project, strategy)
        self._notes = notes

    def _query(self, *args: object, **kwargs: object) -> Query:
        query = super()._query(*args, **kwargs)  # type: ignore[arg-type]
        return replace(query, report={**query.report, **self._notes})
