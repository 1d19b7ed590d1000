"""Which key of the keyboard stands for which class."""

from collections.abc import Sequence
from math import ceil
from string import ascii_lowercase

RESERVED = frozenset("usfzw")
"""Undo, skip, flag, zoom, why: these letters stand for no class."""

KEYS = "123456789" + "".join(letter for letter in ascii_lowercase if letter not in RESERVED)


def keys(classes: Sequence[str]) -> tuple[str | None, ...]:
    """The key of each class: 1 to 9, then letters, in order; None for those that are chosen by name.

    A class that is called by a digit or a letter has that key, so that a 7 is answered with 7.

    >>> keys(["owl", "wren", "hawk"]), keys(["0", "1", "other"])
    (('1', '2', '3'), ('0', '1', '2'))
    """
    own = {name: name.lower() for name in classes if name.lower() in {"0", *KEYS}}
    own = {name: key for name, key in own.items() if list(own.values()).count(key) == 1}
    rest = iter([key for key in KEYS if key not in own.values()])
    return tuple(own.get(name) or next(rest, None) for name in classes)


def columns(classes: Sequence[str]) -> int:
    """In how many columns the buttons of the classes stand on a wide page, so that their rows are about as long.

    >>> columns(["owl"] * 5), columns(["owl"] * 10), columns(["a rather long name"] * 5)
    (5, 5, 3)
    """
    longest = max(map(len, classes), default=0)
    most = 6 if longest <= 11 else 5 if longest <= 14 else 4 if longest <= 24 else 3
    return ceil(len(classes) / ceil(len(classes) / most))
