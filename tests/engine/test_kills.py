"""Real kills of the worker's process at random moments, while answers come in."""

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch

from asktell.engine import Worker, predictions, state
from asktell.errors import ProjectError
from asktell.project import Project

from .conftest import Digits, Make

pytestmark = pytest.mark.slow

KILLS = 8
WAIT = 60.0
"""Seconds for a new worker to do something; far more than it takes."""


@dataclass(frozen=True)
class Process:
    """A worker in a forked child, which has all imports already."""

    pid: int
    folder: Path

    @classmethod
    def start(cls, folder: Path, **options: int) -> "Process":
        child = os.fork()
        if child:
            return cls(child, folder)
        try:
            torch.set_num_threads(1)
            Worker(folder, **options).run()
            os._exit(0)
        except SystemExit:
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(1)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        """Kills it, unless it has ended."""
        with suppress(ChildProcessError, ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    @property
    def has_ended(self) -> bool:
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0

    def status(self) -> int:
        """How it ended, when it has."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def answer(project: Project, digits: Digits) -> None:
    """Answer some of what is open."""
    for question in project.questions(3, audit=False):
        project.tell([question.item], [digits.truth[question.item]], "ann")
    time.sleep(0.02)


def work_done(project: Project) -> int:
    """Queries and trainings so far."""
    return project.next_query + len(project.trainings)


def await_work(worker: Process, is_done: Callable[[], bool]) -> None:
    """Until it is done; the worker must not end before."""
    over = time.monotonic() + WAIT
    while not is_done():
        assert not worker.has_ended, "the worker ended by itself"
        assert time.monotonic() < over, f"the worker does nothing: {state.read(worker.folder)}"
        time.sleep(0.02)


@pytest.fixture(autouse=True, scope="module")
def _imported() -> None:
    """What a first training imports, once and not in every child."""
    torch.optim.Adam([torch.zeros(1)])


def test_killed_workers_lose_nothing(make: Make, digits: Digits) -> None:
    """Each does something, and is killed up to a second later while answers come in."""
    project = make(queue=10, retrain_every=5)
    chance = random.Random(0)

    def more_than(before: int) -> bool:
        answer(project, digits)
        return work_done(project) > before

    for _ in range(KILLS):
        with Process.start(project.folder) as worker:
            await_work(worker, partial(more_than, work_done(project)))
            over = time.monotonic() + chance.uniform(0, 1.0)
            while time.monotonic() < over:
                answer(project, digits)
        assert all(project.labels[id_] == digits.truth[id_] for id_ in project.labels)
    with Worker(project.folder) as last:
        last.work()
        assert last.doing.state == "waiting", last.doing.message
    asked = [id_ for query in project.queries for id_ in query.ids]
    assert len(asked) == len(set(asked))
    assert len(project.labels) + len(project.questions()) == len(asked)
    newest = project.trainings[-1]
    kept = predictions.read(project.folder)
    assert kept is not None
    assert kept.model == newest.model
    assert "advice" in newest.report
    assert [training.number for training in project.trainings] == list(range(len(project.trainings)))
    assert {training.error for training in project.trainings} == {None}


def test_a_worker_ends_by_sigterm_and_says_so(make: Make) -> None:
    project = make()
    with Process.start(project.folder) as worker:
        await_work(worker, lambda: project.next_query > 0)
        with pytest.raises(ProjectError, match=f"process {worker.pid}"):
            Worker(project.folder).__enter__()
        os.kill(worker.pid, signal.SIGTERM)
        assert worker.status() == 0
    told = state.read(project.folder)
    assert told is not None
    assert (told.pid, told.state) == (worker.pid, "stopped")
    with Worker(project.folder):
        pass


def test_a_worker_ends_with_its_parent(make: Make) -> None:
    project = make()
    assert Process.start(project.folder, parent=os.getpid() + 1).status() == 0
    assert project.next_query == 0
