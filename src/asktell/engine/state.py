"""What the worker is doing, for others to read, and the lock that keeps it the only one."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
ROOM: Final = 4096
"""Bytes that worker.json takes, so that any other words fit into the same place."""
_DIGITS: Final = 12


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

    Where no new file can be made (a full disk, a folder that must not be changed), the old one is written over. It
    only informs: where that cannot be either, it is logged and the work goes on.
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
        told = _told(self._doing)
        try:
            write_whole(self._path, told)
        except OSError:
            self._write_over(told)

    def _write_over(self, told: bytes) -> None:
        try:
            with self._path.open("r+b", buffering=0) as file:
                file.write(told)
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._path, error)


def read(folder: Path) -> Doing | None:
    """What the worker said last; None if there was none yet, or nothing readable."""
    try:
        return Doing(**json.loads((folder / files.STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def sweep(folder: Path) -> None:
    """Remove what workers that were killed had written half: nobody else writes under these names."""
    names = (files.STATE, files.PREDICTIONS, files.PREDICTED, files.SUMMARY, files.STOP_SET)
    left = [partial for name in names for partial in folder.glob(f".{name}.*.partial")]
    for partial in left + list((folder / files.EMBEDDINGS).glob(".*.partial")):
        with suppress(OSError):
            partial.unlink()


@contextmanager
def the_only_one(folder: Path) -> Iterator[None]:
    """Hold the project's worker lock, which ends with the process however that ends.

    Raises `ProjectError` if another worker holds it, or if the folder cannot be written.
    """
    path = folder / files.LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be opened ({error.strerror}); make room, and the folder writable for this user"
        ) from error
    try:
        _lock(handle, folder)
        with suppress(OSError):  # on a full disk nobody learns who holds it
            os.pwrite(handle, f"{os.getpid():<{_DIGITS}}".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, _DIGITS, 0).decode("ascii", "replace").strip()
        raise ProjectError(
            f"a worker (process {holder or 'unknown'}) works on {folder} already, and one is enough; "
            "stop that one first, or leave it to its work"
        ) from None


def _told(doing: Doing) -> bytes:
    """As JSON, in just `ROOM` bytes; a message that is too long loses its end."""
    while len(told := json.dumps(asdict(doing)).encode()) > ROOM:
        doing = replace(doing, message=doing.message[: len(doing.message) // 2] + "…")
    return told.ljust(ROOM)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
