"""How inputs from elsewhere are told from test items: by epistemic or total uncertainty, by the length of features.

    python scripts/foreign.py results/foreign.jsonl

For every posterior and seed one fit on random labels of a protocol's pool, by its network and training. Writes for
every kind of foreign inputs the AUROC of epistemic and of total uncertainty, and the mean length of their features
divided by that of test items, where the posterior has features. Prints both; what is in the file is not computed again.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from claims import table

from asktell import derive, uncertainty
from asktell.experiments import metrics
from asktell.experiments.foreign import MOST, foreign
from asktell.experiments.posteriors import LEARNERS
from asktell.experiments.protocols import Protocol, protocol
from asktell.experiments.split import split
from asktell.learners import Round
from asktell.posteriors import OffersFeatures
from asktell.training import network
from asktell.writing import write_whole

LABELS = {"posteriors": 100, "posteriors-mnist": 200, "posteriors-mnist-mlp": 200}
SEEDS = range(100, 105)
"""Which no committed run of these protocols has."""
Row = Mapping[str, Any]


def measured(chosen: Protocol, name: str, seed: int) -> Row:
    """One posterior of one protocol."""
    data, key = split(chosen, seed), (seed, "foreign", chosen.name)
    rows = data.pool[torch.randperm(len(data.pool), generator=derive(*key, "labelled"))[: LABELS[chosen.name]]]
    labelled = Round(0, data.data.classes, data.data.inputs[rows], data.data.labels[rows])
    posterior = LEARNERS[name](network(chosen.network), chosen.training).fit(labelled, generator=derive(*key, name))
    draws = posterior.draw(min(chosen.draws, posterior.distinct or chosen.draws), generator=derive(*key, name, "draw"))
    here = data.data.test_inputs[:MOST]
    inputs = {kind: foreign(kind, here) for kind in chosen.foreign}
    inside, *others = (uncertainty(draws.log_probs(x)) for x in (here, *inputs.values()))
    outside = dict(zip(inputs, others, strict=True))
    found: dict[str, object] = {
        by: {kind: round(metrics.auroc(getattr(inside, by), getattr(outside[kind], by)), 4) for kind in inputs}
        for by in ("epistemic", "total")
    }
    if isinstance(posterior, OffersFeatures):
        length = {kind: float(posterior.features(x).norm(dim=1).mean()) for kind, x in {"": here, **inputs}.items()}
        found["length"] = {kind: round(length[kind] / length[""], 3) for kind in inputs}
    return {"protocol": chosen.name, "posterior": name, "seed": seed, **found}


def aurocs(rows: Sequence[Row]) -> str:
    """AUROC of epistemic / total uncertainty, means over seeds, by posterior; by protocol and kind."""
    columns = list(dict.fromkeys((row["protocol"], kind) for row in rows for kind in row["epistemic"]))
    lines = []
    for posterior in dict.fromkeys(row["posterior"] for row in rows):
        found = [row for row in rows if row["posterior"] == posterior]
        lines.append([posterior, *(_cell(found, *column) for column in columns)])
    return table(["", *(f"{name}: {kind}" for name, kind in columns)], lines)


def _cell(rows: Sequence[Row], name: str, kind: str) -> str:
    here = [row for row in rows if row["protocol"] == name]
    return " / ".join(f"{fmean(row[by][kind] for row in here):.2f}" for by in ("epistemic", "total")) if here else ""


def lengths(rows: Sequence[Row]) -> str:
    """How long the features of foreign inputs are beside those of test items, means over seeds."""
    lines = []
    for name, posterior in dict.fromkeys((row["protocol"], row["posterior"]) for row in rows if "length" in row):
        here = [row["length"] for row in rows if (row["protocol"], row["posterior"]) == (name, posterior)]
        told = ", ".join(f"{kind} {fmean(row[kind] for row in here):.2f}" for kind in here[0])
        lines.append(f"length of features, {name}, {posterior}: {told}")
    return "\n".join(lines)


def main(out: str) -> None:
    """All that is not there yet."""
    path = Path(out)
    rows: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["protocol"], row["posterior"], row["seed"]) for row in rows}
    for chosen in map(protocol, LABELS):
        for name in [name for name in LEARNERS if f"{name}+bald" in chosen.strategies]:
            for seed in SEEDS:
                if (chosen.name, name, seed) not in done:
                    rows.append(measured(chosen, name, seed))
                    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
            print(f"{chosen.name}, {name}", file=sys.stderr, flush=True)
    print(aurocs(rows), lengths(rows), sep="\n\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
