"""The site is true: every page is in the navigation, all that is public has its place, the code on the pages runs."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from mkdocs.config import load_config
from scripts.docs import FETCHED, command_reference, commands, committed_runs, filled, runs, table_of_protocols
from scripts.docstrings import markdown
from scripts.readme import Block, blocks

import asktell
from asktell import learners, pools, posteriors, scores, selection, strategies, testing, training
from asktell.cli import experiment
from asktell.cli.app import app
from asktell.experiments import figures
from asktell.experiments.protocols import PROTOCOLS
from asktell.strategies import recipes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
FROM_ELSEWHERE = {"changelog.md", "results/runs.md", "results/annotator/README.md"}
LEFT_OUT = {"worklog.md"}
ROOMS = (learners, pools, posteriors, scores, selection, strategies, testing, training)
VARYING = ("asktell experiment", "python -m pytest")
"""Commands whose numbers differ a little between machines or days; they are not compared."""


def code(page: str) -> list[Block]:
    """The blocks of a page that run; what is included from elsewhere is tested there."""
    found = blocks(PAGES[page])
    return [block for block in found if block.language in ("python", "console") and "--8<--" not in block.text]


def pages(entry: object) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, (list, dict)):
        for inner in entry if isinstance(entry, list) else entry.values():
            yield from pages(inner)


def test_the_navigation_names_every_page_once() -> None:
    named = list(pages(load_config(str(ROOT / "mkdocs.yml")).nav))
    assert sorted(named) == sorted((PAGES.keys() - LEFT_OUT) | FROM_ELSEWHERE)


def test_the_reference_has_every_command_with_every_option() -> None:
    listed = {words for words, _, _ in commands()}
    groups = (("asktell", app), ("asktell experiment", experiment.app))
    for group, registered in groups:
        for command in registered.registered_commands:
            assert command.callback is not None
            assert f"{group} {command.name or command.callback.__name__}" in listed
    reference = command_reference()
    for words, command, text in commands():  # every one, however deep
        assert f"## {words} {{#{words.replace(' ', '-')}}}" in reference
        assert all(option in text for parameter in command.params for option in parameter.opts if option[0] == "-")
    assert "\x1b" not in reference
    assert all(len(line) <= 80 for block in blocks(reference) for line in block.text.splitlines())


def test_every_strategy_has_its_section_and_every_protocol_and_figure_its_row() -> None:
    for recipe in recipes():
        assert f"### {recipe.name} {{#{recipe.name}}}" in PAGES["strategies.md"]
    for name in PROTOCOLS:
        assert f"| `{name}` |" in table_of_protocols()
    for name in getattr(figures, "FIGURES", ()):
        assert f"| `{name}` |" in PAGES["strategies.md"]


def test_every_placeholder_is_filled() -> None:
    for text in PAGES.values():
        assert "<!-- generated" not in filled(text)


def test_every_committed_run_is_shown() -> None:
    for folder in runs():
        assert f"]({folder.name}/report.html)" in committed_runs()


@pytest.mark.parametrize("module", [asktell, *ROOMS], ids=lambda module: module.__name__)
def test_every_public_name_has_a_place(module: ModuleType) -> None:
    paths = [path for text in PAGES.values() for path in re.findall(r"^::: (\S+)", text, re.MULTILINE)]
    placed = [thing for path in paths for thing in documented(path)]
    for name in module.__all__:
        found = getattr(module, name)
        assert isinstance(found, ModuleType) or any(found is thing for thing in placed), name


def documented(path: str) -> list[object]:
    """What `::: path` puts on a page: all of a module if there is one of that name, else the one thing."""
    file = ROOT / "src" / path.replace(".", "/")
    if file.is_dir() or file.with_suffix(".py").is_file():
        return list(vars(import_module(path)).values())
    home, _, name = path.rpartition(".")
    return [getattr(import_module(home), name)]


def test_what_a_browser_would_fetch_from_elsewhere_is_found() -> None:
    for tag in (
        '<script async src="https://a.b/c.js">',
        "<link rel=stylesheet href=//a.b/c.css>",
        "<img src='http://a.b'>",
    ):
        assert FETCHED.search(tag)
    for tag in ('<a href="https://a.b">', '<script src="assets/c.js">', '<link rel="canonical" href="https://a.b">'):
        assert not FETCHED.search(tag)


def test_docstrings_become_markdown() -> None:
    docstring = "b ** 2 of `a ** b`\n\nname: text\nother: text\n\n    drawn ──▶\n\n>>> 2 * 3\n6"
    assert markdown(docstring, frozenset({"name"})) == (
        "b \\*\\* 2 of `a ** b`\n\n- `name`: text\nother: text\n\n    drawn ──▶\n\n```pycon\n>>> 2 * 3\n6\n```"
    )


METHODS = [page for page in PAGES if page.startswith("methods/") and code(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", METHODS)
def test_the_code_of_a_method_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in code(page):
        assert block.language == "python"
        exec(compile(block.text, page, "exec"), {"__name__": "__main__"})


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if code(page) and page not in METHODS])
def test_the_code_of_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path) -> None:
    for block in blocks(PAGES[page]):
        if block.title is not None:
            (tmp_path / block.title).write_text(block.text, encoding="utf-8")
        elif block in code(page) and block.language == "python":
            run([sys.executable, "-W", "error", "-c", block.text], tmp_path)
        elif block in code(page):
            for command, expected in block.commands:
                printed = run(["bash", "-c", command], tmp_path, may_fail=expected.startswith("asktell: "))
                assert same(expected, printed, numbers=not command.startswith(VARYING)), f"{command}\n{printed}"


def run(command: list[str], folder: Path, *, may_fail: bool = False) -> str:
    """What a command prints, standard error included, on a plain terminal of 80 columns."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {"PATH": path, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "ASKTELL_ANNOTATOR"} | plain,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
    )
    assert may_fail or done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout


def same(expected: str, printed: str, *, numbers: bool) -> bool:
    """Whether it is what the page says, but for white space and, unless `numbers`, for numbers."""
    if not numbers:
        expected, printed = (re.sub(r"\d+(\.\d+)?", "0", text) for text in (expected, printed))
    return OutputChecker().check_output(expected, printed, ELLIPSIS | NORMALIZE_WHITESPACE)
