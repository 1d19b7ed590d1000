"""Runs the benchmarks, writes RESULTS.md, results.json and growth.png beside this file; `--quick` only tries them.

`python -m benchmarks scale project` measures these anew and leaves the others as they stand in results.json.
"""

import contextlib
import json
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from benchmarks import batchbald, cover, draws, growth, peers, project, scale, scores, spread
from benchmarks.harness import missed, table

HERE = Path(__file__).parent
KERNELS = (batchbald, scale, cover, spread, peers, draws, scores, project)
THREADS = torch.get_num_threads()


def machine() -> str:
    """What was measured on."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = found[0].split(":")[1].strip() if found else model
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}"
    return f"{model}, {os.cpu_count()} cores, {versions}"


def name_of(module: ModuleType) -> str:
    """As it is called in results.json."""
    return module.__name__.removeprefix("benchmarks.")


def measured(module: ModuleType, quick: bool) -> dict[str, object]:
    """What it measures, with all threads unless it sets them itself."""
    print(f"{name_of(module)} ...", file=sys.stderr, flush=True)
    torch.set_num_threads(THREADS)
    found: dict[str, object] = module.measure(quick)
    return found


def page(results: dict[str, dict[str, object]]) -> str:
    """RESULTS.md."""
    rows = [line for module in KERNELS for line in module.lines(results[name_of(module)])]
    return f"""# Benchmarks

Written by `make bench`: peer and asktell on the same input in the same run, medians. {machine()}.
Peaks are of resident memory, beyond what was resident before the call.

{table(rows)}

## Missed, and why

{missed(rows)}

## Growth

Seconds and passes over the pool against the number of items and of picks. `results.json` holds every measurement.

![Seconds and passes against n and b](growth.png)
"""


def recorded() -> dict[str, Any]:
    """What results.json holds, if it was measured on this machine with these versions."""
    found: dict[str, Any] = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    if found.pop("machine") != machine():
        raise SystemExit("results.json is of another machine or other versions; measure everything: make bench")
    return found


def main(names: list[str], quick: bool) -> None:
    """Measure everything, or what is named; write it down unless `quick`."""
    chosen = [module for module in (*KERNELS, growth) if name_of(module) in names or not names]
    results = {**(recorded() if names else {}), **{name_of(module): measured(module, quick) for module in chosen}}
    results = json.loads(json.dumps(results))
    text = page(results)
    print(text)
    if not quick:
        (HERE / "results.json").write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")
        (HERE / "RESULTS.md").write_text(text)
        (HERE / "growth.png").write_bytes(growth.picture(results["growth"]))


if __name__ == "__main__":
    main([word for word in sys.argv[1:] if word != "--quick"], "--quick" in sys.argv[1:])
