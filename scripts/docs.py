"""What the site takes from the code and the results when it is built, so that it cannot go stale: a hook of mkdocs.

A page says `<!-- generated: NAME -->` where a piece of `PIECES` belongs. Three pages come from outside of docs/: the
changelog, the committed runs, and what a simulated annotator measured. At the end no page may fetch anything from
elsewhere.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripts import claims

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
WIDTH = 80
PICTURES = {"curves.png", "comparison.png", "report.html"}
PLACE = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)
FETCHED = re.compile(
    r'<(?!link rel="canonical")(?:script|link|img|iframe|source|video|audio|embed|object)\b[^>]*'
    r"\b(?:src|href)=\W?(?:https?:)?//[^>]*"
)

log = logging.getLogger("mkdocs.hooks.docs")


# What mkdocs calls -----------------------------------------------------------------------------------------------


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that lie outside of docs/."""
    files.append(File.generated(config, "changelog.md", content=(ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    files.append(File.generated(config, "results/runs.md", content=committed_runs()))
    annotator = (RESULTS / "annotator" / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "results/annotator/README.md", content=annotator))
    files.append(
        File.generated(config, "results/annotator/curves.png", abs_src_path=str(RESULTS / "annotator/curves.png"))
    )
    for run in runs():
        for name in PICTURES & {path.name for path in run.iterdir()}:
            files.append(File.generated(config, f"results/{run.name}/{name}", abs_src_path=str(run / name)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the generated pieces in their places."""
    return filled(markdown)


def on_post_build(*, config: MkDocsConfig) -> None:
    """Warn of all that a browser would fetch from elsewhere; with --strict that fails the build."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        for tag in FETCHED.findall(page.read_text(encoding="utf-8")):
            log.warning("%s fetches from elsewhere: %s", page.relative_to(config.site_dir), tag)


def filled(markdown: str) -> str:
    """A page with its generated pieces in their places."""
    return PLACE.sub(lambda place: PIECES[place[1]](), markdown)


# The command line ------------------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, Any, str]]:
    """(words, command, what --help says) of `asktell` and all that is under it; plain text on every terminal."""
    from typer.main import get_command

    from asktell.cli.app import app

    yield from _commands(get_command(app), "asktell", None)


def command_reference() -> str:
    """A section for every command."""
    return "\n\n".join(_section(words, command, text) for words, command, text in commands())


def _commands(command: Any, words: str, parent: Any) -> Iterator[tuple[str, Any, str]]:
    command.rich_markup_mode = None
    name = words.split()[-1]
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=WIDTH, color=False)
    yield words, command, "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    for name, inner in _within(command).items():
        yield from _commands(inner, f"{words} {name}", context)


def _section(words: str, command: Any, text: str) -> str:
    """What --help says; in place of a list of commands, which it cuts short, a table."""
    rows = [(f"[`{words} {name}`](#{_anchor(f'{words} {name}')})", _first(c)) for name, c in _within(command).items()]
    table = f"\n\n{_table(('command', 'what it does'), rows)}" if rows else ""
    text = text.partition("\n\nCommands:\n")[0] if rows else text
    return f"## {words} {{#{_anchor(words)}}}\n\n```text\n{text}\n```{table}"


def _within(command: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(command, "commands", {})
    return found


def _first(command: Any) -> str:
    """The first paragraph of a command's help."""
    return " ".join((command.help or "").split("\n\n")[0].split())


def _anchor(words: str) -> str:
    return words.replace(" ", "-")


# The registries --------------------------------------------------------------------------------------------------


def table_of_strategies() -> str:
    """Every registered strategy: what it is made of, what it needs, what can be set."""
    from asktell.cli.parameters import parameters
    from asktell.strategies import recipes

    return _table(
        ("name", "strategy", "evidence", "`--set`"),
        [
            (f"[{r.name}](#{r.name})", f"`{r.strategy!r}`", _listed(r.strategy.needs), _listed(parameters(r.strategy)))
            for r in recipes()
        ],
    )


def table_of_protocols() -> str:
    """Every protocol: what it shows, how much it asks, and what the committed run of it took."""
    from asktell.experiments.protocols import PROTOCOLS

    return _table(
        ("protocol", "what it shows", "labels", "draws", "cells", "core time"),
        [
            (
                f"`{p.name}`",
                p.summary,
                f"{p.initial_per_class} a class, {p.rounds} × {p.batch}",
                str(p.draws),
                f"{len(p.strategies)} × {len(p.seeds)}",
                _core_time(p.name),
            )
            for p in PROTOCOLS.values()
        ],
    )


def _core_time(protocol: str) -> str:
    """What all cells of the committed run took together, one core each; nothing without one."""
    found = [s for run in runs() for s in _summary(run).get(protocol, {}).get("strategies", {}).values()]
    if not found:
        return ""
    minutes = sum(len(s["seeds"]) * sum(s["seconds"].values()) for s in found) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "none"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *rows))


# The committed runs ----------------------------------------------------------------------------------------------


def runs() -> list[Path]:
    """The folders of results that have a report."""
    return [file.parent for file in sorted(RESULTS.glob("*/summary.json"))]


def committed_runs() -> str:
    """What results/README.md says, then the curves of each run."""
    return "\n\n".join([(RESULTS / "README.md").read_text(encoding="utf-8"), *map(_run, runs())])


def _run(folder: Path) -> str:
    name = folder.name
    said = " ".join(summary["headline"] for summary in _summary(folder).values())
    pictures = f"![Learning curves of {name}]({name}/curves.png)"
    if (folder / "comparison.png").exists():
        pictures += f"\n\n![Every strategy against every other]({name}/comparison.png)"
    return f"## {name}\n\n{said}\n\n{pictures}\n\n[The whole report]({name}/report.html)"


def _summary(folder: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["protocols"]
    return found


def benchmarks() -> str:
    """The table of benchmarks/RESULTS.md, and why bars were missed, a level deeper."""
    written = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    table = written[written.index("| kernel") : written.index("## Growth")]
    return table.replace("\n## ", "\n### ").rstrip()


PIECES: Mapping[str, Callable[[], str]] = {
    "benchmarks": benchmarks,
    "commands": command_reference,
    "protocols": table_of_protocols,
    "strategies": table_of_strategies,
    **{f"claims-{name}": made for name, made in claims.TABLES.items()},
}
"""What pages may ask for, by name."""
