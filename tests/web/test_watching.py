"""What people are told about the worker, and when."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from asktell.project.worker import SILENT, Worker, is_gone, notice, read_worker
from asktell.web.watching import news

HERE = Path("birds")


def write(folder: Path, **told: object) -> None:
    known = {"pid": os.getpid(), "state": "waiting", "message": "", "done": 0, "of": 0, "since": None, "beat": None}
    (folder / "worker.json").write_text(json.dumps({**known, **told}))


def test_the_state_is_read_with_times_as_numbers_or_text(tmp_path: Path) -> None:
    write(tmp_path, state="embedding", done=3, of=4, since="1970-01-01T00:01:00+00:00", beat=61.5)
    worker = read_worker(tmp_path)
    assert (worker.state, worker.share, worker.since, worker.beat) == ("embedding", 0.75, 60.0, 61.5)


@pytest.mark.parametrize("written", ["", "{", "[]", "3", "\xff"])
def test_a_file_that_cannot_be_read_is_no_trouble(tmp_path: Path, written: str) -> None:
    (tmp_path / "worker.json").write_text(written, encoding="latin-1")
    assert notice(read_worker(tmp_path), HERE, 0.0).kind == "waiting"


@pytest.mark.parametrize(
    "told", [{"done": "x"}, {"of": 0}, {"beat": "soon"}, {"beat": True}, {"pid": -1}, {"state": None}, {"since": [1]}]
)
def test_fields_that_make_no_sense_are_no_trouble(tmp_path: Path, told: dict[str, object]) -> None:
    write(tmp_path, **told)
    assert notice(read_worker(tmp_path), HERE, 0.0).sentence


@pytest.mark.parametrize(
    ("worker", "kind"),
    [
        (Worker(), "waiting"),
        (Worker("waiting", beat=100.0), "calm"),
        (Worker("training", beat=100.0, done=1, of=2), "calm"),
        (Worker("something new", beat=100.0), "calm"),
        (Worker("stopped", "It was told to.", beat=0.0), "waiting"),
        (Worker("stopped"), "waiting"),
        (Worker("failed", "It did not fit."), "trouble"),
        (Worker("training", beat=100.0 - SILENT - 1), "trouble"),
        (Worker("training", beat=100.0, pid=2**22 + 1), "trouble"),
    ],
)
def test_what_people_are_told(worker: Worker, kind: str) -> None:
    assert notice(worker, HERE, 100.0).kind == kind


def test_a_failure_is_told_with_its_message_and_that_nothing_is_lost() -> None:
    said = notice(Worker("failed", "It did not fit."), HERE, 0.0)
    assert said.detail == "It did not fit."
    assert "Answers that were taken are saved" in said.sentence


def test_a_worker_that_lives_is_not_gone() -> None:
    assert not is_gone(Worker("training", pid=os.getpid(), beat=100.0), 100.0)
    assert is_gone(Worker("training", pid=os.getpid(), beat=0.0), 100.0)


def test_news_come_at_once_and_then_only_when_something_changed(tmp_path: Path) -> None:
    versions = iter([1, 1, 1, 2, 2, 2, 2])
    looks = [0]

    def changes() -> int:
        looks[0] += 1
        if looks[0] == 6:
            write(tmp_path, state="training")
        return next(versions)

    async def follow() -> list[str]:
        stream = news(changes, tmp_path, lambda: looks[0] >= 7, pause=0.0)
        return [event async for event in stream]

    events = asyncio.run(follow())
    told = [json.loads(event.split("data: ")[1]) for event in events]
    assert [(one["version"], one["worker"]["state"]) for one in told] == [
        (1, "absent"), (2, "absent"), (2, "training")
    ]  # fmt: skip
    assert all(event.startswith("event: changed\n") and event.endswith("\n\n") for event in events)


def test_a_sign_of_life_alone_is_no_news(tmp_path: Path) -> None:
    looks = [0]

    def changes() -> int:
        looks[0] += 1
        write(tmp_path, beat=4e9 + looks[0])
        return 1

    write(tmp_path, beat=4e9)

    async def follow() -> list[str]:
        return [event async for event in news(changes, tmp_path, lambda: looks[0] >= 5, pause=0.0)]

    assert len(asyncio.run(follow())) == 1
