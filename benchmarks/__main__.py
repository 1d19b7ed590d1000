"""Runs every benchmark and writes RESULTS.md and results.json beside this file."""

import contextlib
import io
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import batchbald, draws

HERE = Path(__file__).parent
Measured = Mapping[str, Any]


def machine() -> str:
    """What was measured on."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = found[0].split(":")[1].strip() if found else model
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    return f"{model}, {os.cpu_count()} cores, {versions}"


def selection_rows(m: Measured) -> list[list[str]]:
    seconds = f"{m['asktell_seconds']:.3f} s against {m['redux_seconds']:.1f} s"
    gained = f"ours - theirs = {m['information_gained_over_redux']:+.4f} nat"
    peer = f"batchbald-redux 2.0.5 ({batchbald.REDUX_SAMPLES:,} samples, double)"
    referee = f"{batchbald.REFEREE_PARTICLES:,} fresh particles"
    return [
        ["batchbald", peer, m["input"], f"{m['ratio']:.0f}x: {seconds}", "100x"],
        ["its joint information", f"the same, both by {referee}", "the same", gained, ">= -0.02 nat"],
    ]


def drawing_rows(m: Measured) -> list[list[str]]:
    return [_drawing_row(name, *bar, m[name]) for name, bar in draws.BARS.items()]


def _drawing_row(network: str, against: str, bar: float, m: Measured) -> list[str]:
    seconds = f"{m['seconds']:.2f} s against {m['seconds_against'][against]:.1f} s"
    given = f"{m['items']} images, k={m['draws']}, threads: {m['threads']}"
    measured = f"{m['ratios'][against]:.1f}x: {seconds}"
    return [f"MC-dropout draws, {network} network", against, given, measured, f"{bar:g}x"]


def page(rows: list[list[str]]) -> str:
    head = ["kernel", "against", "input", "measured (median)", "bar"]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    about = f"Written by `make bench`: peer and asktell on the same input in the same run. {machine()}."
    return "\n".join(["# Benchmarks", "", about, "", *lines, "", "`results.json` holds every single measurement.", ""])


def main() -> None:
    print("batchbald against batchbald-redux: some five minutes", flush=True)
    with contextlib.redirect_stderr(io.StringIO()):  # redux draws progress bars
        selection = batchbald.measure()
    print("MC-dropout draws against masked and full passes: some four minutes", flush=True)
    drawing = draws.measure()
    results = {"machine": machine(), "batchbald": selection, "draws": drawing}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = page([*selection_rows(selection), *drawing_rows(drawing)])
    (HERE / "RESULTS.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
