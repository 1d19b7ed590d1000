"""Features that were computed elsewhere: rows of a .npy array or of a .parquet table."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asktell.errors import ContentError, DataError
from asktell.pools.found import Found, RowIds, check_columns, row_label
from asktell.pools.parquet import open_parquet, plain

if TYPE_CHECKING:
    import numpy as np

    from asktell.pools.protocols import Embeddings

_BLOCK = 8192


def read_features(
    file: Path | str,
    *,
    id: str | None = None,  # noqa: A002
    label: str | None = None,
) -> Found:
    """The rows of a .npy array [n, d], or of a .parquet table with numeric columns or one column of lists, in order.

    The value of an item is the number of its row, from 1; its digest is that of the row in float32. Ids come from
    column `id`, else they are "STEM-ROW". Rows that are not all finite numbers are left out.

    Raises `DataError` for a file that cannot be read, or holds anything else; for a column that is not there once; and
    for ids that are empty or come twice.
    """
    file = Path(file)
    features, ids, found = feature_file(file, id=id, label=label), RowIds(file, id), Found()
    given, known = features.column(id), features.column(label)
    number = 0
    for block in features.blocks():
        usable = _finite(block)
        for place in range(len(block)):
            number += 1
            here, its_label = next(given), next(known)
            if usable[place]:
                digest = hashlib.sha256(block[place].tobytes()).hexdigest()
                found.add(ids(number, here), str(number), digest, row_label(file, number, its_label))
            else:
                found.left_out.append((f"row {number}", _NOT_FINITE.format(features.width)))
    return found


class Features:
    """Rows of a file as embeddings; a value is the number of a row, from 1.

    `id` and `label` name columns of a table that are no features. Raises `DataError` like `read_features`.
    """

    def __init__(
        self,
        file: Path | str,
        *,
        id: str | None = None,  # noqa: A002
        label: str | None = None,
    ) -> None:
        self._file = feature_file(Path(file), id=id, label=label)
        stat = self._file.path.stat()
        self._version = (stat.st_size, stat.st_mtime_ns)
        self.width = self._file.width

    @property
    def name(self) -> str:
        """Another for another file, and for the same file written again."""
        known = repr((*self._version, self._file.left)).encode()
        return f"features-{hashlib.sha256(known).hexdigest()[:8]}"

    def embed(self, values: Sequence[str], /) -> "Embeddings":
        """The rows with these numbers, in float32."""
        import numpy as np

        self._check_unchanged()
        numbers = [self._number(value) for value in values]
        order = sorted(range(len(numbers)), key=numbers.__getitem__)
        found = np.empty((len(numbers), self.width), np.float32)
        found[order] = self._file.take([numbers[place] for place in order])
        for value, usable in zip(values, _finite(found), strict=True):
            if not usable:
                raise ContentError(f"row {value}", _NOT_FINITE.format(self.width))
        return found

    def _number(self, value: str) -> int:
        if not (value.isascii() and value.isdigit() and 1 <= int(value) <= self._file.n):
            raise ContentError(f"row {value}", f"not among the {self._file.n:,} rows of {self._file.path}")
        return int(value)

    def _check_unchanged(self) -> None:
        try:
            stat = self._file.path.stat()
        except OSError:
            raise DataError(f"{self._file.path} is gone; put it back") from None
        if (stat.st_size, stat.st_mtime_ns) != self._version:
            raise DataError(f"{self._file.path} changed while it was read; start again")


# files -------------------------------------------------------------------------------------------------------------


class NpyFeatures:
    """The rows of an array [n, d] of real numbers in a .npy file, mapped."""

    left: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        import numpy as np

        self.path = path
        try:
            self._array = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path} is no readable .npy of numbers ({reason}); write it with numpy.save") from None
        if self._array.ndim != 2 or self._array.dtype.kind not in "fiub":
            raise DataError(
                f"{path} holds {self._array.dtype} of shape {list(self._array.shape)}; features are real numbers of "
                "shape [items, numbers]"
            )
        self.n, self.width = self._array.shape

    def blocks(self) -> Iterator["Embeddings"]:
        """All rows in float32, some thousand at a time."""
        return (_single(self._array[start : start + _BLOCK]) for start in range(0, self.n, _BLOCK))

    def take(self, numbers: Sequence[int]) -> "Embeddings":
        """The rows with these numbers, from 1, ascending."""
        return _single(self._array[[number - 1 for number in numbers]])

    def column(self, name: str | None) -> Iterator[object]:
        """An array has no columns by name."""
        return iter([None] * self.n)


class ParquetFeatures:
    """The rows of a table: its numeric columns side by side, or its one column of lists; `left` are neither."""

    def __init__(self, path: Path, left: tuple[str, ...]) -> None:
        self.path, self.left = path, left
        with open_parquet(path) as table:
            schema = table.schema_arrow
            check_columns(path, schema.names, *{*schema.names, *left})
            self.n = table.metadata.num_rows
        self._names, self._lists = _feature_columns(path, schema, left)
        self.width = len(self._names) if not self._lists else self._list_width(schema.field(self._names[0]).type)
        self._rest: Iterator[np.ndarray] = iter(())
        self._block: np.ndarray | None = None  # the one that was read last, and how many rows lie before it
        self._first = 0

    def blocks(self) -> Iterator["Embeddings"]:
        """All rows in float32, some thousand at a time; empty fields are NaN, and so are lists of another length."""
        import numpy as np

        for batch in self._batches(self._names):
            if self._lists:
                yield _from_lists(batch.column(0), self.width)
            else:
                yield np.stack([_from_numbers(column) for column in batch.columns], axis=1)

    def take(self, numbers: Sequence[int]) -> "Embeddings":
        """The rows with these numbers, from 1, ascending. Cheap when they follow those taken before."""
        import numpy as np

        return np.stack([self._row(number) for number in numbers]) if numbers else np.empty((0, self.width), np.float32)

    def column(self, name: str | None) -> Iterator[object]:
        """What stands in a column that is no feature."""
        if name is None:
            return iter([None] * self.n)
        return (
            value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
            for batch in self._batches([name])
            for value in plain(self.path, batch.column(0), name)
        )

    def _row(self, number: int) -> "np.ndarray":
        if self._block is None or number <= self._first:
            self._rest, self._first = self.blocks(), 0
            self._block = next(self._rest)
        while number > self._first + len(self._block):
            self._first += len(self._block)
            self._block = next(self._rest)
        row: np.ndarray = self._block[number - self._first - 1]
        return row

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        with open_parquet(self.path) as table:
            yield from table.iter_batches(batch_size=_BLOCK, columns=list(names))

    def _list_width(self, kind: Any) -> int:
        """Of fixed lists, else of the first row that has one."""
        if hasattr(kind, "list_size"):
            return int(kind.list_size)
        for batch in self._batches(self._names):
            lengths = batch.column(0).value_lengths().drop_null()
            if len(lengths):
                return int(lengths[0].as_py())
        return 0


def feature_file(path: Path, *, id: str | None, label: str | None) -> NpyFeatures | ParquetFeatures:  # noqa: A002
    """The rows in a file, by its ending. Raises `DataError` where there are none."""
    left = tuple(name for name in (id, label) if name is not None)
    if not path.is_file():
        raise DataError(f"there is no file {path}; check the name")
    if path.suffix.lower() == ".npy":
        if left:
            raise DataError(f"{path} has no columns, so no {left[0]!r}; a .parquet table has")
        file: NpyFeatures | ParquetFeatures = NpyFeatures(path)
    elif path.suffix.lower() == ".parquet":
        file = ParquetFeatures(path, left)
    else:
        raise DataError(f"{path} holds no features that can be read; its name must end in .npy or .parquet")
    if not file.n or not file.width:
        raise DataError(f"{path} has {file.n} rows of {file.width} numbers; features need at least one of each")
    return file


def _feature_columns(path: Path, schema: Any, left: tuple[str, ...]) -> tuple[list[str], bool]:
    """The names of the columns that are features, and whether it is one column of lists."""
    pa = import_module("pyarrow")
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    nested = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    kinds = {field.name: field.type for field in schema if field.name not in left}
    if kinds and all(any(test(kind) for test in numeric) for kind in kinds.values()):
        return list(kinds), False
    lists = [name for name, kind in kinds.items() if any(test(kind) for test in nested)]
    if len(kinds) == len(lists) == 1 and any(test(kinds[lists[0]].value_type) for test in numeric):
        return lists, True
    there = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "no columns"
    raise DataError(
        f"{path} has {there} besides ids and labels; features are numeric columns, or one column of lists of numbers: "
        "write a table that has only those"
    )


def _from_numbers(column: Any) -> "np.ndarray":
    pa = import_module("pyarrow")
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    with _quiet():
        found: np.ndarray = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False)
    return found


def _from_lists(column: Any, width: int) -> "np.ndarray":
    import numpy as np

    pc = import_module("pyarrow.compute")
    good = pc.equal(pc.list_value_length(column), width).fill_null(False)
    found = np.full((len(column), width), np.nan, np.float32)
    found[good.to_numpy(zero_copy_only=False)] = _from_numbers(column.filter(good).flatten()).reshape(-1, width)
    return found


def _single(rows: "np.ndarray") -> "Embeddings":
    import numpy as np

    with _quiet():
        return np.ascontiguousarray(rows, np.float32)


def _finite(rows: "np.ndarray") -> "np.ndarray":
    import numpy as np

    found: np.ndarray = np.isfinite(rows).all(1)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """What is too large for float32 becomes infinite, and is then named with its row."""
    import numpy as np

    with np.errstate(over="ignore", invalid="ignore"):
        yield


_NOT_FINITE = "is not {} finite numbers in float32"
