"""Arrays kept between runs: npz without pickle, written whole or not at all, checked when read."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from asktell.errors import DataError
from asktell.writing import write_whole

Arrays = dict[str, np.ndarray]


def write(path: Path, arrays: Arrays, source: str) -> None:
    """Write all of `arrays` or nothing; two processes at once are fine.

    Raises `DataError` where the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez(packed, allow_pickle=False, source=np.array(source), **arrays)
        write_whole(path, packed.getvalue())
    except OSError as error:
        raise DataError(f"cannot write the cache file {path} ({error}); point ASKTELL_CACHE elsewhere") from error


def read(path: Path, sha256: Mapping[str, str]) -> tuple[Arrays, str]:
    """The arrays named in `sha256`, checked against it, and their source. Raises `DataError` if damaged."""
    arrays, source = made(path, sha256)
    if wrong := differing(arrays, sha256):
        raise DataError(f"{path} is damaged (wrong sha256 of {', '.join(wrong)}); delete it and try again")
    return arrays, source


def made(path: Path, names: Iterable[str]) -> tuple[Arrays, str]:
    """Arrays that were computed here, and their source; checked by the archive's own checksums only.

    Raises `DataError` if damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}, str(stored["source"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it and try again") from error


def differing(arrays: Mapping[str, np.ndarray], sha256: Mapping[str, str]) -> list[str]:
    """The names whose bytes are not those that `sha256` says."""
    return [name for name, expected in sha256.items() if digest(arrays[name]) != expected]


def digest(array: np.ndarray) -> str:
    """sha256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
