"""The loop: a durable project on one side, pure strategies on the other. Ids go in and out, rows never leave."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from asktell.errors import ConflictError, EvidenceError, SelectionError
from asktell.evidence import NAMES, PER_CANDIDATE, PER_LABELLED, PER_PENDING, Evidence
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import ArrayRows, Rows, as_rows
from asktell.selection import Selection
from asktell.strategies import Strategy, to_json
from asktell.types import Candidates, Query, Skip


class Loop:
    """Asks for labels by a strategy and is told the answers; all that must last is in the project.

    `seed` is the project's unless given. A query depends on the seed, its number, the strategy and the evidence, and on
    nothing else: a restarted loop asks the same questions. Loops in any number of processes may share a project.

    >>> from tempfile import TemporaryDirectory
    >>> from asktell.strategies import Random
    >>> with TemporaryDirectory() as folder, Project.create(folder, ["a", "b"], classes=["owl", "wren"]) as project:
    ...     loop = Loop(project, Random())
    ...     query = loop.ask(loop.candidates(), 2)
    ...     loop.tell(query.ids, ["owl", "owl"], annotator="ann")
    ...     loop.labels
    {'a': 'owl', 'b': 'owl'}
    """

    def __init__(self, project: Project, strategy: Strategy, *, seed: int | None = None) -> None:
        self.project = project
        self.strategy = strategy
        self.seed = project.seed if seed is None else seed

    def candidates(self) -> Candidates:
        """One consistent snapshot of what may be asked, what is labelled and what is pending, in insertion order."""
        return self.project.candidates()

    def ask(
        self,
        snapshot: Candidates,
        b: int,
        *,
        model: str | None = None,
        memory: int | None = None,
        **evidence: Tensor | np.ndarray | Rows,
    ) -> Query:
        """Pick `b` candidates of the snapshot and record them as asked; b = 0 picks and records nothing.

        `evidence` by name, rows in the order of the snapshot: one per `ids` (`labelled_ids` for `labels` and
        labelled_..., `pending_ids` for pending_...). `model` names the weights that gave it. `memory`: bytes of rows to
        read at once; changes no result.

        Nothing is locked while the strategy computes. Where others were faster, it selects again without what they
        took. Raises `EvidenceError` for evidence that is missing or does not fit the snapshot, `SelectionError` if
        fewer than `b` candidates are free, `BudgetError` if `b` is more than the budget has left.
        """
        ids, given = snapshot.ids, _evidence(self.strategy, snapshot, evidence)
        number = self.project.next_query
        while True:
            query, rows = self._select(number, ids, given, b, model, memory)
            if not b:
                return query
            try:
                return self.project.record(query)
            except ConflictError as conflict:
                number, taken = conflict.number, frozenset(conflict.taken)
            gone = [row for row in rows if ids[row] in taken]
            ids, given = _left(ids, taken), given.without(torch.tensor(gone, dtype=torch.int64))
            if len(ids) < b:
                raise SelectionError(
                    f"{len(ids)} of the snapshot's candidates are still free, fewer than the {b} asked for; "
                    "take a new snapshot with candidates(), or ask for fewer"
                )

    def tell(self, ids: Sequence[str], labels: Sequence[str | Skip], annotator: str) -> None:
        """Append one answer per item: class names or `asktell.SKIP`; see `Project.tell`."""
        self.project.tell(ids, labels, annotator)

    @property
    def labels(self) -> dict[str, str]:
        """Id to class name, for all labelled items in insertion order."""
        return self.project.labels

    @property
    def unanswered(self) -> tuple[Query, ...]:
        """The open queries, each with what is still pending: what a restarted driver answers first."""
        return self.project.unanswered

    def _select(
        self, number: int, ids: Sequence[str], given: Evidence, b: int, model: str | None, memory: int | None
    ) -> tuple[Query, list[int]]:
        generator = derive(self.seed, "query", number, "select")
        selection = self.strategy(given, b, generator=generator, memory=memory)
        rows = selection.indices.tolist()
        return self._query(number, [ids[row] for row in rows], selection, model), rows

    def _query(self, number: int, picked: Sequence[str], selection: Selection, model: str | None) -> Query:
        chances = selection.probabilities
        return Query(
            number=number,
            ids=tuple(picked),
            scores=tuple(selection.scores.tolist()),
            strategy=to_json(self.strategy),
            seed=self.seed,
            model=model,
            probabilities=None if chances is None else tuple(chances.tolist()),
            report=selection.report.to_json(),
        )


def _left(ids: Sequence[str], taken: frozenset[str]) -> tuple[str, ...]:
    return tuple(id_ for id_ in ids if id_ not in taken)


def _evidence(strategy: Strategy, snapshot: Candidates, given: Mapping[str, Tensor | np.ndarray | Rows]) -> Evidence:
    unknown = sorted(given.keys() - NAMES)
    if unknown:
        raise EvidenceError(f"there is no evidence called {', '.join(unknown)}; there is {', '.join(sorted(NAMES))}")
    for name in sorted(strategy.needs | given.keys()):
        _check_rows(name, snapshot, given, strategy)
    arrays = {name: _read(rows) for name, rows in given.items()}
    if not snapshot.labelled_ids:
        arrays = {**_nothing_labelled(strategy, arrays), **arrays}
    return Evidence(len(snapshot.ids), **arrays)  # type: ignore[arg-type]


def _nothing_labelled(strategy: Strategy, arrays: Mapping[str, Tensor | Rows]) -> dict[str, Tensor]:
    """What the strategy needs of labelled items while there are none: no rows, of the candidates' shape."""
    needs = strategy.needs & set(PER_LABELLED)
    like = {name: arrays.get(name.removeprefix("labelled_")) for name in needs}
    empty = {name: as_rows(rows)[0:0] for name, rows in like.items() if rows is not None}
    return {"labels": torch.zeros(0, dtype=torch.int64), **empty} if "labels" in needs else empty


def _check_rows(name: str, snapshot: Candidates, given: Mapping[str, object], strategy: Strategy) -> None:
    wanted = _items(name, snapshot)
    rows = given.get(name)
    if rows is None and (wanted is None or len(wanted[1])):
        where = "" if wanted is None else f", one row for each of snapshot.{wanted[0]}"
        raise EvidenceError(f"{strategy!r} needs {name}; pass {name}=...{where}")
    if rows is not None and wanted is not None and len(rows) != len(wanted[1]):  # type: ignore[arg-type]
        raise EvidenceError(
            f"{name} has {len(rows)} rows for the {len(wanted[1])} of snapshot.{wanted[0]}; "  # type: ignore[arg-type]
            "pass one row for each, in that order"
        )


def _items(name: str, snapshot: Candidates) -> tuple[str, tuple[str, ...]] | None:
    """Which items of the snapshot the rows of this evidence stand for; None for targets, which are free to choose."""
    if name in PER_CANDIDATE:
        return "ids", snapshot.ids
    if name in PER_LABELLED:
        return "labelled_ids", snapshot.labelled_ids
    return ("pending_ids", snapshot.pending_ids) if name in PER_PENDING else None


def _read(rows: Tensor | np.ndarray | Rows) -> Tensor | Rows:
    """Arrays of other frameworks as tensors, without a copy where that is safe; memory maps stay on disk."""
    if isinstance(rows, np.memmap):
        return ArrayRows(rows)
    if isinstance(rows, np.ndarray):
        return torch.from_numpy(rows if rows.flags.writeable else rows.copy())
    return rows
