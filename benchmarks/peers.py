"""Batch methods of batchbald-redux 2.0.5 and scikit-activeml 1.0.1 beside asktell: seconds, peaks, picks.

`python -m benchmarks.peers KERNEL SIDE FILE B` runs one side in a process of its own, where its peak is its own, and
prints seconds, peak and picks as JSON. Sizes are those that the slowest side ends in a minute or so.
"""

import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from asktell.embeddings import GradientEmbedding
from asktell.randomness import derive
from asktell.selection import batchbald, k_center, kmeans_pp
from benchmarks import batchbald as digits
from benchmarks import cover, spread
from benchmarks.harness import Line, alone, peak_growth, silent, timed

Input = dict[str, Any]
Side = Callable[[Input, int], list[int]]

TURNS = 3
FEW = 500
PARTICLES = 10_000
CLASSES = 10
ASKTELL = "asktell"


def probabilities(n: int) -> Input:
    return {"log_probs": digits.pool(0)[:n]}


def batchbald_asktell(given: Input, b: int) -> list[int]:
    selection = batchbald(given["log_probs"], b, saturation=0.0, generator=derive(0, "select"))
    return selection.indices.tolist()


def batchbald_redux(given: Input, b: int) -> list[int]:
    from batchbald_redux.batchbald import get_batchbald_batch

    with silent():
        return list(get_batchbald_batch(given["log_probs"], b, PARTICLES, dtype=torch.double, device="cpu").indices)


def batchbald_skactiveml(given: Input, b: int) -> list[int]:
    from skactiveml.pool import batch_bald

    probabilities = given["log_probs"].exp().transpose(0, 1).numpy().copy()
    utilities = batch_bald(probabilities, b, n_MC_samples=PARTICLES, random_state=0)
    return [int(row) for row in np.nanargmax(utilities, axis=1)]


def features(n: int) -> Input:
    """The first row is labelled, so that no side draws its first pick."""
    return {"features": cover.rectified(n)}


def k_center_asktell(given: Input, b: int) -> list[int]:
    rows: Tensor = given["features"]
    selection = k_center(rows[1:], b, given=rows[:1], generator=derive(0, "pick"))
    return (selection.indices + 1).tolist()


def k_center_skactiveml(given: Input, b: int) -> list[int]:
    from skactiveml.pool import k_greedy_center

    labels = np.full(len(given["features"]), np.nan)
    labels[0] = 0
    picks, _ = k_greedy_center(given["features"].numpy(), labels, batch_size=b)
    return [int(row) for row in picks]


def classifier(n: int) -> Input:
    """Features, and a logistic regression fitted to a few of them in the wrapper that scikit-activeml wants."""
    from skactiveml.classifier import SklearnClassifier

    residual, rows = spread.pool(n, CLASSES)
    fitted = SklearnClassifier(LogisticRegression(), classes=list(range(CLASSES)))
    return {"features": rows, "classifier": fitted.fit(rows[:FEW].numpy(), residual[:FEW].argmin(1).numpy())}


def badge_asktell(given: Input, b: int) -> list[int]:
    predicted = torch.from_numpy(given["classifier"].predict_proba(given["features"].numpy())).log()
    points = GradientEmbedding.of(predicted, given["features"])
    return kmeans_pp(points, b, generator=derive(0, "pick")).indices.tolist()


def badge_skactiveml(given: Input, b: int) -> list[int]:
    from skactiveml.pool import Badge

    rows = given["features"].numpy()
    unlabelled = np.full(len(rows), np.nan)
    picks = Badge(random_state=0).query(rows, unlabelled, given["classifier"], fit_clf=False, batch_size=b)
    return [int(row) for row in picks]


@dataclass(frozen=True)
class Kernel:
    """One input [n, ...] and the sides that select b from it, asktell first."""

    make: Callable[[int], Input]
    sides: dict[str, Side]
    n: int
    b: int
    shape: str


KERNELS = {
    "batchbald": Kernel(
        probabilities,
        {
            ASKTELL: batchbald_asktell,
            "batchbald-redux 2.0.5": batchbald_redux,
            "scikit-activeml 1.0.1": batchbald_skactiveml,
        },
        1_000,
        10,
        f"k=100 c=10, {PARTICLES:,} configurations",
    ),
    "k_center": Kernel(
        features, {ASKTELL: k_center_asktell, "scikit-activeml 1.0.1": k_center_skactiveml}, 10_000, 100, "d=512"
    ),
    "kmeans_pp of gradients": Kernel(
        classifier, {ASKTELL: badge_asktell, "scikit-activeml 1.0.1": badge_skactiveml}, 10_000, 100, "d=512 c=10"
    ),
}


def sides_in_turn(name: str, n: int, b: int, turns: int) -> dict[str, Any]:
    """Median seconds, median peak and the picks of each side; every run in a fresh process, the sides in turn."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in KERNELS[name].sides}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "input.pt"
        torch.save(KERNELS[name].make(n), path)
        for side in list(runs) * turns:
            runs[side].append(alone("benchmarks.peers", name, side, path, b))
    return {
        side: {
            "seconds": statistics.median(run["seconds"] for run in found),
            "peak": statistics.median(run["peak"] for run in found),
            "picks": found[0]["picks"],
        }
        for side, found in runs.items()
    }


def measure(quick: bool = False) -> dict[str, Any]:
    """What every side took."""
    n, b, turns = (FEW, 3, 1) if quick else (None, None, TURNS)
    return {
        name: {"n": n or kernel.n, "sides": sides_in_turn(name, n or kernel.n, b or kernel.b, turns)}
        for name, kernel in KERNELS.items()
    }


def lines(m: dict[str, Any]) -> list[Line]:
    """A line for each peer of each kernel."""
    return [_line(name, peer, **found) for name, found in m.items() for peer in found["sides"] if peer != ASKTELL]


def _line(name: str, peer: str, n: int, sides: dict[str, Any]) -> Line:
    ours, theirs = sides[ASKTELL], sides[peer]
    common = len(set(ours["picks"]) & set(theirs["picks"]))
    return Line(
        f"{name}, a fresh process each",
        peer,
        f"n={n:,} {KERNELS[name].shape} b={len(ours['picks'])}",
        f"{theirs['seconds'] / ours['seconds']:.0f}x: {ours['seconds']:.2f} s against {theirs['seconds']:.1f} s; "
        f"peak {ours['peak'] / 1e6:,.0f} MB against {theirs['peak'] / 1e6:,.0f} MB; "
        f"{common} of {len(ours['picks'])} picks in common",
        "",
    )


def main(name: str, side: str, path: str, b: str) -> None:
    """Run one side, after a run on a few items that imports what it imports."""
    run, given = KERNELS[name].sides[side], torch.load(path, weights_only=False)
    run({key: rows[:FEW] if isinstance(rows, Tensor) else rows for key, rows in given.items()}, 2)
    peak, (seconds, picks) = peak_growth(lambda: timed(lambda: run(given, int(b))))
    print(json.dumps({"seconds": seconds, "peak": peak, "picks": picks}))


if __name__ == "__main__":
    main(*sys.argv[1:])
