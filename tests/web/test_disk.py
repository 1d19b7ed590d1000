"""A disk without room and a folder that must not be written, under a real server and its worker.

Room is taken in two ways. A limit on the size of files (RLIMIT_FSIZE, set from outside and taken away again) needs no
rights, so that every machine runs it; writing then fails with EFBIG. A small file system of its own is really full,
with ENOSPC, but mounting one needs rights that a container seldom gives.
"""

import ctypes
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
import numpy as np
import pytest

from asktell.project import Project
from asktell.web.passwords import hash_token

from .conftest import KEPT, PASSWORD, TOKEN, find_proof

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ASKTELL = (sys.executable, "-m", "asktell.cli")
WAIT = 150.0
ITEMS = 600
NO_ROOM = r"disk (is full|failed)|No space left|File too large"
WHAT_TO_DO = r"free (some )?space|make room"


def until(is_so: Callable[[], object], what: str) -> None:
    end = time.monotonic() + WAIT
    while not is_so():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(0.1)


# Room ----------------------------------------------------------------------------------------------------------------


class Room(Protocol):
    """What a folder lies on."""

    def take(self, *processes: int) -> None:
        """No process can write more."""
        ...

    def give(self, *processes: int) -> None:
        """They can again."""
        ...


class Limit:
    """No file may be longer than what worker.json takes: the database and models are."""

    def take(self, *processes: int) -> None:
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def give(self, *processes: int) -> None:
        for process in processes:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@dataclass
class Mounted:
    """A file system of 8 MB; a file takes what is left of it."""

    folder: Path

    def take(self, *_processes: int) -> None:
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            for size in (65_536, 4096, 1):
                try:
                    while file.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def give(self, *_processes: int) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture(params=["limit", "mounted"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    """Under `tmp_path / "disk"`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if request.param == "limit":
        yield Limit()
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield Mounted(disk)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# A served project ----------------------------------------------------------------------------------------------------


def make(folder: Path, data: Path) -> Path:
    """Points around four corners, which the default model learns in a second."""
    corner = np.arange(ITEMS) % 4
    rows = np.eye(8)[corner] * 4 + np.random.default_rng(0).normal(size=(ITEMS, 8))
    np.save(data, rows.astype(np.float32))
    ids = [f"corner-{c}-{number}" for number, c in enumerate(corner)]
    contents = [str(number + 1) for number in range(ITEMS)]
    with Project.create(folder, ids, classes=list("0123"), contents=contents) as project:
        project.set("password", KEPT)
        project.set("token", hash_token(TOKEN))
        for name, value in {"queue": 12, "retrain_every": 6, "draws": 10}.items():
            project.set(name, value)
        project.set("source", {"kind": "features", "path": str(data)})
    return folder


@dataclass
class Served:
    """A server, its worker, and a program that answers."""

    folder: Path
    process: "subprocess.Popen[str]"
    client: httpx2.Client
    said: dict[str, str] = field(default_factory=dict)

    @property
    def worker(self) -> int:
        return int(json.loads((self.folder / "worker.json").read_text(encoding="utf-8"))["pid"])

    @property
    def status(self) -> Any:
        return self.client.get("/api/status").raise_for_status().json()

    @property
    def learnt(self) -> int:
        """Labels that the newest model has learnt."""
        newest = self.status["newest"]
        return 0 if newest is None or newest["error"] is not None else int(newest["n_labelled"])

    def has_trouble(self, words: str) -> bool:
        """Whether the worker says so just now; when it tries again, it says that."""
        told = self.status["worker"]
        return told["kind"] == "trouble" and re.search(words, told["message"]) is not None

    def answer(self) -> httpx2.Response:
        """One answer as it should be; kept if it was acknowledged."""
        item = self.client.get("/api/questions").raise_for_status().json()["questions"][0]["item"]
        return self.send(item)

    def send(self, item: str) -> httpx2.Response:
        body = {"receipt": f"receipt of {item}", "item": item, "label": item.split("-")[1]}
        reply = self.client.post("/api/answers", json=body)
        if reply.status_code == 200:
            self.said[item] = body["label"]
        return reply

    def check(self) -> None:
        """All that was acknowledged is there, once, in a file that is whole."""
        with Project.open(self.folder) as project:
            assert project.labels == self.said
            assert project.status().annotations == len(self.said)
            assert len(project.questions()) == project.status().states["pending"]
        with closing(sqlite3.connect(self.folder / "project.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert [path.name for path in self.folder.rglob(".*.partial")] == []


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Served]:
    command = [*ASKTELL, "serve", str(folder), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **options) as process:
        assert process.stdout is not None
        try:
            at = process.stdout.readline().split()[0]
            with httpx2.Client(base_url=at, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
                yield Served(folder, process, client)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def at_work(served: Served) -> None:
    """It has learnt from answers, and is not done with those that came after."""
    for _ in range(8):
        assert served.answer().status_code == 200
    until(lambda: served.learnt >= 6, "a first training")
    until(lambda: served.status["worker"]["state"] == "waiting", "all that is due")


# No room -------------------------------------------------------------------------------------------------------------


def test_without_room_everything_says_so_and_with_room_it_goes_on_by_itself(room: Room, tmp_path: Path) -> None:
    with serving(make(tmp_path / "disk" / "corners", tmp_path / "rows.npy")) as served:
        at_work(served)
        server, worker = served.process.pid, served.worker
        os.kill(worker, signal.SIGSTOP)
        for _ in range(10):
            assert served.answer().status_code == 200
        learnt = served.learnt
        room.take(server, worker)
        os.kill(worker, signal.SIGCONT)

        refused = next(item for item in free_items(served) if is_refused(served.send(item)))
        assert is_refused(served.send(refused))  # and still is
        until(lambda: served.has_trouble(f"({NO_ROOM}).*({WHAT_TO_DO})"), "the worker's trouble")
        assert is_refused_page(served, refused)
        beside = subprocess.run([*ASKTELL, "status", str(served.folder), "--json"], capture_output=True, check=True)
        assert json.loads(beside.stdout)["annotations"] == len(served.said)

        room.give(server, worker)
        until(lambda: served.learnt > learnt, "a training")
        until(lambda: served.status["worker"]["kind"] == "calm", "the end of the worker's trouble")
        assert served.worker == worker
        reply = served.send(refused)
        assert (reply.status_code, reply.json()["recorded"]) == (200, True)
        for _ in range(12):
            assert served.answer().status_code == 200
        until(lambda: served.learnt > learnt + 10, "another training")
    served.check()


def free_items(served: Served) -> list[str]:
    """Many to label: what is written once may still find a place in the log, where something was written before."""
    listed = served.client.get("/api/items", params={"state": "free", "limit": 400}).raise_for_status().json()
    return [item["id"] for item in listed]


def is_refused(reply: httpx2.Response) -> bool:
    """For want of room, in words that say what to do."""
    if reply.status_code == 200:
        return False
    told = reply.json()["detail"]
    assert (reply.status_code, bool(re.search(NO_ROOM, told)), bool(re.search(WHAT_TO_DO, told))) == (503, True, True)
    return True


def is_refused_page(served: Served, item: str) -> bool:
    """A person who corrects an item on its page reads why not."""
    with httpx2.Client(base_url=served.client.base_url) as person:
        proof = find_proof(person.get("/sign-in").text)
        person.post("/sign-in", data={"password": PASSWORD, "name": "ann", "proof": proof})
        proof = find_proof(person.get("/items/item", params={"id": item}).text)
        sent = {"id": item, "label": "0", "receipt": "receipt of ann", "proof": proof}
        reply = person.post("/items/label", data=sent)
    assert "The project cannot be used now" in reply.text
    return reply.status_code == 503 and bool(re.search(NO_ROOM, reply.text))


# Not to be written ---------------------------------------------------------------------------------------------------


def as_others() -> None:
    """Root may write whatever its owner may not; without this capability, which exec then leaves out, it may not."""
    pr_capbset_drop, cap_dac_override = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0):
        os._exit(99)


@contextmanager
def read_only(folder: Path, *, files: bool) -> Iterator[None]:
    """The folder takes no new files, and those in it, if that is said, no other content."""
    paths = [path for path in folder.rglob("*") if path.is_file() and files]
    modes = {path: path.stat().st_mode for path in (folder, *paths)}
    for path, mode in modes.items():
        path.chmod(mode & 0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "--port", "0"],
        ["worker"],
        ["status"],
        ["tell", "--id", "corner-0-0", "--label", "0", "--annotator", "ann"],
    ],
    ids=lambda words: words[0],
)
def test_what_must_not_be_written_is_refused_at_once_with_what_to_do(tmp_path: Path, words: list[str]) -> None:
    folder = make(tmp_path / "corners", tmp_path / "rows.npy")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with read_only(folder, files=True):
        command = [*ASKTELL, words[0], str(folder), *words[1:]]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT, preexec_fn=as_others)
    assert ended.returncode == 1, ended.stderr
    assert re.search(r"asktell: .*writable for this user", " ".join(ended.stderr.split())), ended.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_takes_no_files_stops_the_worker_only_as_long_as_that_lasts(tmp_path: Path) -> None:
    """Answers are written into files that are open already; what the worker would make anew is not."""
    with serving(make(tmp_path / "corners", tmp_path / "rows.npy"), preexec_fn=as_others) as served:
        at_work(served)
        worker = served.worker
        with read_only(served.folder, files=False):
            for _ in range(10):
                assert served.answer().status_code == 200
            until(lambda: served.has_trouble("Permission denied.*make the folder writable"), "the worker's trouble")
        until(lambda: served.status["worker"]["kind"] == "calm", "the end of the worker's trouble")
        until(lambda: served.learnt > 8, "a training")
        assert served.worker == worker
    served.check()
