"""What a worker does where nothing can be written: it says so where it can, waits, and tries again for ever."""

import errno
import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from asktell.engine import Worker, files, state
from asktell.engine.state import ROOM, Bulletin, the_only_one
from asktell.engine.troubles import LONGEST_REST, LONGEST_REST_FROM_DISK, TRIES, Troubles
from asktell.errors import DataError, ModelError, ProjectError

from .conftest import Make

NO_ROOM = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def wrapped() -> Exception:
    """As the embeddings say it."""
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise DataError("it cannot be written; make room") from None
    except DataError as error:
        return error


# Trying again --------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def rests(troubles: Troubles, clock: Clock, error: Exception, times: int) -> list[float]:
    """Seconds between failures, each of which comes as soon as it may; the project never changes."""
    begun = []
    for _ in range(times):
        begun.append(clock.now)
        troubles.add("train", "training", error, 7)
        while troubles.rests("train", 7) and clock.now < begun[-1] + 2 * LONGEST_REST:
            clock.now += 1.0
    return [later - earlier for earlier, later in pairwise(begun)]


@pytest.mark.parametrize(
    "error", [NO_ROOM, wrapped(), PermissionError(errno.EACCES, "x")], ids=["full", "wrapped", "ro"]
)
def test_what_the_disk_refused_is_tried_again_for_ever(error: Exception) -> None:
    clock = Clock()
    found = rests(Troubles(clock), clock, error, 2 * TRIES)
    assert found[:4] == [2.0, 4.0, 8.0, 16.0]
    assert set(found[4:]) == {LONGEST_REST_FROM_DISK}


@pytest.mark.parametrize("error", [ModelError("it does not learn"), FileNotFoundError(errno.ENOENT, "no data")])
def test_anything_else_only_until_it_is_hopeless(error: Exception) -> None:
    clock = Clock()
    found = rests(Troubles(clock), clock, error, TRIES + 1)
    assert found == [2.0, 4.0, 8.0, 16.0, 32.0, 2 * LONGEST_REST]  # not before somebody changes the project


def test_it_is_said_what_to_do() -> None:
    troubles = Troubles()
    assert troubles.add("train", "training", NO_ROOM, 0).message == (
        "training failed: [Errno 28] No space left on device; free some space, or make the folder writable, "
        "and it goes on by itself"
    )
    assert troubles.add("train", "training", ProjectError("no"), 0).message == "training failed: no"


# worker.json ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on no file can be made."""

    def refuse(_path: Path, _content: bytes) -> None:
        raise NO_ROOM

    return lambda: monkeypatch.setattr(state, "write_whole", refuse)


def test_where_no_file_can_be_made_the_old_one_says_the_news(tmp_path: Path, full: Callable[[], None]) -> None:
    with Bulletin(tmp_path) as bulletin:
        bulletin.tell("waiting", "short")
        assert (tmp_path / files.STATE).stat().st_size == ROOM
        full()
        bulletin.tell("failed", "No space left on device. " * 20)
        told = state.read(tmp_path)
    assert told is not None
    assert (told.state, told.message) == ("failed", "No space left on device. " * 20)


@pytest.mark.parametrize("letter", ["a", "\N{OWL}", "\x01"])
def test_whatever_is_said_fits(tmp_path: Path, full: Callable[[], None], letter: str) -> None:
    with Bulletin(tmp_path) as bulletin:
        bulletin.tell("waiting", "short")
        full()
        bulletin.tell("failed", letter * 10_000)
        told = state.read(tmp_path)
    assert (tmp_path / files.STATE).stat().st_size == ROOM
    assert told is not None
    assert told.message.rstrip("…") == letter * len(told.message.rstrip("…"))
    assert len(told.message) > 100


def test_without_an_old_one_the_work_goes_on_unsaid(
    tmp_path: Path, full: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    full()
    with Bulletin(tmp_path) as bulletin:
        bulletin.tell("failed", "no room")
        assert bulletin.doing.message == "no room"
    assert "worker.json cannot be written" in caplog.text
    assert state.read(tmp_path) is None


# The lock and what was left half done --------------------------------------------------------------------------------


def test_the_lock_names_its_holder(tmp_path: Path) -> None:
    (tmp_path / files.LOCK).write_text("123456789012 from another time")
    with the_only_one(tmp_path), pytest.raises(ProjectError, match=rf"process {os.getpid()}\)"), the_only_one(tmp_path):
        pass
    with the_only_one(tmp_path):
        pass


def test_the_next_worker_sweeps_up_what_a_killed_one_left_half_written(make: Make) -> None:
    project = make()
    (project.folder / files.EMBEDDINGS).mkdir()
    left = [
        f".{files.STATE}.0a1b2c3d.partial",
        f".{files.PREDICTIONS}.0a1b2c3d.partial",
        "embeddings/.x.json.1.partial",
    ]
    others = [".web.secret.0a1b2c3d.partial", "mine.partial"]
    for name in left + others:
        (project.folder / name).write_text("half")
    with Worker(project.folder):
        there = [name for name in left + others if (project.folder / name).exists()]
    assert there == others


def test_a_training_that_finds_no_room_is_done_when_there_is_some(
    make: Make, answer: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from asktell.engine import models

    project = make(queue=10, retrain_every=10)

    def refuse(*_: object) -> None:
        raise NO_ROOM

    with Worker(project.folder) as worker:
        worker.work()
        answer(project)
        with monkeypatch.context() as full:
            full.setattr(models, "save", refuse)
            worker.work()
        assert worker.doing.state == "failed"
        assert "free some space" in worker.doing.message
        assert json.loads((project.folder / files.STATE).read_text())["state"] == "failed"
        assert project.trainings[-1].error is not None
        worker._troubles.clear()  # as time does
        worker.work()
        assert worker.doing.state == "waiting"
    assert project.trainings[-1].error is None
