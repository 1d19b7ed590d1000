"""What went wrong, and when it is worth trying again."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asktell.errors import AsktellError
from asktell.project.database import is_of_the_disk

_log = logging.getLogger(__name__)

FIRST_REST: Final = 2.0
LONGEST_REST: Final = 600.0
"""Seconds to the next try: 2, 4, 8, ... up to ten minutes."""
TRIES: Final = 6
"""After so many failures in a row nothing is tried again until somebody has changed the project."""
LONGEST_REST_FROM_DISK: Final = 30.0
"""Seconds at most to the next try after the disk refused: who makes room changes nothing that could be noticed."""


@dataclass(frozen=True)
class Trouble:
    """A duty that failed `count` times in a row, last with `message`; `seen` is how the project stood then.

    `of_the_disk`: time alone may help, so that it is tried again for ever.
    """

    count: int
    message: str
    again: float
    seen: int
    of_the_disk: bool


class Troubles:
    """The duties that rest after they failed, by name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._standing: dict[str, Trouble] = {}

    def add(self, duty: str, name: str, error: Exception, seen: int) -> Trouble:
        """One more failure of what people call `name`; it is logged with its trace."""
        _log.error("%s failed", name, exc_info=error)
        count = self._standing[duty].count + 1 if duty in self._standing else 1
        of_the_disk = is_of_the_disk(error)
        longest = LONGEST_REST_FROM_DISK if of_the_disk else LONGEST_REST
        rest = min(FIRST_REST * 2 ** min(count - 1, TRIES + 3), longest)
        message = f"{name} failed: {_told(error)}"
        self._standing[duty] = Trouble(count, message, self._clock() + rest, seen, of_the_disk)
        return self._standing[duty]

    def over(self, duty: str) -> None:
        """It works again."""
        self._standing.pop(duty, None)

    def rests(self, duty: str, seen: int) -> bool:
        """Whether it is too early to try again; `seen`: how the project stands now."""
        trouble = self._standing.get(duty)
        if trouble is None:
            return False
        has_given_up = trouble.count >= TRIES and not trouble.of_the_disk and seen == trouble.seen
        return has_given_up or self._clock() < trouble.again

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
    if isinstance(error, AsktellError):
        return text
    if isinstance(error, OSError) and is_of_the_disk(error):
        return f"{text}; free some space, or make the folder writable, and it goes on by itself"
    return f"{type(error).__name__}: {text}"
