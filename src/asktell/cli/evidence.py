"""Evidence for one query out of a file of arrays: rows are found by id, in any order."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from asktell.cli.arrays import ArrayFile
from asktell.errors import EvidenceError, RowError
from asktell.evidence import PER_LABELLED, PER_PENDING, PER_TARGET, TARGETS
from asktell.rows import Rows
from asktell.types import Candidates

_IN_TILES = ("log_probs", "point_log_probs", "features", "labelled_features")
"""Evidence that may stay in its file, to be read a few rows at a time."""


@dataclass(frozen=True)
class FileRows:
    """Some rows of an array, in an order of their own, as `Rows`: what is not asked for is not read."""

    array: np.ndarray
    order: np.ndarray

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, rows: slice) -> Tensor:
        return self._read(self.order[rows])

    def take(self, indices: Tensor) -> Tensor:
        """The rows at `indices`."""
        return self._read(self.order[indices.numpy()])

    def _read(self, order: np.ndarray) -> Tensor:
        found = np.asarray(self.array[order])
        return torch.from_numpy(found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("=")))


@dataclass
class Lookup:
    """Evidence by name for the items of a snapshot.

    In the file stand ids and arrays of one row per id: log_probs, point_log_probs, features, utility. Rows of labelled
    and pending items come from the same arrays. `target_log_probs`, rows of its own, is taken if it is there; otherwise
    the targets are `TARGETS` candidates that `generator` draws.

    Raises `EvidenceError` for an array that is missing, misaligned or not floating point, for an id that comes twice in
    the file, and for items without a row.
    """

    file: ArrayFile
    snapshot: Candidates
    classes: Sequence[str]
    generator: torch.Generator
    items: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Which items the rows of each evidence found so far stand for."""

    def __post_init__(self) -> None:
        ids = self.file.ids()
        self._row = {id_: row for row, id_ in enumerate(ids)}
        if len(self._row) < len(ids):
            repeated = next(id_ for row, id_ in enumerate(ids) if self._row[id_] != row)
            raise EvidenceError(f"{self.file.path}: id {repeated!r} comes twice; give one row per id")

    def find(self, needs: frozenset[str]) -> dict[str, Tensor | Rows]:
        """All that `needs` names, except what would have no rows because nothing is pending."""
        found = {name: self._evidence(name) for name in sorted(needs)}
        return {name: rows for name, rows in found.items() if rows is not None}

    @contextmanager
    def naming_items(self) -> Iterator[None]:
        """What is wrong in a row, said of the item that the row stands for."""
        try:
            yield
        except RowError as error:
            ids = self.items.get(error.name, ())
            if error.row >= len(ids):
                raise
            raise EvidenceError(f"{self.file.path}: {error.name} of item {ids[error.row]!r} {error.reason}") from None

    def _evidence(self, name: str) -> Tensor | Rows | None:
        if name == "labels":
            return torch.tensor([self.classes.index(label) for label in self.snapshot.labels], dtype=torch.int64)
        if name in PER_TARGET and name in self.file.names:
            array = _floating(self.file.array(name), name, self.file)
            return FileRows(array, np.arange(len(array)))[:]
        what, ids = self._items(name)
        if not ids and name in PER_PENDING + PER_TARGET:
            return None
        self.items[name] = ids
        rows = FileRows(self._array(_source(name)), self._rows(what, ids))
        return rows if name in _IN_TILES else rows[:]

    def _items(self, name: str) -> tuple[str, tuple[str, ...]]:
        if name in PER_LABELLED:
            return "labelled items", self.snapshot.labelled_ids
        if name in PER_PENDING:
            return "pending items", self.snapshot.pending_ids
        return ("targets", self._targets()) if name in PER_TARGET else ("candidates", self.snapshot.ids)

    def _targets(self) -> tuple[str, ...]:
        ids = self.snapshot.ids
        chosen = torch.randperm(len(ids), generator=self.generator)[:TARGETS].sort().values
        return tuple(ids[row] for row in chosen.tolist())

    def _array(self, name: str) -> np.ndarray:
        array = _floating(self.file.array(name), name, self.file)
        if len(array) != len(self._row):
            raise EvidenceError(
                f"{self.file.path}: {name} has {len(array)} rows for {len(self._row)} ids; give one row per id"
            )
        return array

    def _rows(self, what: str, ids: Sequence[str]) -> np.ndarray:
        missing = [id_ for id_ in ids if id_ not in self._row]
        if missing:
            few = ", ".join(map(repr, missing[:3])) + (", ..." if len(missing) > 3 else "")
            raise EvidenceError(
                f"{self.file.path} has no row for {len(missing)} of {len(ids)} {what}: {few}; "
                "evaluate the model on them too, or withdraw them"
            )
        return np.array([self._row[id_] for id_ in ids], dtype=np.int64)


def _floating(array: np.ndarray, name: str, file: ArrayFile) -> np.ndarray:
    if array.dtype.kind != "f" or array.dtype.itemsize > 8 or not array.ndim:
        raise EvidenceError(
            f"{file.path}: {name} holds {array.dtype} of shape {list(array.shape)}; "
            "evidence is float16, float32 or float64 with one row per item"
        )
    return array


def _source(name: str) -> str:
    """The array that the evidence called `name` is read from."""
    for prefix in ("labelled_", "pending_", "target_"):
        name = name.removeprefix(prefix)
    return name
