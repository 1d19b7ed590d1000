"""Files that leave the project: right, and harmless in a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.project import Project
from asktell.web.catalogue import Catalogue
from asktell.web.export import Kind, What, export, safe

Make = Callable[..., Path]
DANGER = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "=cmd|' /C c'!A0", "-x", "+"],
)
def test_formulas_become_text(cell: str) -> None:
    assert safe(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["owl", "1", "-1", "+1.5", "-2e-7", "a=b", "", "'quoted", "5 - 3", "é"])
def test_what_is_none_stays_as_it_is(cell: str) -> None:
    assert safe(cell) == cell


@given(st.text(max_size=20))
def test_nothing_that_is_written_starts_a_formula(cell: str) -> None:
    written = safe(cell)
    assert written.removeprefix("'") == cell.removeprefix("'") or written == "'" + cell
    try:
        float(written)
    except ValueError:
        assert written.lstrip()[:1] not in set(DANGER)
        assert written[:1] not in set(DANGER)


def test_a_table_reads_back_as_it_was(make: Make) -> None:
    names = ['a "quoted", one', "two\nlines", "=SUM(A1)", "ünï", "-3"]
    with Project.create(make().parent / "odd", names, classes=["x,y", "=z"]) as project:
        project.tell(names, ["x,y", "=z", "x,y", "=z", "x,y"], "ann")
        catalogue = Catalogue(project.path)
        text = "".join(export(project, catalogue, What.LABELS, Kind.CSV))
        lines = "".join(export(project, catalogue, What.LABELS, Kind.JSONL))
        catalogue.close()
        labels = project.labels
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["id", "label"]
    assert [tuple(row) for row in rows[1:]] == [(safe(id_), safe(label)) for id_, label in labels.items()]
    assert [json.loads(line) for line in lines.splitlines()] == [
        {"id": id_, "label": label} for id_, label in labels.items()
    ]


def test_large_exports_come_in_pieces_and_are_whole(make: Make) -> None:
    with Project.open(make(n=1200)) as project:
        ids = project.ids
        project.tell(ids, ["owl"] * 1200, "ann")
        catalogue = Catalogue(project.path)
        pieces = list(export(project, catalogue, What.ANNOTATIONS, Kind.CSV))
        catalogue.close()
    assert len(pieces) > 2
    assert len("".join(pieces).splitlines()) == 1201
