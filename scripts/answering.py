"""How long "answer, and show me the next" takes over HTTP on loopback, in a project of 100,000 items.

    python scripts/answering.py [ITEMS] [ANSWERS]

Prints the median, the 95th and the 99th percentile in milliseconds: with open questions in stock, as a worker keeps
them, and with none, where the server asks at random itself. Every answer is on disk (fsync) before the reply.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from asktell.project import Project
from asktell.types import Query
from asktell.web import hash_password, make_token

CODE = "import sys; from asktell.web import serve; serve(sys.argv[1], port=0, ready=lambda at: print(at, flush=True))"
STRATEGY = {"name": "power", "parameters": {"beta": 1.0}, "inner": {"name": "bald", "parameters": {}, "inner": None}}
CLASSES = ["business", "entertainment", "politics", "sport", "tech"]


def main() -> None:
    """Measure and print."""
    n, answers = (int(word) for word in (*sys.argv[1:], *("100000", "1000")[len(sys.argv) - 1 :]))
    with TemporaryDirectory() as place:
        folder = Path(place) / "project"
        token = make(folder, n)
        with served(folder) as address:
            for name, asking in (("questions in stock", True), ("asked at random", False)):
                times = sorted(measure(folder, address, token, answers, asking))
                p50, p95, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95, 0.99))
                print(f"{n:,} items, {name}: median {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")


def make(folder: Path, n: int) -> str:
    """A project of `n` texts of a newspaper's length, a fifth of them labelled; gives its token."""
    ids, words = [f"text-{k}" for k in range(n)], [f"word{k}" for k in range(5_000)]
    drawn = random.Random(1)
    contents = [" ".join(drawn.choices(words, k=300)) for _ in ids]
    token, kept = make_token()
    with Project.create(folder, ids, classes=CLASSES, contents=contents, audit=0.1) as project:
        project.set("token", kept)
        project.set("password", hash_password("not used here"))
        known = project.candidates().ids[: n // 5]
        project.tell(known, [drawn.choice(CLASSES) for _ in known], "import")
    return token


def measure(folder: Path, address: str, token: str, answers: int, asking: bool) -> Iterator[float]:
    """Seconds from sending an answer to having read the next questions."""
    connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("GET", "/api/questions", headers=headers)
    batch = json.loads(connection.getresponse().read())
    with Project.open(folder) as project:
        for _ in range(answers):
            if asking and batch["progress"]["pending"] < 10:
                ids = random.sample(project.candidates().ids, 20)
                project.record(Query(project.next_query, tuple(ids), (0.1,) * 20, STRATEGY, 0, model="m"))
            body = json.dumps({"receipt": uuid4().hex, "item": batch["questions"][0]["item"], "label": "sport"})
            started = time.perf_counter()
            connection.request("POST", "/api/answers", body, headers)
            batch = json.loads(connection.getresponse().read())
            yield time.perf_counter() - started


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The project in a server of its own; gives its address."""
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
