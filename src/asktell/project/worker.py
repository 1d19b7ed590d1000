"""What the worker beside a project last wrote about itself, and what to tell people about it."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

FILE = "worker.json"
SILENT = 60.0
"""Seconds without a sign of life after which a worker counts as gone."""


@dataclass(frozen=True)
class Worker:
    """What the worker last wrote about itself; `beat` in seconds since 1970. State "absent": it never wrote."""

    state: str = "absent"
    message: str = ""
    done: int | None = None
    of: int | None = None
    since: float | None = None
    beat: float | None = None
    pid: int | None = None

    @property
    def share(self) -> float | None:
        """How much of what it does is done, 0..1; None if that cannot be told."""
        if self.done is None or not self.of:
            return None
        return min(max(self.done / self.of, 0.0), 1.0)


@dataclass(frozen=True)
class Notice:
    """A sentence about the worker for people; `kind` is calm, waiting or trouble.

    `state` and `message` are the worker's own words.
    """

    kind: str
    sentence: str
    detail: str = ""
    state: str = "absent"
    message: str = ""


def read_worker(folder: Path) -> Worker:
    """The worker's state; state "unreadable" where the file holds something else."""
    try:
        written = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Worker()
    except (OSError, ValueError):
        return Worker(state="unreadable")
    if not isinstance(written, Mapping):
        return Worker(state="unreadable")
    return Worker(
        state=str(written.get("state", "unreadable")),
        message=str(written.get("message") or ""),
        done=_whole(written.get("done")),
        of=_whole(written.get("of")),
        since=_seconds(written.get("since")),
        beat=_seconds(written.get("beat")),
        pid=_whole(written.get("pid")),
    )


def notice(worker: Worker, folder: Path, now: float) -> Notice:
    """What to tell people about the worker at a time.

    >>> notice(Worker("waiting", beat=99.0), Path("birds"), now=100.0).kind
    'calm'
    """
    start = f"asktell worker {folder.name} starts it."
    if worker.state == "failed":
        told = (
            "trouble",
            "The worker is in trouble and tries again. Answers that were taken are saved.",
            worker.message,
        )
    elif worker.state in ("absent", "unreadable") or (worker.state == "stopped" and not worker.message):
        told = ("waiting", "No model is being trained; questions come at random.", start)
    elif worker.state == "stopped":
        told = ("waiting", "The worker has stopped.", worker.message)
    elif is_gone(worker, now):
        last = f"It was {worker.state} when it last reported; {start}"
        told = ("trouble", "The worker does not answer. Your answers are saved, and questions go on.", last)
    else:
        told = ("calm", _doing(worker), worker.message)
    return Notice(*told, state=worker.state, message=worker.message)


def is_gone(worker: Worker, now: float) -> bool:
    """Whether a worker that should be at work has not reported for long, or its process has ended."""
    if worker.beat is not None and now - worker.beat > SILENT:
        return True
    return worker.pid is not None and worker.pid > 0 and not _lives(worker.pid)


def _doing(worker: Worker) -> str:
    far = "" if worker.share is None else f" ({worker.share:.0%})"
    return {
        "embedding": f"Reading the items{far}.",
        "training": f"Training{far}.",
        "asking": "Choosing the next questions.",
        "waiting": "Up to date; waiting for answers.",
    }.get(worker.state, f"{worker.state.capitalize()}{far}.")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _seconds(value: object) -> float | None:
    """A time in seconds since 1970, from such a number or an ISO 8601 text."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
