import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asktell.project import Project

IDS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Six items a to f, classes owl, wren and hawk."""
    with Project.create(tmp_path / "birds", IDS, classes=["owl", "wren", "hawk"]) as project:
        yield project


@pytest.fixture
def fork() -> Callable[[Callable[[], object]], int]:
    """Runs a function in a child process and gives its id; the child exits with 0 if the function returns, else 1."""

    def forked(work: Callable[[], object]) -> int:
        child = os.fork()
        if child:
            return child
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)

    return forked


@pytest.fixture
def exit_status() -> Callable[[int], int]:
    """Waits for a child: its exit status, or minus the signal that killed it."""
    return lambda child: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
