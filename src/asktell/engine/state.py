"""What the worker is doing, for others to read, and the lock that keeps it the only one."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

from asktell.engine import files
from asktell.errors import ProjectError
from asktell.writing import write_whole

_log = logging.getLogger(__name__)

STATES: Final = ("embedding", "training", "asking", "waiting", "stopped", "failed")
BEAT: Final = 5.0
"""Seconds between two signs of life."""


@dataclass(frozen=True)
class Doing:
    """`state` is one of `STATES`, since when, with `done` of `of` steps (0 of 0: not counted)."""

    pid: int
    state: str
    message: str
    done: int
    of: int
    since: str
    beat: str


class Bulletin:
    """worker.json: written whole at every change of state, and every few seconds as a sign of life.

    It only informs: where it cannot be written (a full disk), that is logged and the work goes on.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / files.STATE
        self._lock, self._over = Lock(), Event()
        self._doing = Doing(os.getpid(), "waiting", "", 0, 0, _now(), _now())
        self._thread = Thread(target=self._beat, name="sign of life", daemon=True)

    def __enter__(self) -> "Bulletin":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def doing(self) -> Doing:
        """What was told last."""
        return self._doing

    def tell(self, state: str, message: str, done: int = 0, of: int = 0) -> None:
        """Say what is being done now. The same again writes nothing."""
        with self._lock:
            was = self._doing
            if (state, message, done, of) == (was.state, was.message, was.done, was.of):
                return
            since = was.since if (state, message) == (was.state, was.message) else _now()
            self._doing = Doing(was.pid, state, message, done, of, since, _now())
            self._write()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with self._lock:
                self._doing = replace(self._doing, beat=_now())
                self._write()

    def _write(self) -> None:
        try:
            write_whole(self._path, json.dumps(asdict(self._doing)).encode())
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)


def read(folder: Path) -> Doing | None:
    """What the worker said last; None if there was none yet, or nothing readable."""
    try:
        return Doing(**json.loads((folder / files.STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def the_only_one(folder: Path) -> Iterator[None]:
    """Hold the project's worker lock, which ends with the process however that ends.

    Raises `ProjectError` if another worker holds it, or if the folder cannot be written.
    """
    path = folder / files.LOCK
    try:
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise ProjectError(f"{path} cannot be opened ({error.strerror}); make the folder writable") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ProjectError(
                f"a worker (process {file.read().strip() or 'unknown'}) works on {folder} already, and one is enough; "
                "stop that one first, or leave it to its work"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
