"""Attempts counted over time, so that nobody guesses a password by trying."""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock


class Throttle:
    """At most `limit` failures in any `seconds` for each caller, and `total` for all of them together.

    An attempt counts as a failure from its beginning, so that many at once get no further than one after the other;
    `succeed` takes it back. Callers whose failures are past are forgotten.
    """

    def __init__(self, limit: int, total: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._total, self._seconds, self._clock = limit, total, seconds, clock
        self._failures: deque[tuple[float, str]] = deque()
        self._lock = Lock()

    def attempt(self, caller: str) -> float:
        """Count an attempt and give 0.0; or count nothing and give the seconds until the next one is allowed."""
        with self._lock:
            now = self._clock()
            while self._failures and self._failures[0][0] <= now - self._seconds:
                self._failures.popleft()
            wait = max(
                self._until_free(list(self._failures), self._total), self._until_free(self._of(caller), self._limit)
            )
            if not wait:
                self._failures.append((now, caller))
            return wait

    def succeed(self, caller: str) -> None:
        """The caller's newest attempt was none to worry about."""
        with self._lock:
            mine = self._of(caller)
            if mine:
                self._failures.remove(mine[-1])

    def _of(self, caller: str) -> list[tuple[float, str]]:
        return [failure for failure in self._failures if failure[1] == caller]

    def _until_free(self, failures: list[tuple[float, str]], allowed: int) -> float:
        """Seconds until fewer than `allowed` of these failures count."""
        if len(failures) < allowed:
            return 0.0
        return failures[-allowed][0] + self._seconds - self._clock()
