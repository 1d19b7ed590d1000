"""k-means++ of gradients: against the factored loop that measures every row after every pick, and a million on disk.

`python -m benchmarks.spread FOLDER B` picks out of two files in a process of its own and prints seconds, peak and
report as JSON.
"""

import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asktell.embeddings import GradientEmbedding
from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.selection import kmeans_pp
from benchmarks.harness import Line, alone, passes, peak_growth, timed, timed_in_turn

N, D, B = 60_000, 512, 1_000
CLASSES = (10, 100)
DISK, DISK_CLASSES = 1_000_000, 10
CHUNK = 20_000
RATIO, PASSES = 10.0, 20
DISK_PEAK, DISK_PASSES = 700e6, 40


def pool(n: int, c: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Residuals [n, c] and features [n, D], float32: classes with a centre each, a linear layer along the centres."""
    centres = torch.randn(c, D, generator=derive(0, "centres", c))
    generator = derive(seed, "spread", n, c)
    classes = torch.randint(c, (n,), generator=generator)
    features = (0.5 * centres[classes] + torch.randn(n, D, generator=generator)).relu()
    log_probs = (features @ centres.T / D**0.5).log_softmax(-1)
    return GradientEmbedding.of(log_probs, features).factors["residual"][0:n].float(), features


def one_by_one(residual: Tensor, features: Tensor, b: int, generator: torch.Generator) -> Tensor:
    """The same rule, every row measured after every pick: factored and in float32, no [n, c * D] anywhere."""
    norms = residual.square().sum(1) * features.square().sum(1)
    picks = [int(norms.argmax())]
    weight = torch.full_like(norms, torch.inf)
    while len(picks) < b:
        inner = (residual @ residual[picks[-1]]).mul_(features @ features[picks[-1]])
        apart = inner.mul_(-2).add_(norms).add_(norms[picks[-1]]).clamp_min_(0.0)
        torch.minimum(weight, apart, out=weight)
        weight[picks[-1]] = 0.0
        picks.append(int(torch.multinomial(weight, 1, generator=generator)))
    return torch.tensor(picks)


def potential(residual: Tensor, features: Tensor, picks: Tensor) -> float:
    """The sum over rows of the squared distance to the nearest pick, which the rule makes small: both must agree."""
    centres = residual[picks].double(), features[picks].double()
    norms = centres[0].square().sum(1) * centres[1].square().sum(1)
    total = 0.0
    for a, h in zip(torch.split(residual.double(), CHUNK), torch.split(features.double(), CHUNK), strict=True):
        inner = (a @ centres[0].T).mul_(h @ centres[1].T)
        apart = inner.mul_(-2).add_(norms).amin(1) + a.square().sum(1) * h.square().sum(1)
        total += float(apart.clamp_min_(0.0).sum())
    return total


def against_the_loop(n: int, c: int, b: int, repeats: int) -> dict[str, Any]:
    """Median seconds of both sides, one thread, and what their batches leave."""
    residual, features = pool(n, c)
    points = GradientEmbedding(residual, features)
    (ours, selection), (loop, picks) = timed_in_turn(
        (lambda: kmeans_pp(points, b, generator=derive(0, "pick")), repeats),
        (partial(_looped, residual, features, b), min(repeats, 3)),
    )
    left = [potential(residual, features, rows) for rows in (selection.indices, picks)]
    return {
        "seconds": ours,
        "loop_seconds": loop,
        "ratio": loop / ours,
        "potential_over_loop": left[0] / left[1],
        **selection.report.to_json(),
    }


def _looped(residual: Tensor, features: Tensor, b: int) -> Tensor:
    return one_by_one(residual, features, b, derive(0, "loop"))


def write(folder: Path, n: int) -> None:
    """Residuals and features in two files, a chunk at a time."""
    shapes = {"residual": (n, DISK_CLASSES), "features": (n, D)}
    files = [np.lib.format.open_memmap(folder / f"{k}.npy", "w+", np.float32, shape) for k, shape in shapes.items()]
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        for file, rows in zip(files, pool(stop - start, DISK_CLASSES, start), strict=True):
            file[start:stop] = rows.numpy()
    for file in files:
        file.flush()


def from_disk(n: int, b: int) -> dict[str, Any]:
    """Seconds, peak and passes over two files."""
    with TemporaryDirectory() as folder:
        write(Path(folder), n)
        return alone("benchmarks.spread", folder, b)


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds, ratios, passes and the peak."""
    torch.set_num_threads(1)
    n, disk, b, repeats = (3_000, 20_000, 50, 1) if quick else (N, DISK, B, 5)
    return {
        "n": n,
        "b": b,
        "disk": disk,
        "loop": {c: against_the_loop(n, c, b, repeats) for c in CLASSES},
        "on_disk": from_disk(disk, b),
    }


def lines(m: dict[str, Any]) -> list[Line]:
    """Against the loop for few and many classes, and the million on disk."""
    found = [
        Line(
            "kmeans_pp of gradients",
            "per-pick factored loop, float32",
            f"n={m['n']:,} d={D} c={c} b={m['b']}, one thread",
            f"{r['ratio']:.0f}x: {r['seconds']:.2f} s against {r['loop_seconds']:.1f} s; {passes(r)}",
            f"{RATIO:g}x, <= {PASSES} passes",
            r["ratio"] >= RATIO and r["passes"] <= PASSES,
        )
        for c, r in m["loop"].items()
    ]
    disk = m["on_disk"]
    return [
        *found,
        Line(
            "kmeans_pp from disk",
            "",
            f"n={m['disk']:,}, {D} + {DISK_CLASSES} numbers, b={m['b']}",
            f"peak {disk['peak'] / 1e6:,.0f} MB; {disk['seconds']:.0f} s, {passes(disk)}",
            f"< 700 MB, <= {DISK_PASSES} passes",
            disk["peak"] < DISK_PEAK and disk["passes"] <= DISK_PASSES,
        ),
    ]


def main(folder: str, b: str) -> None:
    """Pick out of two files."""
    torch.set_num_threads(1)
    points = GradientEmbedding(*(file_rows(f"{folder}/{name}.npy") for name in ("residual", "features")))
    peak, (seconds, selection) = peak_growth(
        lambda: timed(lambda: kmeans_pp(points, int(b), generator=derive(0, "pick")))
    )
    print(json.dumps({"peak": peak, "seconds": seconds, **selection.report.to_json()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
