"""Embeddings kept in a project's folder: computed once, row by row of its items, and never twice.

NAME.f32 holds the rows as raw float32; NAME.json says how many of them count. Rows are written and synchronised
first, the count second: whatever is in the file beyond the count was cut off by a crash, and is written again.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asktell.errors import ContentError, DataError
from asktell.pools.protocols import Embedder, Embeddings
from asktell.rows import FileRows, Rows, TensorRows
from asktell.writing import write_whole

CHUNK = 256
"""Rows that are written at once; so many are computed again after a crash."""
Progress = Callable[[int, int], None]
"""Is told how many are done, of how many."""


class Embedded:
    """The embeddings of a project's items in insertion order, in files under `folder`.

    Row k - 1 belongs to item number k. One process may extend them at a time; any number may read. Both files can be
    deleted, and are then made again. Raises `DataError` if they are damaged or were made with rows of another width.
    """

    def __init__(self, folder: Path | str, embedder: Embedder) -> None:
        self.embedder = embedder
        self.path = Path(folder) / f"{embedder.name}.f32"
        self._count = 0
        self._failed: dict[str, str] = {}
        if self._state.exists():
            self._read_state()

    def __len__(self) -> int:
        """How many items have their row."""
        return self._count

    @property
    def failed(self) -> dict[str, str]:
        """Ids of items whose content could not be used when its turn came, with the reason. Their rows are zero."""
        return dict(self._failed)

    def extend(self, ids: Sequence[str], values: Sequence[str], progress: Progress | None = None) -> None:
        """Append the rows of the items that come next: `ids`, and `values` which say what they are.

        Some hundred at a time are computed, written and counted; a process that is killed loses no more. Raises
        `DataError` where the embedder cannot go on or the folder cannot be written; what was counted stays.
        """
        if len(ids) != len(values):
            raise DataError(f"{len(ids)} ids and {len(values)} values must be as many")
        for start in range(0, len(ids), CHUNK):
            self._append(*self._embedded(ids[start : start + CHUNK], values[start : start + CHUNK]))
            if progress is not None:
                progress(min(start + CHUNK, len(ids)), len(ids))

    def rows(self, numbers: Sequence[int] | None = None) -> Rows:
        """The rows of the items with these numbers, from 1, in any order; without `numbers`, all. Read when used.

        Raises `DataError` for a number that has no row yet.
        """
        if numbers is None:
            return self._every()
        chosen = torch.as_tensor(numbers, dtype=torch.int64) - 1
        if len(chosen) and not 0 <= int(chosen.min()) <= int(chosen.max()) < self._count:
            wrong = next(number for number in numbers if not 1 <= number <= self._count)
            raise DataError(f"item number {wrong} is not among the {self._count:,} that have embeddings; extend first")
        return _Chosen(self._every(), chosen)

    def _every(self) -> Rows:
        shape = self._count, self.embedder.width
        return FileRows(self.path, torch.float32, shape) if self._count else TensorRows(torch.empty(shape))

    @property
    def _state(self) -> Path:
        return self.path.with_suffix(".json")

    def _embedded(self, ids: Sequence[str], values: Sequence[str]) -> tuple[Embeddings, dict[str, str]]:
        """The rows, all at once if that goes, else one by one; and which failed, why."""
        failed: dict[str, str] = {}
        try:
            return self._checked(self.embedder.embed(values), len(values)), failed
        except ContentError:
            rows = np.zeros((len(values), self.embedder.width), np.float32)
        for place, (id_, value) in enumerate(zip(ids, values, strict=True)):
            try:
                rows[place] = self._checked(self.embedder.embed([value]), 1)
            except ContentError as error:
                failed[id_] = error.reason
        return rows, failed

    def _checked(self, rows: Embeddings, count: int) -> Embeddings:
        if rows.shape != (count, self.embedder.width):
            raise DataError(
                f"{self.embedder.name} gave rows of shape {list(rows.shape)} for {count} items, not "
                f"{[count, self.embedder.width]}"
            )
        if not np.isfinite(rows).all():
            raise ContentError(self.embedder.name, "its embedding is not finite")
        return rows

    def _append(self, rows: Embeddings, failed: dict[str, str]) -> None:
        """The rows are on disk before the count says so."""
        count, failed = self._count + len(rows), self._failed | failed
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _write_at(file, np.ascontiguousarray(rows, "<f4").tobytes(), self._count * self._row_bytes)
                os.fsync(file)
            finally:
                os.close(file)
            self._write_state(count, failed)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written ({error.strerror}); what was counted stays: make room, or allow writing"
            ) from None
        self._count, self._failed = count, failed

    @property
    def _row_bytes(self) -> int:
        return 4 * self.embedder.width

    def _write_state(self, count: int, failed: dict[str, str]) -> None:
        state = {"name": self.embedder.name, "width": self.embedder.width, "rows": count, "failed": failed}
        write_whole(self._state, json.dumps(state, ensure_ascii=False).encode())

    def _read_state(self) -> None:
        way_out = f"delete {self.path.name} and {self._state.name} there, and they are made again"
        try:
            state = json.loads(self._state.read_bytes())
            name, width, count, failed = (state[key] for key in ("name", "width", "rows", "failed"))
            size = self.path.stat().st_size
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self._state} cannot be read ({error}); {way_out}") from None
        if (name, width) != (self.embedder.name, self.embedder.width):
            raise DataError(
                f"{self._state} is about rows of {width} numbers from {name}, not of {self.embedder.width} from "
                f"{self.embedder.name}; {way_out}"
            )
        if size < count * self._row_bytes:
            raise DataError(f"{self.path} has {size:,} bytes where {count:,} rows were counted; {way_out}")
        self._count, self._failed = count, failed


class _Chosen:
    """Some of the rows, in an order of one's own."""

    def __init__(self, rows: Rows, chosen: Tensor) -> None:
        self._rows, self._chosen = rows, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self._read(self._chosen[rows])

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return self._read(self._chosen[indices])

    def _read(self, wanted: Tensor) -> Tensor:
        if bool((wanted.diff() >= 0).all()):
            return self._rows.take(wanted)
        ascending, order = wanted.sort()
        return self._rows.take(ascending)[order.argsort()]


def _write_at(file: int, content: bytes, position: int) -> None:
    """Write all of it there, and cut off what a crash left behind it."""
    os.ftruncate(file, position)
    done = 0
    while done < len(content):
        done += os.pwrite(file, content[done:], position + done)
