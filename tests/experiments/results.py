"""Results folders made by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from asktell.experiments.curves import Curve, RecordedCell, read_cell


def rows(
    accuracies: Sequence[float],
    *,
    protocol: str = "toy",
    strategy: str = "random",
    seed: int = 0,
    start: int = 20,
    batch: int = 10,
    finished: bool = True,
    **changes: object,
) -> list[dict[str, object]]:
    """One cell's rounds: accuracies at start, start + batch, ...; `changes` go into every row."""
    last = len(accuracies) - 1
    return [
        {
            "protocol": protocol,
            "strategy": strategy,
            "seed": seed,
            "round": number,
            "n_labelled": start + batch * number,
            "n_validation": 100,
            "accuracy": accuracy,
            "nll": 0.5,
            "ece": 0.1,
            "ids": [] if finished and number == last else [f"{number}-{pick}" for pick in range(batch)],
            "fill_share": 0.0,
            "saturated_at": None,
            "seconds": {"fit": 2.0, "select": 0.5},
            **changes,
        }
        for number, accuracy in enumerate(accuracies)
    ]


def write(folder: Path, content: Sequence[Mapping[str, object]], name: str | None = None) -> Path:
    """Put a cell's rows into a results folder."""
    first = content[0]
    path = folder / "cells" / f"{name or '--'.join(str(first[key]) for key in ('protocol', 'strategy', 'seed'))}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")
    return path


def cell(folder: Path, accuracies: Sequence[float], **changes: object) -> RecordedCell:
    """A cell as it is read back."""
    found = read_cell(write(folder, rows(accuracies, **changes)))  # type: ignore[arg-type]
    assert found is not None
    return found


def curve(folder: Path, strategy: str, runs: Sequence[Sequence[float]], protocol: str = "toy") -> Curve:
    """One cell per run, seeds from 0."""
    cells = [cell(folder, run, strategy=strategy, seed=seed, protocol=protocol) for seed, run in enumerate(runs)]
    return Curve(protocol, strategy, tuple(cells))
