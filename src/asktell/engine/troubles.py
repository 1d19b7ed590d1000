"""What went wrong, and when it is worth trying again."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asktell.errors import AsktellError

_log = logging.getLogger(__name__)

FIRST_REST: Final = 2.0
LONGEST_REST: Final = 600.0
"""Seconds to the next try: 2, 4, 8, ... up to ten minutes."""
TRIES: Final = 6
"""After so many failures in a row nothing is tried again until somebody has changed the project."""


@dataclass(frozen=True)
class Trouble:
    """A duty that failed `count` times in a row, last with `message`; `seen` is how the project stood then."""

    count: int
    message: str
    again: float
    seen: int


class Troubles:
    """The duties that rest after they failed, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing: dict[str, Trouble] = {}

    def add(self, duty: str, name: str, error: Exception, seen: int) -> Trouble:
        """One more failure of what people call `name`; it is logged with its trace."""
        _log.error("%s failed", name, exc_info=error)
        count = self._standing[duty].count + 1 if duty in self._standing else 1
        rest = min(FIRST_REST * 2 ** (count - 1), LONGEST_REST)
        message = f"{name} failed: {_told(error)}"
        self._standing[duty] = Trouble(count, message, self._clock() + rest, seen)
        return self._standing[duty]

    def over(self, duty: str) -> None:
        """It works again."""
        self._standing.pop(duty, None)

    def rests(self, duty: str, seen: int) -> bool:
        """Whether it is too early to try again; `seen`: how the project stands now."""
        trouble = self._standing.get(duty)
        if trouble is None:
            return False
        return self._clock() < trouble.again or (trouble.count >= TRIES and seen == trouble.seen)

    def can_try(self, seen: int) -> bool:
        """Whether something that failed need not rest any longer."""
        return any(not self.rests(duty, seen) for duty in self._standing)

    def clear(self) -> None:
        """Everything may be tried again."""
        self._standing.clear()

    @property
    def worst(self) -> Trouble | None:
        """The one to show: that which failed most often."""
        return max(self._standing.values(), key=lambda trouble: trouble.count, default=None)


def _told(error: Exception) -> str:
    """In one line; errors that are meant for people need no type."""
    text = " ".join(str(error).split())
    return text if isinstance(error, AsktellError) else f"{type(error).__name__}: {text}"
