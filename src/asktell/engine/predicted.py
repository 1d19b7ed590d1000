"""Predictions of new data as a file."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from asktell.engine.export import FORMATS
from asktell.engine.predict import Predicted, predict
from asktell.engine.predictions import arrow
from asktell.errors import ProjectError
from asktell.pools.founding import Origin
from asktell.project import Project
from asktell.spreadsheets import safe_cell
from asktell.writing import write_whole


def predict_file(project: Project, origin: Origin, path: Path) -> tuple[int, int]:
    """Write what the newest model says of all items of `origin` to a .csv, .jsonl or .parquet file.

    Gives how many have a prediction, and how many were left out; these have a reason instead. Raises `ProjectError` for
    another ending, without a model, for data of another kind, or where the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ProjectError(f"{path} ends in {path.suffix or 'nothing'}; name it .csv, .jsonl or .parquet")
    found = list(predict(project, origin))
    try:
        write_whole(path, _content(path.suffix.lower(), [_cells(item) for item in found]))
    except OSError as error:
        raise ProjectError(f"{path} cannot be written ({error.strerror}); nothing was changed") from None
    left_out = sum(item.prediction is None for item in found)
    return len(found) - left_out, left_out


def _cells(item: Predicted) -> dict[str, object]:
    """One item as the cells of a table, one for each class."""
    said = item.prediction
    if said is None:
        return {"id": item.id, "label": None, "entropy": None, "bald": None, "reason": item.reason}
    shares = {f"p:{name}": share for name, share in said.probabilities.items()}
    return {"id": item.id, "label": said.label, "entropy": said.entropy, "bald": said.bald, "reason": None, **shares}


def _content(ending: str, rows: Sequence[dict[str, object]]) -> bytes:
    if ending == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    whole = [{name: row.get(name) for name in columns} for row in rows]
    return _as_parquet(whole) if ending == ".parquet" else _as_csv(columns, whole)


def _as_csv(columns: Sequence[str], rows: Sequence[dict[str, object]]) -> bytes:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow([safe_cell(name) for name in columns])
    table.writerows([safe_cell(cell) for cell in row.values()] for row in rows)
    return written.getvalue().encode()


def _as_parquet(rows: list[dict[str, object]]) -> bytes:
    table, buffer = arrow("pyarrow").Table.from_pylist(rows), arrow("pyarrow").BufferOutputStream()
    arrow("pyarrow.parquet").write_table(table, buffer)
    content: bytes = buffer.getvalue().to_pybytes()
    return content
