"""What the benchmarks share: timing in turn, peak memory in a process of its own, one line of the page."""

import contextlib
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """One line of RESULTS.md. `met`: whether the bar was reached, None where there is none; `why` it was not."""

    kernel: str
    against: str
    input: str
    measured: str
    bar: str
    met: bool | None = None
    why: str = ""


def timed(run: Callable[[], T], clock: Callable[[], float] = time.perf_counter) -> tuple[float, T]:
    """Seconds of one run, and its result."""
    start = clock()
    result = run()
    return clock() - start, result


def timed_in_turn(
    *sides: tuple[Callable[[], Any], int], clock: Callable[[], float] = time.perf_counter
) -> list[tuple[float, Any]]:
    """Median seconds and result of each side, run so many times; in turn, so that what else runs hits both."""
    results = [run() for run, _ in sides]  # the first run warms up and is not counted
    seconds: list[list[float]] = [[] for _ in sides]
    for turn in range(max(times for _, times in sides)):
        for (run, times), taken in zip(sides, seconds, strict=True):
            if turn < times:
                taken.append(timed(run, clock)[0])
    return [(statistics.median(taken), result) for taken, result in zip(seconds, results, strict=True)]


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """What draws progress bars inside draws none."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def alone(module: str, *arguments: object) -> dict[str, Any]:
    """What `python -m MODULE ARGUMENTS` prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def peak_growth(run: Callable[[], T]) -> tuple[int, T]:
    """Bytes by which the peak of resident memory rose above what was resident before `run`, and its result.

    The peak of this process is set back first; `ru_maxrss` would begin with what the parent held when it forked.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    result = run()
    return _resident("VmHWM") - before, result


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def passes(report: Mapping[str, Any]) -> str:
    """Passes over the pool, in words."""
    return "1 pass" if report["passes"] == 1 else f"{report['passes']} passes"


def table(lines: Sequence[Line]) -> str:
    """The lines in Markdown."""
    head = ("kernel", "against", "input", "measured (median)", "bar", "")
    rows = [
        (r.kernel, r.against, r.input, r.measured, r.bar, {None: "", True: "met", False: "**missed**"}[r.met])
        for r in lines
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def missed(lines: Sequence[Line]) -> str:
    """Why bars were missed, in Markdown."""
    reasons = [f"- {line.kernel}: {line.why or 'not known yet'}" for line in lines if line.met is False]
    return "\n".join(reasons) or "No bar."
