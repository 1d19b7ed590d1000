"""What leaves the project as files: labels and answers, as tables that no spreadsheet runs, or as JSON lines."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.spreadsheets import safe_cell

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
        writer.writerow([safe_cell(str(cell).lower() if isinstance(cell, bool) else cell) for cell in row])
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
