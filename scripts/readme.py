"""The fenced blocks of code of a Markdown file. As a program it prints the first one of a language."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

_COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code; `title` is the name of the file that it stands for, if it has one."""

    language: str
    title: str | None
    text: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """(command, what it prints) of a block of `console`: `$ `, and a backslash where a command goes on."""
        return _COMMAND.findall(self.text)


def blocks(markdown: str) -> list[Block]:
    """All blocks that name a language, in order."""
    return [Block(*found.groups()) for found in _FENCE.finditer(markdown)]


def main(file: str, language: str) -> None:
    """Print the first block of `language`."""
    found = [block.text for block in blocks(Path(file).read_text(encoding="utf-8")) if block.language == language]
    if not found:
        sys.exit(f"{file} has no block of {language}")
    print(found[0], end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
