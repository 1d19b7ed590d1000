"""Files that leave the project: right, and harmless in a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.spreadsheets import safe_cell
from asktell.web.export import Kind, What, export

Make = Callable[..., Path]


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
    assert [tuple(row) for row in rows[1:]] == [(safe_cell(id_), safe_cell(label)) for id_, label in labels.items()]
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
