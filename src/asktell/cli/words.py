"""Words that many commands share."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

import asktell

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

PROJECTS, RUNNING, RESULTS, EXPERIMENTS = "Projects", "Running", "Results", "Experiments"
"""The groups of commands in the help of `asktell`."""


def exactly_one(given: dict[str, bool]) -> None:
    """Wrong usage (exit code 2) unless one of these was given, and only one."""
    if sum(given.values()) != 1:
        raise typer.BadParameter(f"give exactly one of {', '.join(given)}")


def command() -> str:
    """The command line that runs, as a shell would read it."""
    return shlex.join(["asktell", *sys.argv[1:]])


def made_by() -> dict[str, str]:
    """Command and version, for what is made to keep."""
    return {"command": command(), "asktell": asktell.__version__}
