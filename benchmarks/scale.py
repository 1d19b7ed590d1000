"""BatchBALD at the scale of a pool: 60,000 items in memory, and a million on disk in float16.

`python -m benchmarks.scale FILE N B` picks in a process of its own and prints seconds, peak and report as JSON.
"""

import json
import statistics
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asktell.randomness import derive
from asktell.rows import file_rows
from asktell.selection import batchbald
from benchmarks.batchbald import timed_redux
from benchmarks.harness import Line, alone, peak_growth, timed

K, C = 100, 10
CHUNK = 10_000
PEAK_DISK, PEAK_MEMORY = 700e6, 1e9


def predictions(n: int, seed: int = 0) -> Tensor:
    """Log-probabilities [n, K, C], float32: items with a random opinion of their own, draws that deviate from it."""
    generator = derive(seed, "scale", n)
    opinion = 2.5 * torch.randn(n, 1, C, generator=generator)
    doubt = torch.rand(n, 1, 1, generator=generator) ** 2
    return (opinion + 2 * doubt * torch.randn(n, K, C, generator=generator)).log_softmax(-1)


def write(path: Path, n: int) -> None:
    """The same as float16 on disk, a chunk at a time."""
    array = np.lib.format.open_memmap(path, "w+", np.float16, (n, K, C))
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        array[start:stop] = predictions(stop - start, start).half().numpy()
    array.flush()


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds and peaks."""
    n, disk, b = (2_000, 5_000, 10) if quick else (60_000, 1_000_000, 100)
    log_probs = predictions(n)
    small = predictions(50 if quick else 1_000).double().log_softmax(-1)
    redux = statistics.median(timed_redux(small)[0] for _ in range(1 if quick else 3))
    found: dict[str, Any] = {"n": n, "b": b, "redux_seconds": redux, "disk": disk}
    for name, saturation in (("with", 0.05), ("without", 0.0)):
        select = partial(batchbald, log_probs, b, saturation=saturation, generator=derive(0, "pick"))
        seconds, selection = timed(select)
        found[name] = {"seconds": seconds, **selection.report.to_json()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "memory.npy"
        np.save(path, log_probs.numpy())
        found["memory"] = alone("benchmarks.scale", path, b, "memory")
        path.unlink()
        write(Path(folder) / "disk.npy", disk)
        found["on_disk"] = alone("benchmarks.scale", Path(folder) / "disk.npy", 50 if not quick else 5, "disk")
    return found


def lines(m: dict[str, Any]) -> list[Line]:
    """With the saturation rule, without it, peaks in memory and from disk."""
    redux = m["redux_seconds"]
    given = f"n={m['n']:,} k={K} c={C} b={m['b']}"
    peer = "batchbald-redux, n=1,000 b=10"
    found = [
        Line(
            f"batchbald, {name} the saturation rule",
            peer,
            given,
            f"{m[name]['seconds']:.1f} s against {redux:.1f} s; saturated at {m[name].get('saturated_at', 'no pick')}, "
            f"{m[name]['evaluations']:,} joint gains",
            "no slower",
            m[name]["seconds"] <= redux,
        )
        for name in ("with", "without")
    ]
    peak, disk = m["memory"]["peak"], m["on_disk"]
    return [
        *found,
        Line("its peak beyond the input", "", given, f"{peak / 1e6:,.0f} MB", "< 1,000 MB", peak < PEAK_MEMORY),
        Line(
            "batchbald from disk, float16",
            "",
            f"n={m['disk']:,} k={K} c={C} b={disk['b']}",
            f"peak {disk['peak'] / 1e6:,.0f} MB; {disk['seconds']:.0f} s, {disk['passes']} pass, "
            f"{disk['evaluations']:,} rows read again",
            "< 700 MB",
            disk["peak"] < PEAK_DISK,
        ),
    ]


def main(path: str, b: str, where: str) -> None:
    """Pick from a file, read whole first if `where` is memory."""
    rows = file_rows(path)
    source = rows[0 : len(rows)] if where == "memory" else rows
    batchbald(predictions(2_000), 2, generator=derive(0))  # what is loaded on first use is not of the method
    peak, (seconds, selection) = peak_growth(
        lambda: timed(lambda: batchbald(source, int(b), generator=derive(0, "pick")))
    )
    print(json.dumps({"b": int(b), "peak": peak, "seconds": seconds, **selection.report.to_json()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
