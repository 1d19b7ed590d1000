"""Words that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def exactly_one(given: dict[str, bool]) -> None:
    """Wrong usage (exit code 2) unless one of these was given, and only one."""
    if sum(given.values()) != 1:
        raise typer.BadParameter(f"give exactly one of {', '.join(given)}")
