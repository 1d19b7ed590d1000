"""A hundred real kills (SIGKILL) of the server and its worker at random moments, while people answer through HTTP.

The processes are those of `asktell serve` but for one thing: they are forked, not executed anew, so that a restart
takes a tenth of a second and a hundred of them fit into a test.
"""

import json
import mmap
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from asktell.engine import Worker
from asktell.project import Project
from asktell.types import SKIP, Query
from asktell.web import create_app
from asktell.web.passwords import hash_token
from asktell.web.server import secret

from ..engine import learners
from .annotators import Annotator, Ledger, Line
from .conftest import KEPT, TOKEN
from .processes import Serving, start, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

KILLS = 100
LEAST = 5
"""Fewest kills of a worker that is learning, and fewest requests that a killed server had done and not answered, for
the test to say anything. Where chance gives fewer of the first among `KILLS`, up to as many kills again are made."""
ITEMS, CLASSES = 8_000, ("north", "east", "south", "west")
PEOPLE = ("ann", "bob", "cleo")
BESIDE = "beside"
"""Who answers by `tell`, without the server."""
is_over = mmap.mmap(-1, 1)
"""Set to 1 when annotators are to stop; shared with their processes."""


def annotate(name: str, address: Path, ledger: Path) -> None:
    annotator = Annotator(name, Line(address, TOKEN), CLASSES)
    annotator.work(lambda: bool(is_over[0])).write(ledger)


def tell_beside(folder: Path, ledger: Path) -> None:
    """As `asktell tell` does: opens the project, tells, and closes it."""
    chance, told = random.Random(BESIDE), []
    while not is_over[0]:
        item, label = f"row-{chance.randrange(ITEMS)}", chance.choice(CLASSES)
        with Project.open(folder) as project:
            project.tell([item], [label], BESIDE)
        told.append((item, label))
        time.sleep(0.2)
    ledger.write_text(json.dumps(told))


# The project ---------------------------------------------------------------------------------------------------------


def make(folder: Path, n: int) -> Path:
    """A project of points in 64 dimensions; a tenth is kept for the audit."""
    data = folder.with_suffix(".npy")
    np.save(data, np.random.default_rng(0).normal(size=(n, 64)).astype(np.float32))
    ids, contents = [f"row-{number}" for number in range(n)], [str(number + 1) for number in range(n)]
    with Project.create(folder, ids, classes=CLASSES, audit=0.1, contents=contents) as project:
        project.set("password", KEPT)
        project.set("token", hash_token(TOKEN))
        project.set("source", {"kind": "features", "path": str(data)})
        project.set("learner", f"{learners.__name__}:quick")
        for name, value in {"queue": 20, "retrain_every": 10, "draws": 10}.items():
            project.set(name, value)
    secret(folder)
    return folder


def warm_up(folder: Path) -> None:
    """Import and check here, once, all that every child would else import and check anew."""
    with Worker(folder) as worker, Project.open(folder) as project:
        worker.work()
        ids = [question.item for question in project.questions()]
        project.tell(ids, [CLASSES[number % len(CLASSES)] for number in range(len(ids))], "ann")
        worker.work()
        assert worker.doing.state == "waiting", worker.doing.message
    with TestClient(create_app(folder, secret="s" * 32), base_url="http://localhost") as client:
        client.headers["Authorization"] = f"Bearer {TOKEN}"
        item = client.get("/api/questions").json()["questions"][0]["item"]
        for done, more in (("answers", {"label": "north"}), ("undo", {}), ("flags", {"flagged": True})):
            client.post(f"/api/{done}", json={"receipt": f"warm up {done}", "item": item, **more}).raise_for_status()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    warm_up(make(tmp_path / "warm", 300))
    there = Serving(make(tmp_path / "rows", ITEMS), tmp_path / "address")
    is_over[0] = 0
    there.start()
    yield there
    is_over[0] = 1
    if there.server:
        there.stop()


# What must hold ------------------------------------------------------------------------------------------------------


def rows_of(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "project.db")) as connection:
        return connection.execute(sql).fetchall()


def check_file(folder: Path) -> None:
    assert rows_of(folder, "PRAGMA integrity_check") == [("ok",)]
    assert rows_of(folder, "PRAGMA foreign_key_check") == []
    for kept, counted in (
        ("item_count", "SELECT part, state, coalesce(label, 0), count(*) FROM item GROUP BY 1, 2, 3"),
        ("question_count", "SELECT state, count(*) FROM question GROUP BY 1"),
    ):
        assert {row for row in rows_of(folder, f"SELECT * FROM {kept}") if row[-1]} == set(rows_of(folder, counted))
    assert [path.name for path in folder.glob(".*.partial")] == [], "what was half written is swept up"


def check_ledger(folder: Path, ledger: Ledger) -> None:
    """What was acknowledged is there, in order, once, and nothing else of this annotator."""
    mine = f"annotator = '{ledger.name}'"
    receipts = {
        receipt: (item, annotation)
        for receipt, item, annotation in rows_of(
            folder, f"SELECT receipt, id, annotation FROM receipt JOIN item ON number = item WHERE {mine}"
        )
    }
    assert {one.receipt: one.item for one in ledger.told} == {name: item for name, (item, _) in receipts.items()}
    answers = {
        number: (item, label)
        for number, item, label in rows_of(
            folder,
            "SELECT annotation.number, id, class.name FROM annotation JOIN item ON item.number = item "
            f"LEFT JOIN class ON class.number = annotation.label WHERE {mine}",
        )
    }
    written = check_answers(ledger, answers, {name: number for name, (_, number) in receipts.items()})
    assert sorted(answers) == written, "each answer once, in the order in which they were given"
    undone = {receipts[one.receipt][1] for one in ledger.told if one.done == "undo"}
    retracted = rows_of(
        folder, f"SELECT annotation FROM retraction JOIN annotation ON annotation.number = annotation WHERE {mine}"
    )
    assert sorted(retracted) == sorted((number,) for number in undone)
    assert len(undone) == sum(one.done == "undo" for one in ledger.told)
    flags = rows_of(
        folder, f"SELECT id, flagged FROM flag JOIN item ON item.number = item WHERE {mine} ORDER BY flag.number"
    )
    assert flags == [(one.item, int(bool(one.label))) for one in ledger.told if one.done == "flags"]


def check_answers(
    ledger: Ledger, answers: Mapping[int, tuple[str, str | None]], numbers: Mapping[str, int | None]
) -> list[int]:
    """The numbers of the annotations that the ledger's answers became; a skip that came late became none."""
    written = []
    for one in ledger.told:
        number = numbers[one.receipt]
        if one.done == "answers" and (number is not None or one.label is not None):
            assert number is not None, one
            assert answers[number] == (one.item, one.label)
            written.append(number)
    return written


def check_nothing_is_stuck(folder: Path) -> None:
    """What is neither labelled nor skipped is open, or can be asked."""
    with Project.open(folder) as project:
        assert max(Counter(id_ for query in project.queries for id_ in query.ids).values()) == 1, "asked twice"
        status = project.status()
        assert len(project.questions()) == status.states["pending"]
        assert {question.item for question in project.questions(audit=False)} == set(project.candidates().pending_ids)
        for strategy, free in (("random", project.candidates().ids), ("audit", project.next_audit(ITEMS))):
            project.record(Query(project.next_query, free, (0.0,) * len(free), {"name": strategy}, 0))
        ids = [question.item for question in project.questions()]
        project.tell(ids, [SKIP] * len(ids), "the end")
        done = project.status().states
        assert done["labelled"] + done["skipped"] == ITEMS


def test_a_hundred_kills_lose_nothing_repeat_nothing_and_stop_nothing(serving: Serving, tmp_path: Path) -> None:
    folder, chance = serving.folder, random.Random(0)
    people = {name: start(partial(annotate, name, serving.address, tmp_path / f"{name}.json")) for name in PEOPLE}
    people[BESIDE] = start(partial(tell_beside, folder, tmp_path / f"{BESIDE}.json"))
    died: Counter[str] = Counter()
    begun = time.monotonic()

    def kill() -> None:
        if chance.random() < 0.8:
            until(lambda: serving.doing != "embedding", "a worker that is ready")
        time.sleep(chance.uniform(0, 0.3))
        assert [name for name, pid in people.items() if os.waitpid(pid, os.WNOHANG)[0]] == [], "an annotator gave up"
        died[serving.kill_server() if chance.random() < 0.5 else serving.kill_worker()] += 1

    while died.total() < KILLS or (died["worker, training"] < LEAST and died.total() < 2 * KILLS):
        kill()
    took = time.monotonic() - begun
    check_work_goes_on(folder)
    is_over[0] = 1
    assert {name: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for name, pid in people.items()} == dict.fromkeys(
        people, 0
    )
    worker = serving.worker
    assert serving.stop() == 0
    assert not Path(f"/proc/{worker}").exists(), Path(f"/proc/{worker}/status").read_text()
    check_file(folder)
    ledgers = [Ledger.read(tmp_path / f"{name}.json") for name in PEOPLE]
    for ledger in ledgers:
        check_ledger(folder, ledger)
    beside = rows_of(
        folder,
        "SELECT id, class.name FROM annotation JOIN item ON item.number = item JOIN class ON class.number = "
        f"annotation.label WHERE annotator = '{BESIDE}' ORDER BY annotation.number",
    )
    assert [list(row) for row in beside] == json.loads((tmp_path / f"{BESIDE}.json").read_text())
    check_nothing_is_stuck(folder)
    acknowledged, late = sum(len(one.told) for one in ledgers), sum(one.unheard_but_done for one in ledgers)
    print(f"{died.total()} kills in {took:.0f} s: {dict(died)}; {acknowledged} acknowledged, {len(beside)} by tell")
    print(f"{late} answers were taken by a server that was killed before it could say so")
    assert died["worker, training"] >= LEAST, died
    assert late >= LEAST


def check_work_goes_on(folder: Path) -> None:
    """Without anybody's help, the worker asks and learns from what was answered since."""
    with Project.open(folder) as project:
        asked, learnt = project.next_query, len(project.trainings)

        def asks() -> bool:
            return any(query.strategy["name"] not in ("random", "audit") for query in project.queries[asked:])

        until(asks, "questions of the strategy")
        until(lambda: len(project.trainings) > learnt, "a training")
        trainings = project.trainings
    assert all(two.number == one.number + 1 for one, two in pairwise(trainings))
    assert {training.error for training in trainings} == {None}
