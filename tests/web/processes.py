"""A server and its worker as real processes that can be killed, forked so that a restart takes a tenth of a second."""

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from asktell.cli import running
from asktell.engine import Worker, state
from asktell.errors import ProjectError

WAIT = 120.0
"""Seconds to wait for anything; far more than it takes."""


def start(work: Callable[[], object]) -> int:
    """Run `work` in a forked child, which has all imports already."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        work()
        os._exit(0)
    except (SystemExit, ProjectError):  # as the command line ends with a message
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(2)


def until(is_so: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT
    while not is_so():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.01)


class Nursery:
    """Forks workers for a server, which has threads and must not. Ends with the server, and with it its worker."""

    def __init__(self, folder: Path) -> None:
        self._line, theirs = socket.socketpair()
        if os.fork() == 0:
            try:
                self._line.close()
                self._tend(theirs, folder)
            finally:
                os._exit(0)
        theirs.close()

    @staticmethod
    def _tend(line: socket.socket, folder: Path) -> None:
        nursery, child, status = os.getpid(), 0, -1
        while asked := line.recv(1):
            if asked == b"s":
                child, status = start(lambda: Worker(folder, parent=nursery).run()), -1
                line.send(child.to_bytes(8, "big"))
                continue
            if status < 0 and os.waitpid(child, os.WNOHANG)[0]:
                status = 1
            line.send(status.to_bytes(8, "big", signed=True))

    def ask(self, what: bytes) -> int:
        self._line.send(what)
        return int.from_bytes(self._line.recv(8), "big", signed=True)


class Forked(subprocess.Popen[bytes]):
    """What a process is to whoever keeps the worker alive."""

    nursery: ClassVar[Nursery]
    _child_created = False  # by this one, which `Popen` would look after

    def __init__(self, command: list[str], **_: object) -> None:
        assert "worker" in command
        self.pid = self.nursery.ask(b"s")

    def poll(self) -> int | None:
        status = self.nursery.ask(b"p")
        if status < 0:
            return None
        self.returncode = status
        return status

    def wait(self, timeout: float | None = None) -> int:
        while (status := self.poll()) is None:
            time.sleep(0.01)
        return status

    def terminate(self) -> None:
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def serve(folder: Path, address: Path) -> None:
    """`asktell serve`, which prints its address into a file."""
    Forked.nursery = Nursery(folder)
    subprocess.Popen = Forked  # type: ignore[misc, assignment]
    running.PAUSES = (0.05,)  # type: ignore[misc, assignment]
    with address.open("w", buffering=1) as sys.stdout:
        running.serve(folder, "127.0.0.1", 0, [], False, True)


@dataclass
class Serving:
    """A server and its worker, started again whenever they were killed: the server here, the worker by the server."""

    folder: Path
    address: Path
    server: int = 0
    worker: int = 0
    starts: int = 0

    def start(self) -> None:
        """Returns when the server and a new worker are there."""
        self.starts += 1
        printed = self.address.with_name(f"address-{self.starts}")
        self.server = start(partial(serve, self.folder, printed))
        until(lambda: printed.exists() and "Ctrl-C" in printed.read_text(), "a server")
        partial_ = self.address.with_suffix(".new")
        partial_.write_text(printed.read_text().split()[0])
        partial_.replace(self.address)
        self.await_worker()

    def await_worker(self) -> None:
        until(lambda: self._new_worker() != self.worker, "a new worker")
        self.worker = self._new_worker()

    def _new_worker(self) -> int:
        told = state.read(self.folder)
        return self.worker if told is None or not Path(f"/proc/{told.pid}").exists() else told.pid

    @property
    def doing(self) -> str:
        """What the worker says that it does."""
        told = state.read(self.folder)
        return "unknown" if told is None else told.state

    def kill_worker(self) -> str:
        """What it was doing."""
        doing = self.doing
        os.kill(self.worker, signal.SIGKILL)
        self.await_worker()
        return f"worker, {doing}"

    def kill_server(self) -> str:
        os.kill(self.server, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(self.server, 0)[1]) == -signal.SIGKILL, "the server died by itself"
        self.start()
        return "server"

    def stop(self) -> int:
        """The server's exit status; its worker ends before it."""
        os.kill(self.server, signal.SIGTERM)
        status = os.waitstatus_to_exitcode(os.waitpid(self.server, 0)[1])
        self.server = 0
        return status
