"""What leaves a project as files: labels with answers, predictions and reasons; and the model itself."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Final

from asktell.engine import files, models
from asktell.engine.listing import Prediction, Row, rows
from asktell.engine.predictions import arrow
from asktell.errors import ProjectError
from asktell.project import Project
from asktell.spreadsheets import safe_cell
from asktell.writing import write_whole

FORMATS: Final = (".csv", ".jsonl", ".parquet")
FORMAT: Final = "asktell-model-1"
_BLOCK: Final = 5000
_COLUMNS: Final = (
    "id", "label", "state", "part", "answered", "annotators", "answers", "asked", "strategy", "query", "rank", "score",
    "probability", "model", "predicted", "entropy", "bald",
)  # fmt: skip
_WHOLE: Final = ("answers", "query", "rank")
_REAL: Final = ("score", "probability", "entropy", "bald")


def export(project: Project, path: Path, *, labelled_only: bool = False) -> int:
    """Write the items to a .csv, .jsonl or .parquet file, whole or not at all; gives how many there were.

    Tables have one column per class, "p:CLASS". Raises `ProjectError` for another ending, or where that fails.
    """
    if path.suffix.lower() not in FORMATS:
        raise ProjectError(f"{path} ends in {path.suffix or 'nothing'}; name it .csv, .jsonl or .parquet")
    counted = _Counted(rows(project, labelled_only=labelled_only))
    try:
        write_whole(path, _content(path.suffix.lower(), counted, project.classes))
    except OSError as error:
        raise ProjectError(f"{path} cannot be written ({error.strerror}); nothing was changed") from None
    return counted.count


def as_csv(listed: Iterable[Row], classes: Sequence[str]) -> Iterator[str]:
    """Pieces of a table that no spreadsheet runs: text that looks like a formula gets a quote before it."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in _header(classes)])
    for number, row in enumerate(listed, start=1):
        writer.writerow([safe_cell(cell) for cell in _cells(row, classes).values()])
        if number % _BLOCK == 0:
            yield _emptied(written)
    yield _emptied(written)


def as_jsonl(listed: Iterable[Row]) -> Iterator[str]:
    """One JSON object a line, with nested answers and reasons."""
    for row in listed:
        yield json.dumps(_document(row), ensure_ascii=False) + "\n"


def export_model(project: Project, folder: Path) -> Path:
    """Write the newest model into `folder`, as model.safetensors and model.json; gives the path of the latter.

    The JSON says all it takes to use the weights: classes in order, the network layer by layer, and where its inputs
    come from; the fitted tables of a TF-IDF embedder lie beside it. Raises `ProjectError` if there is no model with
    weights, or where the folder cannot be written.
    """
    training = next((one for one in reversed(project.trainings) if one.error is None), None)
    card = None if training is None else models.read_card(project.folder, str(training.model))
    if training is None or card is None:
        raise ProjectError(f"{project.folder} has no model with weights yet; run asktell worker, and answer questions")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, name in _files_of(project.folder, card):
            write_whole(folder / name, source.read_bytes())
        write_whole(folder / "model.json", json.dumps(_model_card(card, training.report), indent=2).encode())
    except OSError as error:
        raise ProjectError(f"the model cannot be written to {folder} ({error.strerror})") from None
    return folder / "model.json"


def _files_of(folder: Path, card: Mapping[str, object]) -> Iterator[tuple[Path, str]]:
    yield models.weights_file(folder, str(card["model"])), "model.safetensors"
    if str(card["embedder"]).startswith("tfidf"):
        for name in ("tfidf.safetensors", "tfidf.json"):
            yield folder / files.EMBEDDINGS / name, name


def _model_card(card: Mapping[str, object], report: Mapping[str, object]) -> dict[str, object]:
    """Without what it learnt from: that is exported as labels."""
    labels = card["labels"]
    told = {name: card[name] for name in ("model", "created", "classes", "learner", "embedder", "network")}
    measured = {name: report[name] for name in ("held_out", "audit") if name in report}
    return {
        "format": FORMAT,
        "asktell": version("asktell"),
        **told,
        "n_labelled": len(labels) if isinstance(labels, Mapping) else None,
        "accuracy": measured,
    }


# rows as files -------------------------------------------------------------------------------------------------------


class _Counted:
    """Rows, and how many went by."""

    def __init__(self, listed: Iterator[Row]) -> None:
        self._listed, self.count = listed, 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._listed:
            self.count += 1
            yield row


def _content(ending: str, listed: Iterable[Row], classes: Sequence[str]) -> bytes:
    if ending == ".parquet":
        return _as_parquet(listed, classes)
    return "".join(as_csv(listed, classes) if ending == ".csv" else as_jsonl(listed)).encode()


def _header(classes: Sequence[str]) -> list[str]:
    return [*_COLUMNS, *(f"p:{name}" for name in classes)]


def _cells(row: Row, classes: Sequence[str]) -> dict[str, object]:
    """A row as cells, in the order of the header."""
    standing = [answer for answer in row.answers if answer.stands]
    asked, predicted = row.asked, row.prediction
    told: dict[str, object] = {
        "id": row.id,
        "label": row.label,
        "state": row.state,
        "part": row.part,
        "answered": standing[-1].created if standing else None,
        "annotators": "; ".join(dict.fromkeys(answer.annotator for answer in standing)) or None,
        "answers": len(row.answers),
        **dict.fromkeys(("asked", "strategy", "query", "rank", "score", "probability", "model")),
        **dict.fromkeys(("predicted", "entropy", "bald")),
    }
    if asked is not None:
        told |= {name: value for name, value in asdict(asked).items() if name in told}
        told |= {"asked": asked.created, "strategy": spoken(asked.strategy)}
    if predicted is not None:
        told |= {"predicted": predicted.label, "entropy": predicted.entropy, "bald": predicted.bald}
    shares = {} if predicted is None else predicted.probabilities
    return {**told, **{f"p:{name}": shares.get(name) for name in classes}}


def _document(row: Row) -> dict[str, object]:
    told = asdict(row)
    told["prediction"] = _predicted(row.prediction)
    return told


def _predicted(prediction: Prediction | None) -> dict[str, object] | None:
    return None if prediction is None else {"label": prediction.label, **asdict(prediction)}


def spoken(strategy: Mapping[str, object]) -> str:
    """A strategy in one word.

    >>> spoken({"name": "power", "parameters": {"beta": 1.0}, "inner": {"name": "bald"}})
    'power-bald'
    """
    inner = strategy.get("inner")
    return f"{strategy['name']}-{spoken(inner)}" if isinstance(inner, Mapping) else str(strategy["name"])


def _as_parquet(listed: Iterable[Row], classes: Sequence[str]) -> bytes:
    pa = arrow("pyarrow")
    kinds = {**dict.fromkeys(_WHOLE, pa.int64()), **dict.fromkeys(_REAL, pa.float64())}
    columns = [(name, kinds.get(name, pa.string())) for name in _COLUMNS]
    schema = pa.schema([*columns, *((f"p:{name}", pa.float64()) for name in classes)])
    buffer, left = pa.BufferOutputStream(), iter(listed)
    with arrow("pyarrow.parquet").ParquetWriter(buffer, schema) as writer:
        while block := [_cells(row, classes) for row in islice(left, 10 * _BLOCK)]:
            writer.write_table(pa.Table.from_pylist(block, schema=schema))
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _emptied(written: io.StringIO) -> str:
    text = written.getvalue()
    written.seek(0)
    written.truncate()
    return text
