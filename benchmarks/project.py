"""A project of a million items: making it, its status, and telling ten thousand answers."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asktell.project import Project
from benchmarks.harness import Line, timed

ITEMS, ANSWERS = 1_000_000, 10_000
STATUS_IS_IMPORTS = (
    "nearly all of it is imports, whatever the project's size: SQLAlchemy 40 %, Typer with pydantic and rich 30 %, "
    "asktell itself under a tenth (`python -X importtime -m asktell.cli status DIR`). A Typer that builds its "
    "parameters without pydantic, or a SQLAlchemy that leaves asyncio alone until it is used, would lift it."
)
BARS = {"import_s": 30.0, "status_s": 0.5, "tell_s": 2.0}


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds; `status` is the whole command in a process of its own, with bytecode, as an installed one has it."""
    items = 20_000 if quick else ITEMS
    ids = [f"item-{number}" for number in range(items)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "project"
        making, project = timed(lambda: Project.create(path, ids, classes=["a", "b"]))
        with project:
            labels = ["a", "b"] * (ANSWERS // 2)
            telling, _ = timed(lambda: project.tell(ids[:ANSWERS], labels, "ann"))
        command = [sys.executable, "-m", "asktell.cli", "status", str(path)]
        installed = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        asked = min(
            timed(lambda: subprocess.run(command, env=installed, check=True, capture_output=True))[0] for _ in range(5)
        )
    return {"items": items, "import_s": making, "status_s": asked, "tell_s": telling}


def lines(m: dict[str, Any]) -> list[Line]:
    """One line each."""
    what = {
        "import_s": "project: import",
        "status_s": "project: asktell status",
        "tell_s": f"project: tell {ANSWERS:,} answers",
    }
    why = {"status_s": STATUS_IS_IMPORTS}
    return [
        Line(
            name,
            "",
            f"{m['items']:,} items",
            f"{m[key]:.2f} s",
            f"< {BARS[key]:g} s",
            m[key] < BARS[key],
            why.get(key, ""),
        )
        for key, name in what.items()
    ]
