"""The idx files of MNIST and its kin: a magic number, the sizes, then bytes."""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from asktell.errors import DataError


def parse(data: bytes, name: str) -> np.ndarray:
    """The uint8 array in the idx file `name`. Raises `DataError` for anything else.

    >>> parse(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]), "labels").tolist()
    [7, 9]
    """
    axes = data[3] if len(data) >= 4 else 0
    start = 4 + 4 * axes
    if data[:3] != b"\x00\x00\x08" or not axes or len(data) < start:
        raise DataError(f"{name} is not an idx file of bytes")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", axes, 4))
    if len(data) - start != prod(shape):
        raise DataError(f"{name} holds {len(data) - start} bytes, its header says {prod(shape)}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read(folder: Path, name: str) -> np.ndarray:
    """The array in `folder` under `name`, gzipped or not, `-idx` or `.idx`. Raises `DataError` without it."""
    names = [name, name.replace("-idx", ".idx")]
    for path in (folder / (stem + ending) for stem in names for ending in ("", ".gz")):
        if path.is_file():
            return parse(_content(path), str(path))
    raise DataError(f"{folder} holds no {name} (nor {name}.gz)")


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
