"""k-center: against the loop that measures every row after every pick, and a million rows on disk.

`python -m benchmarks.cover FILE B` picks out of a file in a process of its own and prints seconds, peak and report as
JSON.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.selection import k_center
from benchmarks.harness import Line, alone, passes, peak_growth, timed, timed_in_turn

N, D, B = 60_000, 512, 1_000
DISK = 1_000_000
CHUNK = 20_000
RATIO, PASSES = 6.0, 40
DISK_PEAK, DISK_PASSES = 700e6, 60


def gauss(n: int, seed: int = 0) -> Tensor:
    """[n, D] without structure, float32: all rows are about as far from each other."""
    return torch.randn(n, D, generator=derive(seed, "cover", n))


def clusters(n: int, seed: int = 0) -> Tensor:
    """[n, D] in a hundred clusters, float32: a pick lowers the distances of all its cluster at once."""
    centres = 3 * torch.randn(100, D, generator=derive(seed, "centres"))
    return centres[torch.arange(n) % 100] + gauss(n, seed)


def rectified(n: int, seed: int = 0) -> Tensor:
    """[n, D] after a ReLU, of 32 dimensions, float32: like the features of a network."""
    weights = torch.randn(32, D, generator=derive(seed, "weights")) / 32**0.5
    inner = torch.randn(n, 32, generator=derive(seed, "rectified", n))
    return torch.relu(inner @ weights)


POOLS = {"gauss": gauss, "clusters": clusters, "rectified": rectified}


def one_by_one(features: Tensor, first: int, b: int) -> list[int]:
    """The same rule, every row measured after every pick: one matrix-vector product, in place, in the type given."""
    norms = torch.linalg.vecdot(features, features)
    nearest, apart = torch.full_like(norms, torch.inf), torch.empty_like(norms)
    picks = [first]
    while len(picks) < b:
        torch.addmv(norms, features, features[picks[-1]], alpha=-2, out=apart)
        torch.minimum(nearest, apart.add_(norms[picks[-1]]), out=nearest)
        nearest[picks[-1]] = -1.0
        picks.append(int(nearest.argmax()))
    return picks


def against_the_loop(features: Tensor, b: int, repeats: int) -> dict[str, Any]:
    """Median seconds of both sides, one thread, and with how many of our first picks the loop agrees.

    The loop is timed in float32, where near-ties can go the other way; `same_picks` counts them in float64.
    """
    first = int(k_center(features, 1, generator=derive(0, "pick")).indices[0])
    (ours, selection), (loop, picks) = timed_in_turn(
        (lambda: k_center(features, b, generator=derive(0, "pick")), repeats),
        (lambda: one_by_one(features, first, b), min(repeats, 3)),
    )
    exact = one_by_one(features.double(), first, b)
    return {
        "seconds": ours,
        "loop_seconds": loop,
        "ratio": loop / ours,
        "same_picks": _agreeing(selection.indices.tolist(), exact),
        "same_picks_in_float32": _agreeing(selection.indices.tolist(), picks),
        **selection.report.to_json(),
    }


def _agreeing(picks: list[int], others: list[int]) -> int:
    """How many picks come before the first that differs."""
    return [*(mine == its for mine, its in zip(picks, others, strict=True)), False].index(False)


def write(path: Path, n: int) -> None:
    """Features in a file, a chunk at a time."""
    file = np.lib.format.open_memmap(path, "w+", np.float32, (n, D))
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        file[start:stop] = gauss(stop - start, start).numpy()
    file.flush()


def from_disk(n: int, b: int) -> dict[str, Any]:
    """Seconds, peak and passes over a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        write(path, n)
        return alone("benchmarks.cover", path, b)


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds, ratios, passes and the peak."""
    torch.set_num_threads(1)
    n, disk, b, repeats = (3_000, 20_000, 50, 1) if quick else (N, DISK, B, 5)
    return {
        "n": n,
        "b": b,
        "disk": disk,
        "loop": {name: against_the_loop(make(n), b, repeats) for name, make in POOLS.items()},
        "on_disk": from_disk(disk, b),
    }


def lines(m: dict[str, Any]) -> list[Line]:
    """Against the loop on each pool, and the million on disk."""
    found = [
        Line(
            f"k_center, {name}",
            "per-pick loop, float32",
            f"n={m['n']:,} d={D} b={m['b']}, one thread",
            f"{r['ratio']:.0f}x: {r['seconds']:.2f} s against {r['loop_seconds']:.1f} s; {_read(r, m['n'])}; "
            f"in float64 the first {r['same_picks']:,} picks are the same",
            f"{RATIO:g}x, <= {PASSES} passes, all picks",
            r["ratio"] >= RATIO and r["rows_read"] <= PASSES * m["n"] and r["same_picks"] == m["b"],
        )
        for name, r in m["loop"].items()
    ]
    disk = m["on_disk"]
    return [
        *found,
        Line(
            "k_center from disk",
            "",
            f"n={m['disk']:,} d={D} b={m['b']}",
            f"peak {disk['peak'] / 1e6:,.0f} MB; {disk['seconds']:.0f} s; {_read(disk, m['disk'])}",
            f"< 700 MB, <= {DISK_PASSES} passes",
            disk["peak"] < DISK_PEAK and disk["rows_read"] <= DISK_PASSES * m["disk"],
        ),
    ]


def _read(r: dict[str, Any], n: int) -> str:
    return f"{passes(r)}, {r['rows_read'] / n:.1f} reads of a row"


def main(path: str, b: str) -> None:
    """Pick out of a file."""
    torch.set_num_threads(1)
    rows = file_rows(path)
    peak, (seconds, selection) = peak_growth(lambda: timed(lambda: k_center(rows, int(b), generator=derive(0, "pick"))))
    print(json.dumps({"peak": peak, "seconds": seconds, **selection.report.to_json()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
