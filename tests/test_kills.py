"""Real kills (SIGKILL) at random moments, and what the project must still hold afterwards."""

import mmap
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from sqlalchemy import Engine, event

from asktell import Loop, Project
from asktell.evidence import Evidence
from asktell.selection import Selection
from asktell.strategies import BALD, Power, Random, Strategy
from asktell.types import SKIP, Query, Skip

pytestmark = pytest.mark.slow

KILLS = 50
LEAST = 5
"""Fewest kills inside an open transaction, and fewest during selection, for the test to say anything. Where chance
gives fewer among `KILLS`, up to as many kills again are made; then the test fails."""
CLASSES = ("owl", "wren", "hawk")
ELSEWHERE, SELECTING, WRITING, COMMITTING = range(4)
moment = mmap.mmap(-1, 2)
"""One byte per driver, shared with its process: what it is doing. It outlives the process."""


def oracle(id_: str) -> str | Skip:
    return SKIP if int(id_) % 10 == 3 else CLASSES[int(id_) % 3]


# Drivers: the processes that are killed ----------------------------------------------------------------------------


def start(work: Callable[[], None]) -> int:
    """Run `work` in a forked child, which has all imports already."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(1)


@dataclass(frozen=True)
class Watched:
    """A strategy that takes a moment, and says while it selects that it does."""

    name: ClassVar[str] = "watched"
    inner: Strategy
    slot: int

    @property
    def needs(self) -> frozenset[str]:
        return self.inner.needs

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        moment[self.slot] = SELECTING
        time.sleep(0.012)
        selection = self.inner(evidence, b, generator=generator, memory=memory)
        moment[self.slot] = ELSEWHERE
        return selection


def watch_transactions(slot: int) -> None:
    """Say from the moment when the write lock is held until commit or rollback that a transaction is open."""

    def say(what: int, *_: object) -> None:
        moment[slot] = what

    def begun(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement == "BEGIN IMMEDIATE":
            moment[slot] = WRITING

    event.listen(Engine, "after_cursor_execute", begun)
    event.listen(Engine, "commit", partial(say, COMMITTING))
    event.listen(Engine, "rollback", partial(say, ELSEWHERE))
    event.listen(Engine, "checkin", partial(say, ELSEWHERE))


def drive(folder: Path, log: Path, slot: int) -> None:
    """Ask and tell without end, after answering what a predecessor left open; write down what was acknowledged."""
    watch_transactions(slot)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Project.open(folder) as project:
        loop = Loop(project, Watched(Random(), slot))
        for query in loop.unanswered:
            if query.model == f"driver {slot}":
                answer(loop, query, slot, file)
        while True:
            query = loop.ask(loop.candidates(), 3, model=f"driver {slot}")
            os.write(file, f"asked {query.number} {' '.join(query.ids)}\n".encode())
            answer(loop, query, slot, file)


def answer(loop: Loop, query: Query, slot: int, file: int) -> None:
    """The first item alone, then the rest: so that kills also find queries that are answered in part."""
    for ids in (query.ids[:1], query.ids[1:]):
        loop.tell(ids, [oracle(id_) for id_ in ids], annotator=f"driver {slot}")
        os.write(file, f"told {query.number} {' '.join(ids)}\n".encode())


# What is checked after every kill ------------------------------------------------------------------------------------


def acknowledged(logs: list[Path]) -> list[tuple[int, str, int, tuple[str, ...]]]:
    """(slot, "asked" or "told", number of the query, ids), driver by driver."""
    lines = [(slot, line.split()) for slot, log in enumerate(logs) for line in log.read_text().splitlines()]
    return [(slot, words[0], int(words[1]), tuple(words[2:])) for slot, words in lines]


def check_nothing_was_lost(folder: Path, logs: list[Path]) -> None:
    known = acknowledged(logs)  # read first: the other driver goes on
    with Project.open(folder) as project:
        queries, labels, skipped = project.queries, project.labels, set(project.skipped)
    assert [query.number for query in queries] == list(range(len(queries)))
    asked = Counter(chain.from_iterable(query.ids for query in queries))
    assert max(asked.values(), default=1) == 1, "an item was asked twice"
    for slot, what, number, ids in known:
        if what == "asked":
            assert (queries[number].ids, queries[number].model) == (ids, f"driver {slot}")
        else:
            for id_ in ids:
                assert labels.get(id_, SKIP if id_ in skipped else None) == oracle(id_), "an answer was lost"


class Drivers:
    """Two processes that ask and tell on one project without end, until killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = [folder.parent / f"log {slot}" for slot in range(2)]
        self.pids: dict[int, int] = {}
        for log in self.logs:
            log.touch()
        for slot in range(2):
            self.start(slot)

    def start(self, slot: int) -> None:
        """Returns when the driver has acknowledged a query and its answers; what was open before came first."""
        log, left = self.logs[slot], self.left_open(slot)
        seen = len(acknowledged([log]))
        moment[slot] = ELSEWHERE
        self.pids[slot] = start(partial(drive, self.folder, log, slot))
        while len(acknowledged([log])) < seen + len(left) + 2:
            assert os.waitpid(self.pids[slot], os.WNOHANG) == (0, 0), "a driver died by itself"
            time.sleep(0.005)
        first = acknowledged([log])[seen:]
        assert [entry[1:3] for entry in first[: len(left)]] == [("told", number) for number in left]
        assert not set(left) & set(self.left_open(slot))

    def left_open(self, slot: int) -> list[int]:
        """The queries of this driver that have items without an answer."""
        with Project.open(self.folder) as project:
            return [query.number for query in project.unanswered if query.model == f"driver {slot}"]

    def kill(self, slot: int) -> int:
        """What the driver was doing when it died."""
        os.kill(self.pids[slot], signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(self.pids.pop(slot), 0)[1]) == -signal.SIGKILL, "died by itself"
        return moment[slot]

    def stop(self) -> None:
        for slot in list(self.pids):
            self.kill(slot)


@pytest.mark.timeout(240)
def test_no_kill_loses_an_answer_or_asks_twice(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    Project.create(folder, map(str, range(6_000)), classes=CLASSES).close()
    drivers, chance = Drivers(folder), random.Random(0)
    died: Counter[int] = Counter()

    def enough() -> bool:
        return min(died[WRITING] + died[COMMITTING], died[SELECTING]) >= LEAST

    try:
        while died.total() < KILLS or (not enough() and died.total() < 2 * KILLS):
            time.sleep(chance.uniform(0.0, 0.06))
            slot = chance.randrange(2)
            died[drivers.kill(slot)] += 1
            check_nothing_was_lost(folder, drivers.logs)
            drivers.start(slot)
    finally:
        drivers.stop()
    check_nothing_was_lost(folder, drivers.logs)
    print(
        f"{died[WRITING]} killed in an open transaction, {died[COMMITTING]} in its commit, {died[SELECTING]} selecting"
    )
    assert enough(), died


# A killed run asks what an undisturbed one asks ---------------------------------------------------------------------


ROUNDS = 30


def log_probs(project: Project) -> torch.Tensor:
    """Of two models that depend on the labels so far: one row per candidate, two draws, three classes."""
    snapshot = project.candidates()
    known = sum(CLASSES.index(label) + 1 for label in snapshot.labels)
    rows = torch.tensor([[int(id_), known, draw] for id_ in snapshot.ids for draw in (1, 2)], dtype=torch.float64)
    logits = torch.sin(rows.prod(1, keepdim=True) * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    return logits.log_softmax(-1).reshape(-1, 2, 3)


def run(folder: Path) -> None:
    """An active learning run of `ROUNDS` queries, answered one by one; picks up where a predecessor was killed."""
    with Project.open(folder) as project:
        loop = Loop(project, Power(BALD()))
        while True:
            for query in loop.unanswered:
                for id_ in query.ids:
                    loop.tell([id_], [oracle(id_)], annotator="oracle")
            if project.next_query == ROUNDS:
                return
            loop.ask(loop.candidates(), 3, log_probs=log_probs(project))


def outcome(folder: Path) -> tuple[list[Query], dict[str, str]]:
    with Project.open(folder) as project:
        return [replace(query, created="") for query in project.queries], project.labels


@pytest.mark.timeout(120)
def test_a_run_that_is_killed_asks_what_an_undisturbed_run_asks(tmp_path: Path) -> None:
    for name in ("calm", "killed"):
        Project.create(tmp_path / name, map(str, range(200)), classes=CLASSES, seed=3).close()
    run(tmp_path / "calm")
    chance, kills, finished = random.Random(1), 0, False
    while not finished:
        child = start(partial(run, tmp_path / "killed"))
        if kills < 8:
            time.sleep(chance.uniform(0.02, 0.1))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        kills += status == -signal.SIGKILL
        finished = status == 0
        assert status in (0, -signal.SIGKILL)
    assert kills >= LEAST
    calm, killed = outcome(tmp_path / "calm"), outcome(tmp_path / "killed")
    assert len(calm[0]) == ROUNDS
    assert killed == calm
