"""A simulated annotator who answers over HTTP: asked by two strategies, and at random.

    python scripts/annotator.py results/annotator

Makes a project of BBC News and one of 5,000 MNIST files for every strategy and seed, serves it with its worker, answers
300 or 600 questions with the true labels, each once the worker has chosen it, and writes what every model knew of the
held-out items. A finished file is not made again.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from asktell import __version__
from asktell.experiments.samples import write_sample
from asktell.project import Project
from asktell.writing import write_whole

SEEDS = range(5)
STRATEGIES = ("power-bald", "kmeans-margin", "random")
PATIENCE = 600.0
ASKTELL = (sys.executable, "-m", "asktell.cli")


@dataclass(frozen=True)
class Data:
    """A sample, the words that make a project of it, and how many questions are answered."""

    name: str
    file: str
    count: int | None
    words: tuple[str, ...]
    answers: int


DATA = (
    Data("bbc-news", "news.csv", None, ("--table", "--id-column", "id", "--label-column", "label"), 300),
    Data("mnist", "digits", 5_000, ("--images", "--folder-labels"), 600),
)


@dataclass(frozen=True)
class Page:
    """The API of a served project."""

    address: str
    token: str

    def get(self, path: str) -> Any:
        """What is there."""
        return self._send(urllib.request.Request(self.address + path))

    def post(self, path: str, document: Mapping[str, object]) -> Any:
        """What comes back for `document`."""
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json"}
        return self._send(urllib.request.Request(self.address + path, body, headers, method="POST"))

    def _send(self, request: urllib.request.Request) -> Any:
        request.add_header("Authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


def annotate(page: Page, truth: Mapping[str, str], answers: int) -> None:
    """Answer so many questions, each only when the worker has chosen it: a person would not be faster."""
    for _ in range(answers):
        batch = settled(page)
        if not batch["questions"]:
            return
        item = batch["questions"][0]["item"]
        page.post(
            "/api/answers", {"receipt": uuid4().hex, "item": item, "label": truth[item], "annotator": "simulated"}
        )


def settled(page: Page) -> Any:
    """The next questions, once the worker waits for answers."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        worker = page.get("/api/status")["worker"]
        if worker["state"] == "waiting":
            return page.get("/api/questions?ahead=1")
        if worker["state"] == "failed":
            raise SystemExit(f"the worker failed: {worker['message']}")
        time.sleep(0.05)
    raise SystemExit(f"the worker was not ready within {PATIENCE:.0f} s")


@contextmanager
def served(folder: Path) -> Iterator[Page]:
    """The project in `folder`, served with its worker."""
    token = subprocess.run([*ASKTELL, "token", folder], check=True, capture_output=True, text=True).stdout.strip()
    command = [*ASKTELL, "serve", str(folder), "--port", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield Page(process.stdout.readline().split()[0], token)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def curve(folder: Path) -> list[dict[str, Any]]:
    """Every training: answers that had been given when it began, labels that it learned from, held-out accuracy."""
    with Project.open(folder) as project:
        told = sorted(a.created for item in project.labels for a in project.annotations(item) if a.query is not None)
        return [
            {
                "answers": sum(created <= training.started for created in told),
                "n_labelled": training.n_labelled,
                "held_out": training.report["held_out"],
                "audit": training.report.get("audit"),
                "seconds": training.seconds,
            }
            for training in project.trainings
            if training.error is None
        ]


def run(data: Data, strategy: str, seed: int, out: Path, samples: Path) -> None:
    """One project from its making to its last answer."""
    path, answers = samples / data.file, samples / f"{Path(data.file).stem}-answers.csv"
    if not path.exists():
        write_sample(data.name, path, count=data.count)
    truth = dict(csv.reader(answers.read_text(encoding="utf-8").splitlines()))
    with TemporaryDirectory() as place:
        folder = Path(place) / "project"
        kind, *columns = data.words
        words = [kind, str(path), *columns, "--labels-are", "test", "--seed", str(seed), "--strategy", strategy]
        subprocess.run([*ASKTELL, "new", str(folder), *words], check=True, stdout=subprocess.DEVNULL)
        keep_embeddings(samples / f"{data.name}-embeddings", folder / "embeddings")
        with served(folder) as page:
            annotate(page, truth, data.answers)
            settled(page)
        keep_embeddings(folder / "embeddings", samples / f"{data.name}-embeddings")
        found = {"data": data.name, "strategy": strategy, "seed": seed, "version": __version__, "curve": curve(folder)}
    write_whole(out, (json.dumps(found) + "\n").encode())


def keep_embeddings(source: Path, target: Path) -> None:
    """The same items have the same embeddings in every project."""
    if source.exists() and not target.exists():
        shutil.copytree(source, target)


def main(out: str) -> None:
    """All that is not there yet."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as samples:
        for seed in SEEDS:
            for data in DATA:
                for strategy in STRATEGIES:
                    path = folder / f"{data.name}--{strategy}--{seed}.json"
                    if not path.exists():
                        run(data, strategy, seed, path, Path(samples))
                        print(f"{path} is done", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
