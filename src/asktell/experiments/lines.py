"""A cell's file: one JSON object a round, appended so that a kill leaves whole lines and at most one broken end."""

import json
import os
from pathlib import Path

from asktell.errors import DataError
from asktell.writing import write_whole

Line = dict[str, object]


def read(file: Path) -> list[Line]:
    """The whole lines of `file`; none if it does not exist. An end without its newline was never acknowledged.

    Raises `DataError` naming the file and the line for one that is no JSON object, or a file that cannot be read.
    """
    if not file.exists():
        return []
    try:
        whole = file.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error})") from error
    return [_parsed(line, f"{file}, line {number}") for number, line in enumerate(whole, 1)]


def count(file: Path) -> int:
    """How many whole lines `file` has, without a look at what they say."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def rewrite(file: Path, lines: list[Line]) -> None:
    """Make `file` hold exactly `lines`: the old file or the new one, whatever happens."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, "".join(map(_text, lines)).encode())


def append(file: Path, line: Line) -> None:
    """Add one line and wait until it is on disk."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(_text(line))
        stream.flush()
        os.fsync(stream.fileno())


def _text(line: Line) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _parsed(text: bytes, where: str) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        line = None
    if not isinstance(line, dict):
        raise DataError(f"{where}: not a JSON object; repair the line, or delete the file and run that cell again")
    return line
