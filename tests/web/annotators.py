"""Annotators for tests of crashes: each sends a request until there is a reply, and keeps what was acknowledged."""

import http.client
import json
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WAIT = 120.0
"""Seconds after which a request that finds no server fails; far more than a restart takes."""


@dataclass(frozen=True)
class Told:
    """A request that was acknowledged: `done` is answers, undo or flags; `label` of a flag says whether it is up."""

    done: str
    receipt: str
    item: str
    label: str | bool | None = None


@dataclass
class Ledger:
    """What one annotator has heard back, in order; how often no reply came, and it had been done all the same."""

    name: str
    told: list[Told] = field(default_factory=list)
    unheard: int = 0
    unheard_but_done: int = 0

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Ledger":
        kept = json.loads(path.read_text())
        return cls(**{**kept, "told": [Told(**one) for one in kept["told"]]})


class Line:
    """A connection to whichever server stands in the file `address` now."""

    def __init__(self, address: Path, token: str) -> None:
        self._address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None

    def call(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and document. Raises `OSError` or `HTTPException` where no reply came."""
        try:
            if self._connection is None:
                at = urlsplit(self._address.read_text())
                self._connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=30)
            sent = None if body is None else json.dumps(body)
            self._connection.request("GET" if body is None else "POST", path, sent, self._headers)
            reply = self._connection.getresponse()
            return reply.status, json.loads(reply.read())
        except BaseException:
            self.hang_up()
            raise

    def hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Annotator:
    """Answers, skips, undoes, corrects, flags and repeats at random, one request after the other."""

    def __init__(self, name: str, line: Line, classes: tuple[str, ...], pause: float = 0.06) -> None:
        self.ledger = Ledger(name)
        self._line, self._classes, self._pause = line, classes, pause
        self._chance = random.Random(name)
        self._open: list[str] = []
        self._mine: dict[str, str | None] = {}  # what stands of what was said here
        self._flags: dict[str, bool] = {}

    def work(self, is_over: Callable[[], bool]) -> Ledger:
        """Until it is over; the last request has its reply then."""
        while not is_over():
            self.act()
            time.sleep(self._chance.uniform(0, self._pause))
        self._line.hang_up()
        return self.ledger

    def act(self) -> None:
        """One request."""
        if not self._open:
            self._open = [question["item"] for question in self._ask()["questions"]]
        if not self._open and not self._mine:
            return
        dice = self._chance.random()
        if self.ledger.told and dice < 0.08:
            self._repeat(self._chance.choice(self.ledger.told[-20:]))
        elif self._mine and (dice < 0.25 or not self._open):
            self._change(self._chance.choice(list(self._mine)[-20:]))
        else:
            item = self._chance.choice(self._open)
            label = None if self._chance.random() < 0.1 else self._chance.choice(self._classes)
            self._answer(item, label)

    def _change(self, item: str) -> None:
        dice = self._chance.random()
        if dice < 0.4:
            self._do("undo", item)
            del self._mine[item]
        elif dice < 0.7:
            self._answer(item, self._chance.choice([name for name in self._classes if name != self._mine[item]]))
        else:
            self._flags[item] = not self._flags.get(item, False)
            self._do("flags", item, self._flags[item])

    def _answer(self, item: str, label: str | None) -> None:
        if self._do("answers", item, label):
            self._mine.pop(item, None)  # the newest is the last
            self._mine[item] = label

    def _do(self, done: str, item: str, label: str | bool | None = None) -> bool:
        """Whether it changed anything, as far as the reply tells."""
        one = Told(done, f"{self._chance.getrandbits(128):032x}", item, label)
        unheard = self.ledger.unheard
        reply = self._send(one)
        self.ledger.told.append(one)
        first = bool(reply.get("recorded", True))
        was_unheard = self.ledger.unheard > unheard
        self.ledger.unheard_but_done += was_unheard and not first
        return first or (was_unheard and label is not None)

    def _repeat(self, one: Told) -> None:
        """What was acknowledged is not done again."""
        reply = self._send(one)
        assert not reply.get("recorded", False) or one.done == "undo", one
        assert reply.get("item", one.item) == one.item, one

    def _send(self, one: Told) -> dict[str, Any]:
        body: dict[str, object] = {"receipt": one.receipt, "item": one.item, "annotator": self.ledger.name}
        if one.done == "flags":
            body["flagged"] = one.label
        elif one.done == "answers":
            body["label"] = one.label
        reply = self._until_heard(f"/api/{one.done}", body)
        self._open = [question["item"] for question in reply.get("questions", [])]
        return reply

    def _ask(self) -> dict[str, Any]:
        return self._until_heard("/api/questions?ahead=6", None)

    def _until_heard(self, path: str, body: object) -> dict[str, Any]:
        """The same request again and again, until somebody answers it."""
        end = time.monotonic() + WAIT
        while True:
            try:
                status, reply = self._line.call(path, body)
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < end, "there is no server"
                self.ledger.unheard += body is not None
                time.sleep(0.02)
        assert status == 200, (status, reply, path, body)
        found: dict[str, Any] = reply
        return found
