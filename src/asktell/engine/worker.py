"""The worker: embeds, trains, predicts and asks for one project, whenever there is cause to.

All it knows stands in the project's database and in files that can be rebuilt, and every duty asks anew whether it is
due. So it may be killed at any moment: the next worker goes on from what is there.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

from asktell.engine.duties import Duties, Duty
from asktell.engine.state import Bulletin, Doing, sweep, the_only_one
from asktell.engine.troubles import Troubles
from asktell.errors import ProjectError
from asktell.project import Project
from asktell.project.store import FILE

POLL: Final = 0.2
"""Seconds between two looks at the project when there is nothing to do."""


class Worker:
    """Works on the project in a folder; a context, in which it is the only worker.

    `poll`: seconds between two looks when there is nothing to do. `parent`: ends when this process is no longer the
    parent. Entering raises `ProjectError` if there is no project, or another worker works on it.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Project.create(folder, ["a"], classes=["owl"]).close()
    ...     with Worker(folder) as worker:
    ...         worker.work()
    ...         print(worker.doing.state, "-", worker.doing.message[:44])
    failed - setting up failed: the project does not say
    """

    def __init__(self, folder: str | os.PathLike[str], *, poll: float = POLL, parent: int | None = None) -> None:
        self._folder, self._poll, self._parent = Path(folder), poll, parent
        self._over = threading.Event()
        self._stack = ExitStack()
        self._troubles = Troubles()
        self._settings: dict[str, object] = {}

    def __enter__(self) -> "Worker":
        if not (self._folder / FILE).is_file():
            raise ProjectError(f"there is no project in {self._folder}; asktell new makes one")
        with ExitStack() as stack:
            stack.enter_context(the_only_one(self._folder))
            sweep(self._folder)
            self._project = stack.enter_context(Project.open(self._folder))
            self._bulletin = stack.enter_context(Bulletin(self._folder))
            self._stack = stack.pop_all()
        self._duties = Duties(self._project, self._bulletin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bulletin.tell("stopped", "The worker has ended")
        self._stack.close()

    @property
    def doing(self) -> Doing:
        """What it does now, as worker.json says."""
        return self._bulletin.doing

    def run(self) -> None:
        """Work until SIGTERM, an interrupt, `stop`, or the end of the parent."""
        with self, _ended_by_sigterm():
            while not self._is_over():
                seen = self._project.changes()
                self.work()
                self._wait(seen)

    def stop(self) -> None:
        """Let `run` end after what it does now."""
        self._over.set()

    def work(self) -> None:
        """Do all that is due, one piece after the other, and then say what is awaited, or what went wrong."""
        while not self._is_over() and self.step():
            pass
        trouble = self._troubles.worst
        if trouble is not None:
            self._bulletin.tell("failed", trouble.message)
        else:
            self._duties.tell_what_is_awaited()

    def step(self) -> bool:
        """Do one piece of the most urgent duty that is due; False if none is."""
        self._heed_settings()
        return any(self._does(name, duty) for name, duty in self._duties.in_order())

    def _does(self, name: str, duty: Duty) -> bool:
        """Whether the duty did something, be it to fail."""
        key = duty.__name__
        if self._troubles.rests(key, self._project.changes()):
            return False
        try:
            done = duty()
        except Exception as error:  # noqa: BLE001  whatever a learner or a disk does, the worker says so and goes on
            trouble = self._troubles.add(key, name, error, self._project.changes())
            self._bulletin.tell("failed", trouble.message)
            return True
        self._troubles.over(key)
        return done

    def _heed_settings(self) -> None:
        """With other settings, what failed is worth another try at once."""
        told = self._project.settings
        if told != self._settings:
            self._settings = told
            self._troubles.clear()

    def _wait(self, seen: int) -> None:
        """Until the project has changed since it was `seen`, or something that failed can be tried again."""
        while not self._is_over() and not self._troubles.can_try(seen) and self._project.changes() == seen:
            self._over.wait(self._poll)

    def _is_over(self) -> bool:
        return self._over.is_set() or (self._parent is not None and os.getppid() != self._parent)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the main thread like an interrupt, wherever it is: nothing can be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
