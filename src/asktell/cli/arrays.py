"""Files of named arrays, row-aligned with a column of ids: .npz and .parquet.

Nothing is unpickled. An array that stands uncompressed in an .npz (as `numpy.savez` writes it) is mapped, so that only
those rows are read that somebody asks for.
"""

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from asktell.errors import EvidenceError

_LOCAL_HEADER = 30  # bytes before the name in the local header of a zip member


@dataclass(frozen=True)
class ArrayFile:
    """The names in a file, which of them holds the ids, and how to read one."""

    path: Path
    key: str
    names: tuple[str, ...]
    read: Callable[[str], np.ndarray]

    def array(self, name: str) -> np.ndarray:
        """The array called `name`. Raises `EvidenceError` if there is none or it is damaged."""
        if name not in self.names:
            raise EvidenceError(f"{self.path} has no {name}; it has {', '.join(self.names) or 'nothing'}")
        with _explained(self.path, name):
            return self.read(name)

    def ids(self, column: str | None = None) -> list[str]:
        """The ids, from another array than `key` if named: text as it is, whole numbers in decimal.

        Raises `EvidenceError`.
        """
        name = column or self.key
        found = self.array(name)
        if found.ndim != 1 or found.dtype.kind not in "Uiu":
            raise EvidenceError(
                f"{self.path}: {name} holds {found.dtype} of shape {list(found.shape)}; ids are one row of text or "
                "whole numbers, such as numpy.array(ids, dtype=str)"
            )
        return found.tolist() if found.dtype.kind == "U" else [str(number) for number in found.tolist()]


def open_arrays(path: Path, *, draws: int | None = None) -> ArrayFile:
    """An .npz file (ids in `ids`) or a .parquet table (ids in `id`), by its ending.

    A column of lists of lists becomes an array of three axes; so does one of flat lists whose field has the metadata
    shape, such as [50, 10] for 50 draws and 10 classes, and log_probs of flat lists if `draws` says how many there are.

    Raises `EvidenceError` for another ending, a file that cannot be read, or a missing pyarrow.
    """
    if path.suffix.lower() == ".npz":
        return _npz(path)
    if path.suffix.lower() == ".parquet":
        return _parquet(path, draws)
    raise EvidenceError(
        f"{path} is neither .npz nor .parquet; write one with numpy.savez(FILE, ids=..., log_probs=...)"
    )


@contextmanager
def _explained(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except EvidenceError:
        raise
    except FileNotFoundError:
        raise EvidenceError(f"there is no file {path}; check the name") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        raise EvidenceError(f"{path}: {what} cannot be read ({reason}); write the file again") from None


# npz -------------------------------------------------------------------------------------------------------------


def _npz(path: Path) -> ArrayFile:
    with _explained(path, "the archive"), zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    return ArrayFile(path, "ids", tuple(members), lambda name: _member(path, members[name]))


def _member(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
        return _mapped(path, info)
    with np.load(path, allow_pickle=False) as archive:
        found: np.ndarray = archive[info.filename.removesuffix(".npy")]
    return found


def _mapped(path: Path, info: zipfile.ZipInfo) -> np.ndarray:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        local = file.read(_LOCAL_HEADER)
        name, extra = int.from_bytes(local[26:28], "little"), int.from_bytes(local[28:30], "little")
        file.seek(info.header_offset + _LOCAL_HEADER + name + extra)
        shape, fortran, dtype = _header(file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects; store text as numpy.array(..., dtype=str)")
        if 0 in shape or not dtype.itemsize:
            return np.empty(shape, dtype)
        return np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"npy version {version} is not known")
    return read[version](file)


# parquet ---------------------------------------------------------------------------------------------------------


def _parquet(path: Path, draws: int | None) -> ArrayFile:
    try:
        parquet = import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise EvidenceError(
            f"reading {path} needs pyarrow, which is not installed: pip install 'asktell[parquet]', or write an .npz"
        ) from None
    with _explained(path, "the file"):
        names = tuple(parquet.read_schema(path).names)
    return ArrayFile(path, "id", names, partial(_column, parquet, path, draws))


def _column(parquet: Any, path: Path, draws: int | None, name: str) -> np.ndarray:
    table = parquet.read_table(path, columns=[name])
    found = _unnested(table.column(name).combine_chunks(), name)
    shape = (table.schema.field(name).metadata or {}).get(b"shape")
    if shape is not None:
        return found.reshape(len(found), *json.loads(shape))
    return found.reshape(len(found), draws, -1) if draws and name == "log_probs" and found.ndim == 2 else found


def _unnested(column: Any, name: str) -> np.ndarray:
    """A column of numbers or text, or of lists of lists of them that are all of one length, as one array."""
    if column.null_count:
        raise EvidenceError(f"column {name} has {column.null_count} empty fields; fill them or leave the rows out")
    if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
        values: np.ndarray = column.to_numpy(zero_copy_only=False)
        return values.astype(str) if values.dtype.kind == "O" else values
    size = getattr(column.type, "list_size", None)
    sizes = {size} if size is not None else set(np.diff(column.offsets.to_numpy()).tolist())
    if len(sizes) > 1:
        raise EvidenceError(f"column {name} has lists of {min(sizes)} to {max(sizes)} values; make them of one length")
    within = _unnested(column.flatten(), name)
    return within.reshape(len(column), *sizes, *within.shape[1:])
