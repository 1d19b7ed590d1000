"""The first labels, when there is no model yet: strategies that look at features alone, against random.

    python scripts/first_batch.py results/first-batch.jsonl

For every data set and seed a pool is drawn; each strategy asks for two and for five labels a class at once, while
nothing is labelled; logistic regression learns from them. Features are standardised over the pool, nothing is tuned.
Writes accuracy and how many classes were found, and prints a table; what is in the file is not computed again.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from asktell import derive
from asktell.evidence import Evidence
from asktell.experiments.datasets import Dataset, load
from asktell.experiments.statistics import estimate
from asktell.strategies import CoreSet, FacilityLocation, ProbCover, Random, Strategy, TypiClust
from asktell.writing import write_whole

POOLS = {"digits": 1_000, "letter": 5_000, "mnist-efficientnet": 5_000}
PER_CLASS = (2, 5)
SEEDS = range(10)
Row = Mapping[str, Any]


def strategies(classes: int) -> tuple[Strategy, ...]:
    """Those that need no prediction; ProbCover is told how many classes there are."""
    return Random(), FacilityLocation(), TypiClust(), CoreSet(), ProbCover(clusters=classes)


def measured(data: Dataset, name: str, seed: int) -> Iterable[Row]:
    """Every strategy and size on one pool."""
    pool = torch.randperm(len(data), generator=derive(seed, "first-batch", name))[: POOLS[name]]
    features, tested = standardised(data.inputs[pool], data.test_inputs)
    evidence = Evidence(len(pool), features=features, labelled_features=features[:0])
    for strategy in strategies(len(data.classes)):
        for b in (per_class * len(data.classes) for per_class in PER_CLASS):
            begun = time.perf_counter()
            picks = strategy(evidence, b, generator=derive(seed, "first-batch", name, strategy.name, b)).indices
            seconds = round(time.perf_counter() - begun, 2)
            labels = data.labels[pool[picks]]
            model = LogisticRegression(max_iter=2_000).fit(features[picks].numpy(), labels.numpy())
            accuracy = round(float(model.score(tested.numpy(), data.test_labels.numpy())), 4)
            found = {"classes": len(model.classes_), "accuracy": accuracy, "seconds": seconds}
            yield {"data": name, "seed": seed, "strategy": strategy.name, "b": b, **found}


def standardised(pool: Tensor, tested: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of mean 0 and deviation 1 over the pool; those that are constant there stay 0."""
    rows = pool.flatten(1).double()
    mean, spread = rows.mean(0), rows.std(0)
    scale = torch.where(spread > 0, 1 / spread, 0.0)
    return (rows - mean) * scale, (tested.flatten(1).double() - mean) * scale


def table(rows: Sequence[Row]) -> str:
    """Accuracy, its difference to random paired by seed, and classes found, by data set, size and strategy."""
    lines = ["| data | labels | strategy | accuracy | difference | classes found |", "|---|---|---|---|---|---|"]
    for name, b in dict.fromkeys((row["data"], row["b"]) for row in rows):
        here = [row for row in rows if (row["data"], row["b"]) == (name, b)]
        asked = dict.fromkeys(row["strategy"] for row in here)
        lines += [f"| {name} | {b} | {strategy} | " + " | ".join(_columns(here, strategy)) + " |" for strategy in asked]
    return "\n".join(lines)


def _columns(rows: Sequence[Row], strategy: str) -> tuple[str, str, str]:
    ours, theirs = ({r["seed"]: r for r in rows if r["strategy"] == name} for name in (strategy, "random"))
    gain = estimate([100 * (ours[seed]["accuracy"] - theirs[seed]["accuracy"]) for seed in ours])
    difference = "" if strategy == "random" else f"{gain.mean:+.1f} [{gain.low:.1f}, {gain.high:.1f}]"
    accuracy, classes = (fmean(row[what] for row in ours.values()) for what in ("accuracy", "classes"))
    return f"{100 * accuracy:.1f}", difference, f"{classes:.1f}"


def main(out: str) -> None:
    """All that is not there yet; a data set and seed at a time."""
    path = Path(out)
    rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    for name in POOLS:
        data = load(name)
        for seed in SEEDS:
            if not any((row["data"], row["seed"]) == (name, seed) for row in rows):
                rows += measured(data, name, seed)
                write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
                print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
