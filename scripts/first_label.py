"""How long it takes from nothing to the first label: the README's commands in a fresh environment, one after another.

    python scripts/first_label.py

Makes a virtual environment and an empty cache, installs this checkout with pip, fetches BBC News, makes and serves a
project, answers the first question, and waits for the first trained model. Prints the seconds of every step, and of all
until then, once for the installation and once for what follows. Downloads go as fast as the connection does.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).parent.parent
NEW = "new news --table news.csv --id-column id --label-column label --labels-are test"
FIRST = 20
"""Answers given at once, enough for a first model."""


class Steps:
    """Prints how long each step took, and all of them."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def done(self, name: str) -> None:
        """The step that ends now is called `name`."""
        now = time.monotonic()
        print(f"{now - self._last:7.1f} s  {now - self._began:7.1f} s  {name}", flush=True)
        self._last = now


def main() -> None:
    """Time and print."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "HF_HOME": str(folder / "cache" / "hf")}
        environment.pop("PYTHONPATH", None)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip, pins = str(folder / "venv/bin/pip"), str(ROOT / "constraints.txt")
        steps = Steps()
        subprocess.run(
            [pip, "install", "-qq", "--constraint", pins, f"{ROOT}[serve,text]"], check=True, env=environment
        )
        steps.done("pip install '.[serve,text]'")
        label_one(folder, environment)


def label_one(folder: Path, environment: dict[str, str]) -> None:
    """From the installed command to the first label, and on to the first model."""
    asktell = str(folder / "venv/bin/asktell")
    steps = Steps()

    def command(*words: str) -> str:
        return subprocess.run(
            [asktell, *words], check=True, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True
        ).stdout

    command("sample", "bbc-news", "news.csv")
    steps.done("asktell sample bbc-news news.csv")
    command(*NEW.split())
    steps.done(f"asktell {NEW}")
    token = command("token", "news").strip()
    with served([asktell, "serve", "news", "--port", "0"], folder, environment) as address:
        steps.done("asktell serve news, until it answers")
        answer(address, token, 1)
        steps.done("the first question and its answer")
        answer(address, token, FIRST - 1)
        while json.loads(call(address, "/api/status", token))["trainings"] == 0:
            time.sleep(0.2)
        steps.done("the articles embedded and the first model trained")


@contextmanager
def served(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """The address at which the project is served."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield re.search(r"http://\S+", process.stdout.readline())[0]  # type: ignore[index]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def answer(address: str, token: str, count: int) -> None:
    """Answer so many questions with any class that there is."""
    classes = json.loads(call(address, "/api/status", token))["classes"]
    for number in range(count):
        batch = json.loads(call(address, "/api/questions?ahead=1", token))
        item, label = batch["questions"][0]["item"], classes[number % len(classes)]
        body = {"receipt": uuid4().hex, "item": item, "label": label, "annotator": "first"}
        call(address, "/api/answers", token, json.dumps(body).encode())


def call(address: str, path: str, token: str, body: bytes | None = None) -> Any:
    """What comes back."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address + path, body, headers), timeout=60) as response:
        return response.read()


if __name__ == "__main__":
    main()
