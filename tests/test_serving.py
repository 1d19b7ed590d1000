"""From the README's commands to the first label: server and worker as real processes, ended together."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asktell.project import Project

pytestmark = pytest.mark.slow
ASKTELL = (sys.executable, "-m", "asktell.cli")
TEXTS = {
    "animal": "an owl and a wren sat in the old oak tree and sang of mice and worms number {}",
    "weather": "rain and wind came over the hills and the clouds were low and grey on day {}",
}


def asktell(*words: str) -> str:
    return subprocess.run([*ASKTELL, *words], check=True, capture_output=True, text=True, timeout=120).stdout


@contextmanager
def served(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process of the server, and its address."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*ASKTELL, "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[0]
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0


def call(address: str, token: str, path: str, document: object = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address + path, body, headers), timeout=30) as response:
        return json.load(response)


def wait(until: Callable[[], bool], seconds: float = 150.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.2)


def worker_of(folder: Path) -> int:
    found: int = json.loads((folder / "worker.json").read_text(encoding="utf-8"))["pid"]
    return found


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A project of eighty short texts of two kinds; no encoder has to be fetched for it."""
    with (tmp_path / "notes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("id", "text"))
        table.writerows((f"{kind}-{n}", text.format(n)) for n in range(40) for kind, text in TEXTS.items())
    words = ("--table", str(tmp_path / "notes.csv"), "--id-column", "id", "--classes", "animal,weather")
    asktell("new", str(tmp_path / "notes"), *words, "--embedder", "tfidf", "--audit", "0.2")
    return tmp_path / "notes"


def test_a_person_answers_and_a_model_comes_of_it(notes: Path) -> None:
    token = asktell("token", str(notes)).strip()
    with served(notes) as (_, address):
        for number in range(40):
            item = call(address, token, "/api/questions?ahead=1")["questions"][0]["item"]
            told = {"receipt": f"receipt-{number}", "item": item, "label": item.split("-")[0], "annotator": "ann"}
            call(address, token, "/api/answers", told)
        wait(lambda: call(address, token, "/api/status")["trainings"] > 0)
        assert "answers" in asktell("status", str(notes))  # other commands work beside it
        worker = worker_of(notes)
    assert not Path(f"/proc/{worker}").exists()
    with Project.open(notes) as project:
        assert sum(len(project.annotations(item)) for item in project.labels) == 40
        audited = [item for item in project.labels if (asked := project.question(item)) and asked.audit]
        assert len(audited) == 4  # every tenth
        assert project.trainings[-1].error is None


def test_a_worker_that_dies_is_started_again_and_one_whose_server_dies_ends(notes: Path) -> None:
    with served(notes) as (_, _):
        wait((notes / "worker.json").exists)
        first = worker_of(notes)
        os.kill(first, signal.SIGKILL)
        wait(lambda: worker_of(notes) != first)
    before = worker_of(notes)
    with served(notes) as (server, _):
        wait(lambda: worker_of(notes) != before)
        worker = worker_of(notes)
        server.kill()
        server.wait()
        wait(lambda: not Path(f"/proc/{worker}").exists())


def test_what_a_killed_server_took_the_next_one_knows_again(notes: Path) -> None:
    token, told = asktell("token", str(notes)).strip(), {"receipt": "receipt-1", "item": "animal-0", "label": "animal"}
    undone = {"receipt": "receipt-2", "item": "animal-0"}
    with served(notes) as (server, address):
        assert call(address, token, "/api/answers", told)["recorded"]
        server.kill()
        server.wait()
    with served(notes) as (_, address):
        assert not call(address, token, "/api/answers", told)["recorded"]
        call(address, token, "/api/undo", undone)
        assert not call(address, token, "/api/answers", told)["recorded"]
        assert call(address, token, "/api/undo", undone)["item"] == "animal-0"
        assert call(address, token, "/api/status")["progress"]["spent"] == 0
    with Project.open(notes) as project:
        assert [answer.stands for answer in project.annotations("animal-0")] == [False]
