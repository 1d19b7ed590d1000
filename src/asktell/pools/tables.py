"""Texts from tables: .csv, .tsv, .jsonl, .parquet. Row by row, so that one bad row costs that row alone.

Text files are read by the standard library, which can say which row is wrong; Parquet by pyarrow.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from asktell.errors import DataError
from asktell.pools.found import Found, RowIds, check_columns, row_label
from asktell.pools.parquet import open_parquet, plain

MAX_TEXT = 1_000_000
"""Bytes of UTF-8. A longer text is left out."""
MAX_FIELD = 64_000_000
"""Characters between two separators, or in a line of JSON. A longer one is no text but a mistake."""
_BATCH = 16_384


class Columns(NamedTuple):
    """The names of the columns to read; None where there is none."""

    text: str
    id: str | None
    label: str | None


class Flaw(str):
    """In the place of a text: why the row has none."""

    __slots__ = ()


Row = tuple[int, object, object, object]
"""Number from 1, text, id, label."""


def read_table(
    file: Path | str,
    *,
    text: str,
    id: str | None = None,  # noqa: A002
    label: str | None = None,
) -> Found:
    """The texts in column `text` of a .csv, .tsv, .jsonl or .parquet file, in order.

    Ids come from column `id`, else they are "STEM-ROW" with rows counted from 1 without the header and empty lines.
    Rows without a text, with one above a megabyte, or with one that is no Unicode are left out.

    Raises `DataError` for a file that cannot be read, a column that is not there once, and ids that are empty or come
    twice.
    """
    file = Path(file)
    rows = _reader(file)(file, Columns(text, id, label))
    ids, found = RowIds(file, id), Found()
    for number, value, given, known in rows:
        content = _content(value)
        if isinstance(content, Flaw):
            found.left_out.append((f"row {number}", str(content)))
        else:
            name = row_label(file, number, known)
            found.add(ids(number, given), str(value), hashlib.sha256(content).hexdigest(), name)
    return found


def _reader(file: Path) -> Callable[[Path, Columns], Iterator[Row]]:
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise DataError(f"{file} is no table that can be read; its name must end in {', '.join(_READERS)}")
    if not file.is_file():
        raise DataError(f"there is no file {file}; check the name")
    return reader


def _content(value: object) -> bytes | Flaw:
    """A text in UTF-8, or why it is left out."""
    if type(value) is not str:
        return value if isinstance(value, Flaw) else Flaw(_instead_of_text(value))
    if not value or value.isspace():
        return Flaw("no text")
    try:
        content = value.encode()
    except UnicodeEncodeError:
        return Flaw("not UTF-8; save the file as UTF-8")
    if len(content) > MAX_TEXT:
        return Flaw(f"a text of {len(content):,} bytes; the most is {MAX_TEXT:,}")
    return Flaw("holds NUL, which no text does") if b"\0" in content else content


def _instead_of_text(value: object) -> str:
    return "no text" if value is None else f"{type(value).__name__} where a text should be"


# tables as text ----------------------------------------------------------------------------------------------------


def _separated(delimiter: str, file: Path, columns: Columns) -> Iterator[Row]:
    _check_encoding(file)
    with _readable(file), _long_fields(), file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        lines = csv.reader(text, delimiter=delimiter, strict=True)
        number = 0
        try:
            header = next(lines, [])
            check_columns(file, header, *columns)
            picked = itemgetter(*(header.index(name) if name else -1 for name in columns))
            for number, fields in enumerate(filter(None, lines), start=1):
                if len(fields) == len(header):
                    fields.append("")  # stands for the columns that are not wanted
                    yield number, *picked(fields)
                else:
                    yield number, Flaw(f"{len(fields)} fields under {len(header)} column names"), None, None
        except csv.Error as error:
            raise DataError(
                f"{file}, row {number + 1}, which ends in line {lines.line_num}: {error}; quote fields as spreadsheets "
                "do, and close every quote"
            ) from None


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _check_encoding(file: Path) -> None:
    with _readable(file), file.open("rb") as content:
        if content.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"{file} is UTF-16; save it as UTF-8")


def _objects(file: Path, columns: Columns) -> Iterator[Row]:
    """Rows of JSON lines. Texts and labels may be missing from some rows, but not from all; ids from none."""
    _check_encoding(file)
    names: dict[str | None, None] = {}
    for number, row in enumerate(map(_object, _lines(file)), start=1):
        if isinstance(row, Flaw):
            yield number, row, None, None
        else:
            if columns.id is not None and columns.id not in row:
                check_columns(f"{file}, row {number}", map(str, row), columns.id)
            if not names.keys() >= row.keys():
                names.update(dict.fromkeys(row))
            yield number, row.get(columns.text), row.get(columns.id), row.get(columns.label)
    check_columns(file, map(str, names), *columns)


def _lines(file: Path) -> Iterator[bytes]:
    with _readable(file), file.open("rb") as content:
        content.seek(3 * (content.read(3) == b"\xef\xbb\xbf"))
        while line := content.readline(MAX_FIELD):
            if len(line) == MAX_FIELD:
                raise DataError(f"{file} has a line of {MAX_FIELD:,} bytes or more; write one object a line")
            if not line.isspace():
                yield line


def _object(line: bytes) -> Mapping[str | None, object] | Flaw:
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError:
        return Flaw("not UTF-8; save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return Flaw(f"not JSON ({error})")
    return row if isinstance(row, dict) else Flaw("not an object")


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); check who may read it") from None


# Parquet -----------------------------------------------------------------------------------------------------------


def _parquet(file: Path, columns: Columns) -> Iterator[Row]:
    with open_parquet(file) as table:
        check_columns(file, table.schema_arrow.names, *columns)
        wanted = [name for name in columns if name]
        number = 0
        for batch in table.iter_batches(batch_size=_BATCH, columns=wanted):
            read = [_values(file, batch, name) for name in columns]
            for row in zip(*read, strict=True):
                number += 1
                yield number, *row


def _values(file: Path, batch: Any, name: str | None) -> list[object]:
    if name is None:
        return [None] * batch.num_rows
    return [_decoded(value) for value in plain(file, batch.column(name), name)]


def _decoded(value: object) -> object:
    """Text out of Parquet is bytes first: nobody checked that they are UTF-8."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Flaw("not UTF-8; write the text again")


_READERS: Mapping[str, Callable[[Path, Columns], Iterator[Row]]] = MappingProxyType(
    {
        ".csv": partial(_separated, ","),
        ".tsv": partial(_separated, "\t"),
        ".jsonl": _objects,
        ".ndjson": _objects,
        ".parquet": _parquet,
    }
)
