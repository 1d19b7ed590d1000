"""The README is true: its Python runs, its commands run, and what it counts is there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.readme import Block, blocks

from asktell.experiments.protocols import PROTOCOLS
from asktell.strategies import recipes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> Block:
    return next(block for block in blocks(README) if block.language == language)


def run(*command: str, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_example_asks_and_is_told(tmp_path: Path) -> None:
    code = block("python").text
    assert len([line for line in code.splitlines() if line.strip()]) <= 17
    printed = run(sys.executable, "-c", code, folder=tmp_path)
    assert len(re.findall("bird-[0-9]+", printed)) == 5
    assert (tmp_path / "birds" / "project.db").exists()


@pytest.mark.slow
def test_the_commands_run_one_after_another(tmp_path: Path) -> None:
    printed = {}
    for command, _ in block("console").commands:
        words = shlex.split(command)
        assert words[0] == "asktell"
        printed[words[1] + " " + words[2]] = run(sys.executable, "-m", "asktell.cli", *words[1:], folder=tmp_path)
    assert "two-moons" in printed["experiment list"]
    assert "entropy" in printed["experiment report"]
    assert (tmp_path / "moons" / "report.html").exists()


def test_it_names_every_strategy_and_every_protocol() -> None:
    for recipe in recipes():
        assert re.search(rf"\b{recipe.name}\b", README), recipe.name
    for name in PROTOCOLS:  # variants go by the name of the whole one
        family = name.removesuffix("-small").removesuffix("-k100")
        assert re.search(rf"\b{family}\b", README), name
