"""What was found in a source of items, and how its rows get their ids and labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from asktell.errors import DataError


@dataclass(frozen=True)
class Found:
    """The items of a source in columns, row-aligned, and what was left out.

    `values` say what the items are: the text, the image's path relative to its folder, or the number of the row among
    the features, from 1. `digests` are sha256 of the content. `labels` existed already; None where there was none.
    `left_out` says where, and why.

    >>> Found(["a", "b", "c"], ["owl", "wren", "owl"], ["01", "02", "01"], [None, None, None]).duplicates()
    [('c', 'a')]
    """

    ids: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        """How many items were found."""
        return len(self.ids)

    def duplicates(self) -> list[tuple[str, str]]:
        """(id, id of the first item with the same content) of every item that has the content of an earlier one."""
        first: dict[str, str] = {}
        pairs = ((id_, first.setdefault(digest, id_)) for id_, digest in zip(self.ids, self.digests, strict=True))
        return [(id_, earlier) for id_, earlier in pairs if id_ != earlier]

    def add(self, id_: str, value: str, digest: str, label: str | None) -> None:
        """One more item."""
        self.ids.append(id_)
        self.values.append(value)
        self.digests.append(digest)
        self.labels.append(label)


class RowIds:
    """The ids of a file's rows: those of a column, each once, or the file's name and the row's number from 1.

    >>> RowIds(Path("birds.csv"), None)(17, None)
    'birds-17'
    """

    def __init__(self, file: Path, column: str | None) -> None:
        self.file, self.column = file, column
        self._seen: set[str] = set()
        if not storable(file.stem):
            raise DataError(f"{file.name!r} is no Unicode name; rename the file")

    def __call__(self, row: int, given: object) -> str:
        """The id of a row, `given` in the column. Raises `DataError` for an empty one and one that came before."""
        if self.column is None:
            return f"{self.file.stem}-{row}"
        found = given if isinstance(given, str) else _text(given)
        if not found or not storable(found):
            raise DataError(
                f"{self.file}, row {row}: {self.column!r} holds {given!r}, which is no id; give every row text or a "
                "whole number there, or leave the id column out"
            )
        if found in self._seen:
            raise DataError(
                f"{self.file}, row {row}: id {found!r} comes twice; ids in {self.column!r} must differ, or leave the "
                "id column out"
            )
        self._seen.add(found)
        return found


def row_label(file: Path, row: int, given: object) -> str | None:
    """A label as it stands in a file; None for an empty field. Raises `DataError` for what cannot name a class."""
    if given is None or given == "":
        return None
    found = _text(given)
    if found is None or not storable(found):
        raise DataError(f"{file}, row {row}: {given!r} cannot name a class; labels are text or whole numbers")
    return found


def check_columns(file: Path | str, there: Iterable[str], *wanted: str | None) -> None:
    """Raise `DataError` unless each wanted column is there once; None is not wanted."""
    names = list(there)
    for name in wanted:
        if name is not None and names.count(name) != 1:
            what = "twice" if name in names else "nowhere"
            raise DataError(f"{file}: column {name!r} is {what} among {', '.join(map(repr, names)) or 'no columns'}")


def storable(text: str) -> bool:
    """Whether a database and a text file can hold it: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(given: object) -> str | None:
    """Text as it is, whole numbers in decimal, truth as JSON has it."""
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given) if isinstance(given, (str, int)) else None
