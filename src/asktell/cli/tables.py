"""A results folder as tables on the terminal."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from asktell.errors import DataError
from asktell.experiments import curves, datasets
from asktell.experiments.curves import Key
from asktell.experiments.report import write_report
from asktell.experiments.statistics import Estimate
from asktell.experiments.summary import ProtocolSummary, StrategySummary, summarise

COLUMNS = 6
"""Training-set sizes that fit on a terminal."""
NAMED = 10
"""Cells of a protocol that were not run: so many are named one by one."""


def print_report(folder: Path) -> None:
    """Print a table and a sentence per protocol, then write the report's files."""
    results = curves.read(folder)
    console = Console()
    for summary in summarise(results):
        console.print(_accuracies(summary))
        console.print(_labels(summary))
        if kinds := sorted({kind for strategy in summary.strategies for kind in strategy.auroc}):
            console.print(_uncertainty(summary, kinds))
            console.print(_cost(summary))
        console.print(summary.headline + "\n", highlight=False, soft_wrap=True)
    for line in not_run(results.missing):
        typer.echo(line)
    for cell in results.unfinished:
        typer.echo(f"not finished: {cell.protocol}--{cell.strategy}--{cell.seed}, round {cell.outcomes[-1].round}")
    with Console(stderr=True).status("drawing the curves"):
        written = write_report(folder, command=_commands(folder))
    typer.echo(f"wrote {written.summary}, {written.figure} and {written.page}")


def not_run(missing: Sequence[Key]) -> Iterator[str]:
    """The cells that were planned and have no round yet; many of one protocol are counted, and the page names them.

    >>> list(not_run([("digits", "bald", 0)]))
    ['not run yet: digits--bald--0']
    """
    for protocol, cells in groupby(sorted(missing), key=itemgetter(0)):
        names = ["--".join(map(str, cell)) for cell in cells]
        if len(names) > NAMED:
            yield f"not run yet: {len(names)} cells of {protocol}, which report.html names"
        else:
            yield from (f"not run yet: {name}" for name in names)


def print_data() -> None:
    """Load every data set and print what it holds; those that cannot be had go to stderr, with the reason."""
    table = Table(Column("data set", no_wrap=True), "pool", "to test", "classes", "one item", "from")
    failed = {}
    for name in datasets.names():
        try:
            with Console(stderr=True).status(f"loading {name}"):
                loaded = datasets.load(name)
        except DataError as error:
            failed[name] = str(error)
        else:
            shape = " x ".join(map(str, loaded.inputs.shape[1:]))
            sizes = (len(loaded), len(loaded.test_inputs), len(loaded.classes))
            table.add_row(name, *(f"{size:,}" for size in sizes), shape, loaded.source)
    Console().print(table)
    for name, reason in failed.items():
        typer.echo(f"asktell: {name}: {reason}", err=True)
    if failed:
        raise typer.Exit(1)


def _accuracies(summary: ProtocolSummary) -> Table:
    sizes = _few(summary.sizes)
    title = f"{summary.protocol}: test accuracy, %, by labels the model was trained on (mean over seeds)"
    table = _numbers(title, "seeds", *map(str, sizes))
    for strategy in summary.strategies:
        table.add_row(strategy.strategy, str(len(strategy.seeds)), *(_percent(strategy, size) for size in sizes))
    return table


def _labels(summary: ProtocolSummary) -> Table:
    targets = [f"{crossing.target} %" for crossing in summary.strategies[0].crossings]
    table = Table(Column("strategy", no_wrap=True), *targets, title="labels to an accuracy of", title_justify="left")
    for strategy in summary.strategies:
        table.add_row(strategy.strategy, *map(str, strategy.crossings))
    return table


def _uncertainty(summary: ProtocolSummary, kinds: Sequence[str]) -> Table:
    """What a posterior knows of its errors."""
    table = _numbers("after the last round; AUROC for inputs from elsewhere", "NLL", "ECE", *kinds)
    for s in summary.strategies:
        told = [s.nll, s.ece, *(s.auroc.get(kind) for kind in kinds)]
        table.add_row(s.strategy, *("-" if value is None else f"{value.mean:.3f}" for value in told))
    return table


def _cost(summary: ProtocolSummary) -> Table:
    table = _numbers("seconds of a whole run", "to fit", "to score")
    for s in summary.strategies:
        table.add_row(s.strategy, *(f"{s.seconds.get(phase, 0.0):.1f}" for phase in ("fit", "evidence")))
    return table


def _numbers(title: str, *columns: str) -> Table:
    """A row of numbers a strategy, none of them ever cut; where they leave little room, its name is folded."""
    numbers = (Column(column, no_wrap=True) for column in columns)
    return Table(Column("strategy", overflow="fold"), *numbers, title=title, title_justify="left")


def _percent(strategy: StrategySummary, size: int) -> str:
    found: Estimate | None = strategy.accuracy.get(size)
    return "-" if found is None else f"{100 * found.mean:.1f}"


def _few(sizes: Sequence[int]) -> list[int]:
    """At most `COLUMNS` of the sizes, evenly spaced, first and last among them."""
    last = len(sizes) - 1
    return sorted({sizes[round(column * last / (COLUMNS - 1))] for column in range(COLUMNS)})


def _commands(folder: Path) -> str:
    file = folder / "commands.json"
    return "\n".join(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else "unknown"
