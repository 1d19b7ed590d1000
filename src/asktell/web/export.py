"""What leaves the project as files: labels and answers, as tables that no spreadsheet runs, or as JSON lines."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from asktell.project import Project
from asktell.web.catalogue import Catalogue

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_STARTS = "=+-@\t\r\n＝＋－＠"
_BLOCK = 500


class What(StrEnum):
    """What may be exported here; models and predictions are exported by the command line."""

    LABELS = "labels"
    ANNOTATIONS = "annotations"


class Kind(StrEnum):
    """How a file holds it."""

    CSV = "csv"
    JSONL = "jsonl"


MIME = {Kind.CSV: "text/csv; charset=utf-8", Kind.JSONL: "application/jsonl; charset=utf-8"}
_COLUMNS: dict[What, tuple[str, ...]] = {
    What.LABELS: ("id", "label"),
    What.ANNOTATIONS: ("number", "id", "annotator", "label", "query", "created", "stands"),
}


def safe(cell: object) -> str:
    """A cell that spreadsheets take for text: a quote before what they would take for a formula. Numbers stay.

    >>> safe("=1+1"), safe("-4.5"), safe("owl"), safe(None)
    ("'=1+1", '-4.5', 'owl', '')
    """
    text = "" if cell is None else str(cell)
    if text and (text[0] in _STARTS or text.lstrip()[:1] in _STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def export(project: Project, catalogue: Catalogue, what: What, kind: Kind) -> Iterator[str]:
    """The pieces of a file. In JSON lines, a skip has the label null."""
    rows = _labels(project) if what is What.LABELS else _annotations(catalogue)
    return _table(_COLUMNS[what], rows) if kind is Kind.CSV else _lines(_COLUMNS[what], rows)


def _labels(project: Project) -> Iterator[Sequence[object]]:
    yield from project.labels.items()


def _annotations(catalogue: Catalogue) -> Iterator[Sequence[object]]:
    for told in catalogue.told():
        yield told.number, told.item, told.annotator, told.label, told.query, told.created, told.stands


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """All fields quoted, so that none is taken for anything but text."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([safe(str(cell).lower() if isinstance(cell, bool) else cell) for cell in row])
        if number % _BLOCK == 0:
            yield _emptied(written)
    yield _emptied(written)


def _lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n"


def _emptied(written: io.StringIO) -> str:
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text
