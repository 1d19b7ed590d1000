"""Rows in a file: .npy, .safetensors, or raw binary with a shape, read by pread.

A memory map would count as resident memory, page by page; what is read here is held only while it is used.
"""

import json
import os
import weakref
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from asktell.errors import EvidenceError

_SAFETENSORS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


class FileRows:
    """Rows of a C-ordered array of `shape` that begins `offset` bytes into a file.

    The file is opened once and stays open; it must not change while it is read. Raises `EvidenceError` if the
    file cannot be opened, or is smaller than the array.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(bytes(range(6))), file.flush()
    ...     FileRows(file.name, torch.uint8, (3, 2)).take(torch.tensor([0, 2]))
    tensor([[0, 1],
            [4, 5]], dtype=torch.uint8)
    """

    def __init__(
        self, path: str | os.PathLike[str], dtype: torch.dtype, shape: tuple[int, ...], *, offset: int = 0
    ) -> None:
        self.path, self.dtype, self.shape = Path(path), dtype, tuple(shape)
        self._offset = offset
        self._row_bytes = dtype.itemsize * prod(self.shape[1:])
        self._file = _opened(self.path)
        weakref.finalize(self, os.close, self._file)
        size, needed = os.fstat(self._file).st_size, offset + len(self) * self._row_bytes
        if size < needed:
            raise EvidenceError(
                f"{self.path} has {size:,} bytes where {list(self.shape)} of {dtype} needs {needed:,}: "
                "it was cut off, or the shape is another; write it again"
            )

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice, /) -> Tensor:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            raise EvidenceError(f"{self.path} is read in runs of rows, not in steps of {step}")
        return self.read(start, self.empty(max(0, stop - start)))

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices` (sorted), one read per run of neighbours."""
        found = self.empty(len(indices))
        for first, last, row in _runs(indices):
            self.read(row, found[first:last])
        return found

    def empty(self, count: int) -> Tensor:
        """A place for `count` rows."""
        return torch.empty(count, *self.shape[1:], dtype=self.dtype)

    def read(self, start: int, into: Tensor) -> Tensor:
        """Fill `into`, contiguous, with the rows from `start` on, and return it."""
        place = into.view(-1).view(torch.uint8).numpy().data
        position, done = self._offset + start * self._row_bytes, 0
        while done < len(place):
            count = os.preadv(self._file, [place[done:]], position + done)
            if count == 0:
                raise EvidenceError(f"{self.path} ends in row {start + done // self._row_bytes}: it was cut off")
            done += count
        return into


def file_rows(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    dtype: torch.dtype | None = None,
    shape: tuple[int, ...] | None = None,
) -> FileRows:
    """The rows of an array in a file, by its ending.

    `.npy` says itself what it holds. In `.safetensors`, `name` is the tensor's; it may be left out where there is one.
    Any other file is raw binary in this machine's byte order: `dtype` and `shape` say what it holds, and one length of
    the shape may be -1. Raises `EvidenceError` for a file that is not what its ending says, that was cut off, or whose
    rows do not lie one after another.
    """
    path = Path(path)
    if path.suffix == ".npy":
        return _npy(path)
    if path.suffix == ".safetensors":
        return _safetensors(path, name)
    if dtype is None or shape is None:
        raise EvidenceError(f"{path} says nothing about what it holds; pass dtype= and shape=, or write a .npy")
    return _raw(path, dtype, shape)


def _raw(path: Path, dtype: torch.dtype, shape: tuple[int, ...]) -> FileRows:
    size = _size(path)
    if -1 in shape:
        others = dtype.itemsize * prod(length for length in shape if length != -1)
        shape = tuple(size // others if length == -1 else length for length in shape)
    if size != dtype.itemsize * prod(shape):
        raise EvidenceError(
            f"{path} has {size:,} bytes, not the {dtype.itemsize * prod(shape):,} of {list(shape)} {dtype}"
        )
    return FileRows(path, dtype, shape)


def _npy(path: Path) -> FileRows:
    with _stream(path) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(file)
            torch_dtype = torch.from_numpy(np.empty(0, dtype)).dtype
        except (ValueError, TypeError, EOFError) as error:
            raise EvidenceError(f"{path} is no .npy of numbers in this machine's byte order ({error})") from None
        offset = file.tell()
    if by_columns and len(shape) > 1:
        raise EvidenceError(f"{path} is stored column by column; write it with numpy.ascontiguousarray")
    if not shape:
        raise EvidenceError(f"{path} holds a single number, no rows")
    return FileRows(path, torch_dtype, shape, offset=offset)


def _safetensors(path: Path, name: str | None) -> FileRows:
    with _stream(path) as file:
        try:
            length = int.from_bytes(file.read(8), "little")
            tensors = {key: value for key, value in json.loads(file.read(length)).items() if key != "__metadata__"}
        except (ValueError, AttributeError, MemoryError, OverflowError) as error:
            raise EvidenceError(f"{path} is no readable .safetensors file ({error})") from None
    if name is None and len(tensors) == 1:
        name = next(iter(tensors))
    if name not in tensors:
        raise EvidenceError(f"{path} holds {', '.join(sorted(tensors))}; say which with name=")
    found = tensors[name]
    if found["dtype"] not in _SAFETENSORS or not found["shape"]:
        raise EvidenceError(
            f"{name} in {path} is {found['dtype']} of shape {found['shape']}, which are no rows of numbers"
        )
    offset = 8 + length + found["data_offsets"][0]
    return FileRows(path, _SAFETENSORS[found["dtype"]], tuple(found["shape"]), offset=offset)


def _runs(indices: Tensor) -> list[tuple[int, int, int]]:
    """(first place, place after the last, row at the first) of each run of neighbouring rows."""
    breaks = (indices.diff() != 1).nonzero().squeeze(1) + 1
    edges = [0, *breaks.tolist(), len(indices)] if len(indices) else []
    return [(first, last, int(indices[first])) for first, last in pairwise(edges)]


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be opened ({error.strerror})") from None


def _stream(path: Path) -> BinaryIO:
    return os.fdopen(_opened(path), "rb")


def _size(path: Path) -> int:
    with _stream(path) as file:
        return os.fstat(file.fileno()).st_size
