"""Ids, answers and labels as text files. Standard library only; tables of other kinds are read by the command line."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from asktell.errors import ProjectError, UnknownClassError, UnknownItemError
from asktell.project.store import Project
from asktell.types import SKIP, Skip
from asktell.writing import write_whole

STDIN = Path("-")


class Format(StrEnum):
    """How a text file holds its rows: a table with a header, one JSON object a line, or one value a line."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    TEXT = "text"


_ENDINGS = {".csv": Format.CSV, ".tsv": Format.TSV, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL}
_DELIMITERS = {Format.CSV: ",", Format.TSV: "\t"}


@dataclass(frozen=True)
class Answer:
    """One answer as it stood in a file; lines count from 1."""

    line: int
    id: str
    label: str | Skip


def format_of(path: Path, otherwise: Format) -> Format:
    """The format that a file's ending stands for.

    >>> format_of(Path("answers.tsv"), Format.CSV).value
    'tsv'
    """
    return _ENDINGS.get(path.suffix.lower(), otherwise)


def read_text(path: Path) -> str:
    """All of a UTF-8 file, or of standard input for `-`. Raises `ProjectError` if it cannot be read."""
    try:
        if path == STDIN:
            return sys.stdin.read()
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise ProjectError(f"{path} cannot be read ({error.strerror}); check the name and who may read it") from None
    except UnicodeDecodeError as error:
        raise ProjectError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def read_ids(path: Path, *, column: str | None = None) -> list[str]:
    """Ids from a text file: one a line, empty lines left out; or one column of a .csv, .tsv or .jsonl table.

    `column` is called id unless given. Raises `ProjectError` if the file cannot be read or has no such column.
    """
    how = format_of(path, Format.TEXT)
    if how is not Format.TEXT:
        return [_text(row, column or "id", f"{path}, line {line}") for line, row in _rows(path, how, [column or "id"])]
    if column is not None:
        raise ProjectError(
            f"{path} is read as one id a line and has no column {column!r}; name it .csv, .tsv or .jsonl"
        )
    return [line for line in read_lines(path) if line]


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, whatever system wrote them."""
    return [line.removesuffix("\r") for line in read_text(path).split("\n")]


def read_answers(path: Path, how: Format, *, skip_label: str | None = None) -> list[Answer]:
    """Answers from a table or JSON lines with `id` and `label`; other columns are left alone.

    The label `skip_label`, and null in JSON, mean SKIP. Raises `ProjectError`, naming the line, for one that is
    malformed, without a label, or about an item that had one before.
    """
    answers: dict[str, Answer] = {}
    for line, row in _rows(path, how, ["id", "label"]):
        where = f"{path}, line {line}"
        id_ = _text(row, "id", where)
        if id_ in answers:
            raise ProjectError(
                f"{where}: item {id_!r} was answered in line {answers[id_].line} already; keep one of them"
            )
        answers[id_] = Answer(line, id_, _label(row, skip_label, where))
    return list(answers.values())


def tell(project: Project, path: Path, answers: Sequence[Answer], annotator: str) -> None:
    """All answers of a file or none; what `Project.tell` does not know is named with its line."""
    try:
        project.tell([answer.id for answer in answers], [answer.label for answer in answers], annotator)
    except UnknownClassError as error:
        known = {*project.classes, SKIP}
        line = next(answer.line for answer in answers if answer.label not in known)
        raise UnknownClassError(f"{path}, line {line}: {error}") from None
    except UnknownItemError as error:
        raise UnknownItemError(f"{path}, line {_first_unknown(project, answers).line}: {error}") from None


def write_labels(labels: Mapping[str, str], how: Format) -> str:
    """Labels as the text of a table with the header id, label; as JSON lines; or as id, tab, label a line.

    >>> write_labels({"a": "owl"}, Format.JSONL)
    '{"id": "a", "label": "owl"}\\n'
    """
    if how is Format.JSONL:
        return "".join(_json({"id": id_, "label": label}) + "\n" for id_, label in labels.items())
    if how is Format.TEXT:
        return "".join(f"{id_}\t{label}\n" for id_, label in labels.items())
    written = io.StringIO()
    rows = [("id", "label"), *labels.items()]
    # The csv module leaves a lone carriage return bare, and then takes it for the end of the row.
    bare = any("\r" in field for row in rows for field in row)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    csv.writer(written, delimiter=_DELIMITERS[how], lineterminator="\n", quoting=quoting).writerows(rows)
    return written.getvalue()


def write_text(path: Path, text: str) -> None:
    """All of a file in one step: whoever reads it sees the old text or the new. Raises `ProjectError`."""
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ProjectError(f"{path} cannot be written ({error.strerror}); choose another place") from None


def _rows(path: Path, how: Format, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    """(line, row) of a table or of JSON lines, each with at least these columns."""
    text = read_text(path)
    return _objects(path, text, columns) if how is Format.JSONL else _table(path, text, _DELIMITERS[how], columns)


def _table(path: Path, text: str, delimiter: str, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        _check_columns(header, columns, f"{path}, line 1")
        for row in rows:
            if row and len(row) != len(header):
                raise ProjectError(f"{path}, line {rows.line_num}: {len(row)} fields under {len(header)} column names")
            if row:
                yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ProjectError(f"{path}, line {rows.line_num}: {error}; quote fields as spreadsheets do") from None


def _objects(path: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = _object(line, f"{path}, line {number}")
            _check_columns(row, columns, f"{path}, line {number}")
            yield number, row


def _object(line: str, where: str) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProjectError(f"{where}: not JSON ({error}); write one object a line") from None
    if not isinstance(row, dict):
        raise ProjectError(f"{where}: not an object; write one like {{" + '"id": "a", "label": "owl"}')
    return row


def _check_columns(found: Iterable[str], columns: Sequence[str], where: str) -> None:
    names = list(found)
    for column in columns:
        if names.count(column) != 1:
            what = "twice" if column in names else "nowhere"
            there = ", ".join(map(repr, names[:8])) or "nothing"
            raise ProjectError(f"{where}: column {column!r} is {what} among the names there ({there}); name it once")


def _text(row: Mapping[str, object], column: str, where: str) -> str:
    value = row[column]
    if not isinstance(value, str) or not value:
        raise ProjectError(f"{where}: {column} must be text and not empty, not {value!r}")
    return value


def _label(row: Mapping[str, object], skip_label: str | None, where: str) -> str | Skip:
    if row["label"] is None or (skip_label is not None and row["label"] == skip_label):
        return SKIP
    if row["label"] == "":
        raise ProjectError(f"{where}: no label; give one, leave the line out, or say with --skip-label what means SKIP")
    return _text(row, "label", where)


def _first_unknown(project: Project, answers: Sequence[Answer]) -> Answer:
    snapshot = project.candidates()
    known = {*snapshot.ids, *snapshot.labelled_ids, *snapshot.pending_ids, *project.skipped}
    return next(answer for answer in answers if answer.id not in known and not _is_item(project, answer.id))


def _is_item(project: Project, id_: str) -> bool:
    try:
        project.annotations(id_)
    except UnknownItemError:
        return False
    return True


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False)
