"""Parquet files through pyarrow, which is imported when one is opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from asktell.errors import DataError


@contextmanager
def open_parquet(file: Path) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`. Raises `DataError` for a file that is none, and without pyarrow."""
    try:
        parquet, arrow = import_module("pyarrow.parquet"), import_module("pyarrow")
    except ModuleNotFoundError:
        raise DataError(f"reading {file} needs pyarrow, which is not installed: pip install 'asktell[serve]'") from None
    try:
        with parquet.ParquetFile(file) as table:
            yield table
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{file} cannot be read ({' '.join(str(error).split())}); write the file again") from None


def plain(file: Path, column: Any, name: str) -> list[object]:
    """A column of text (as bytes), whole numbers or truth values. Raises `DataError` for any other."""
    pa = import_module("pyarrow")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return list(column.cast(pa.large_binary()).to_pylist())
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return list(column.to_pylist())
    raise DataError(f"{file}: column {name!r} holds {kind}, neither text nor whole numbers; name another")
