"""Single rows of numbers from files, without numpy: what a person sees of an item that is a row of features."""

import ast
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from asktell.errors import DataError

_CODES = {"f2": "e", "f4": "f", "f8": "d", "b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q"} | {
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q"
}  # fmt: skip
"""numpy's type codes and those of the standard library."""


def read_row(file: Path, row: int) -> tuple[float, ...]:
    """Row `row`, counted from 0, of a two-dimensional .npy file of numbers.

    Raises `DataError` if the file cannot be read, holds something else, or has no such row.
    """
    try:
        with file.open("rb") as opened:
            start, header = _header(opened.read(10), opened.read(65_536))
            order, code, (n, width) = _layout(header)
            size = struct.calcsize(order + code)
            if not 0 <= row < n:
                raise DataError(f"{file} has {n} rows and none of number {row}; was the file replaced?")
            if header["fortran_order"]:
                places = (start + (column * n + row) * size for column in range(width))
                return tuple(_read(opened, place, order + code)[0] for place in places)
            return _read(opened, start + row * width * size, f"{order}{width}{code}")
    except OSError as error:
        raise DataError(
            f"{file} cannot be read ({error.strerror}); is it still where the project was made from?"
        ) from None
    except (ValueError, LookupError, TypeError, SyntaxError, struct.error):
        raise DataError(f"{file} is not a table of numbers in an .npy file; was it replaced?") from None


def _read(opened: BinaryIO, place: int, layout: str) -> tuple[float, ...]:
    opened.seek(place)
    return tuple(map(float, struct.unpack(layout, opened.read(struct.calcsize(layout)))))


def _header(head: bytes, rest: bytes) -> tuple[int, Mapping[str, object]]:
    """Where the numbers begin, and what the file says about them."""
    if head[:6] != b"\x93NUMPY":
        raise ValueError("not an .npy file")
    wide = head[6] >= 2  # from version 2 on, the length takes four bytes
    length = struct.unpack("<I", head[8:10] + rest[:2])[0] if wide else struct.unpack("<H", head[8:10])[0]
    skipped = 2 if wide else 0
    text = rest[skipped : skipped + length].decode("latin-1")
    return 10 + skipped + length, ast.literal_eval(text.strip())


def _layout(header: Mapping[str, object]) -> tuple[str, str, tuple[int, int]]:
    description, shape = header["descr"], header["shape"]
    if not isinstance(description, str) or not isinstance(shape, tuple) or len(shape) != 2:
        raise TypeError("not a table of numbers")
    order = {"<": "<", ">": ">", "|": "<", "=": "="}[description[0]]
    return order, _CODES[description[1:]], shape


def read_cached(folder: Path, number: int) -> tuple[float, ...]:
    """The row of item `number`, counted from 1, as the worker has kept it. Raises `DataError` if it has none yet."""
    states = sorted(folder.glob("features-*.json"), key=lambda state: state.stat().st_mtime_ns, reverse=True)
    try:
        state = json.loads(states[0].read_text(encoding="utf-8"))
        width, rows = int(state["width"]), int(state["rows"])
        if number > rows:
            raise IndexError
        with states[0].with_suffix(".f32").open("rb") as opened:
            return _read(opened, 4 * width * (number - 1), f"<{width}f")
    except (OSError, IndexError, KeyError, TypeError, ValueError, struct.error):
        raise DataError("the worker has not read this row yet; its numbers appear when it has") from None
