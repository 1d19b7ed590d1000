"""What the newest model predicts for every item, as a file for others to read."""

import json
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from asktell.engine import files
from asktell.engine.models import Model
from asktell.errors import ProjectError
from asktell.posteriors import Draws
from asktell.rows import Rows, TensorRows
from asktell.scores import uncertainty
from asktell.writing import write_whole

TILE: Final = 4096
SHOWN: Final = 12
"""Items at either end of the summary."""


@dataclass(frozen=True)
class Predictions:
    """Row-aligned: ids, mean probabilities of the draws float32 [n, c], their entropy and BALD in nats, float32 [n]."""

    model: str
    classes: tuple[str, ...]
    ids: Sequence[str]
    probabilities: np.ndarray
    entropy: np.ndarray
    bald: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def predicted(self) -> np.ndarray:
        """The likeliest class of each item, by number."""
        found: np.ndarray = self.probabilities.argmax(1)
        return found

    def rows_of(self, ids: Collection[str]) -> dict[str, int]:
        """Id to row, for those of `ids` that have a prediction."""
        wanted = set(ids)
        return {id_: row for row, id_ in enumerate(self.ids) if id_ in wanted}


class Predicting:
    """What a model says of all rows, the mean of k draws, under way: in tiles, as many as there is time for."""

    def __init__(self, model: Model, ids: Sequence[str], rows: Rows, k: int, generator: torch.Generator) -> None:
        n, c = len(rows), len(model.classes)
        entropy, bald = np.empty(n, np.float32), np.empty(n, np.float32)
        self.found = Predictions(model.id, model.classes, ids, np.empty((n, c), np.float32), entropy, bald)
        self.done = 0
        self._rows, self._draws = rows, drawn(model, k, generator)

    def advance(self, seconds: float = math.inf) -> bool:
        """Go on for about so long, by one tile at least; whether all is done."""
        over = time.monotonic() + seconds
        while self.done < len(self.found):
            self._tile()
            if time.monotonic() >= over:
                break
        return self.done == len(self.found)

    def _tile(self) -> None:
        p, entropy, bald = judged(self._draws.log_probs(TensorRows(self._rows[self.done : self.done + TILE])))
        part = slice(self.done, self.done + len(p))
        self.found.probabilities[part], self.found.entropy[part], self.found.bald[part] = p, entropy, bald
        self.done = part.stop


def drawn(model: Model, k: int, generator: torch.Generator) -> Draws:
    """k functions of the model, or all that it has."""
    distinct = model.posterior.distinct
    return model.posterior.draw(k if distinct is None else min(k, distinct), generator=generator)


def judged(log_probs: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probabilities, entropy and BALD of draws [n, k, c]; BALD of a single draw is 0."""
    p = log_probs.double().exp().mean(1)
    if log_probs.shape[1] == 1:
        entropy, bald = torch.special.entr(p).sum(1), p.new_zeros(len(p))
    else:
        entropy, _, bald = uncertainty(log_probs)
    return p.float().numpy(), entropy.float().numpy(), bald.float().numpy()


def arrow(module: str) -> Any:
    """A module of pyarrow; raises `ProjectError` if that is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ProjectError("this needs pyarrow, which is not installed: pip install 'asktell[parquet]'") from None


def write(folder: Path, predictions: Predictions, created: str) -> None:
    """predictions.parquet and, after it, predictions.json, which says whose predictions they are."""
    write_whole(folder / files.PREDICTIONS, as_parquet(predictions, created))
    about = {"model": predictions.model, "created": created, "classes": predictions.classes, "n": len(predictions)}
    write_whole(folder / files.PREDICTED, json.dumps(about, ensure_ascii=False).encode())


def as_parquet(predictions: Predictions, created: str) -> bytes:
    """A parquet file, written in tiles; its metadata says model, classes and time."""
    about = {
        b"model": predictions.model.encode(),
        b"classes": json.dumps(predictions.classes, ensure_ascii=False).encode(),
        b"created": created.encode(),
    }
    pa = arrow("pyarrow")
    number = pa.float32()
    columns = [("id", pa.string()), ("probabilities", pa.list_(number)), ("entropy", number), ("bald", number)]
    schema = pa.schema(columns, metadata=about)
    buffer = pa.BufferOutputStream()
    with arrow("pyarrow.parquet").ParquetWriter(buffer, schema) as writer:
        for batch in _batches(predictions, schema):
            writer.write_batch(batch)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def read(folder: Path) -> Predictions | None:
    """The predictions on disk; None if there are none. Raises `ProjectError` if the file is damaged."""
    path = folder / files.PREDICTIONS
    if not path.exists():
        return None
    try:
        table = arrow("pyarrow.parquet").read_table(path)
        about = table.schema.metadata
        classes = tuple(json.loads(about[b"classes"]))
        flat = table.column("probabilities").combine_chunks().flatten().to_numpy()
        entropy, bald = (table.column(name).to_numpy() for name in ("entropy", "bald"))
        ids = table.column("id").to_pylist()
        return Predictions(about[b"model"].decode(), classes, ids, flat.reshape(-1, len(classes)), entropy, bald)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{path} cannot be read ({error}); delete it, the worker writes a new one") from error


def write_summary(
    folder: Path, predictions: Predictions, unlabelled: Collection[str], n_labelled: int, created: str
) -> None:
    """predictions-summary.json: what the model is most and least unsure about, among the ids `unlabelled`."""
    rows = np.fromiter(predictions.rows_of(unlabelled).values(), np.int64)
    order = rows[np.argsort(-predictions.entropy[rows], kind="stable")]
    summary = {
        "model": predictions.model,
        "created": created,
        "classes": predictions.classes,
        "n_labelled": n_labelled,
        "most": [_line(predictions, row) for row in order[:SHOWN].tolist()],
        "least": [_line(predictions, row) for row in order[::-1][:SHOWN].tolist()],
    }
    write_whole(folder / files.SUMMARY, json.dumps(summary, ensure_ascii=False).encode())


def _line(predictions: Predictions, row: int) -> Mapping[str, object]:
    return {
        "id": predictions.ids[row],
        "entropy": round(predictions.entropy[row].item(), 5),
        "bald": round(predictions.bald[row].item(), 5),
        "probabilities": [round(p, 5) for p in predictions.probabilities[row].tolist()],
    }


def _batches(predictions: Predictions, schema: Any) -> Iterator[Any]:
    pa, c = arrow("pyarrow"), len(predictions.classes)
    for start in range(0, len(predictions), 16 * TILE):
        part = slice(start, start + 16 * TILE)
        p = predictions.probabilities[part]
        lists = pa.ListArray.from_arrays(np.arange(0, p.size + 1, c, dtype=np.int32), p.reshape(-1))
        columns = [pa.array(predictions.ids[part], pa.string()), lists]
        columns += [pa.array(values[part], pa.float32()) for values in (predictions.entropy, predictions.bald)]
        yield pa.record_batch(columns, schema=schema)
