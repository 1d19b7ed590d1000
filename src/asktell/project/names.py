"""What may serve as a name: of an item, of a class, of an annotator; and as a whole number in the database."""

from collections.abc import Iterable

from asktell.errors import ProjectError


def check_names(names: Iterable[str], what: str) -> list[str]:
    """The names as a list; raises `ProjectError` for one that is no text, is empty, or comes twice.

    >>> check_names(("Zaunkönig", "owl"), "class")
    ['Zaunkönig', 'owl']
    """
    if isinstance(names, str):
        raise ProjectError(f"expected several {what} names, not the single text {names!r}: put it in a list")
    found = [check_name(name, what) for name in names]
    if len(set(found)) < len(found):
        raise ProjectError(f"{what} {_first_repeated(found)!r} comes twice; give each {what} once")
    return found


def check_name(name: object, what: str) -> str:
    """The name itself; raises `ProjectError` unless it is text that every database can hold."""
    if not isinstance(name, str):
        raise ProjectError(f"{what} names are text, not {type(name).__name__} ({name!r}): use str({name!r})")
    if not name:
        raise ProjectError(f"{what} names must not be empty")
    if not is_storable(name):
        raise ProjectError(f"{what} {name!r} holds NUL or half a surrogate pair, which no text file can; rename it")
    return name


def check_whole(number: object, what: str, *, least: int = -(2**63)) -> int:
    """The number itself; raises `ProjectError` unless it is an int from `least` to 2**63 - 1."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < 2**63:
        raise ProjectError(f"{what} must be a whole number from {least} to 2**63 - 1, not {number!r}")
    return number


def is_storable(text: str) -> bool:
    """Whether every database and text file can hold the text: no NUL, no half of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _first_repeated(names: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
