"""`asktell experiment`: list, show, run and report experiments."""

import shlex
import signal
from pathlib import Path
from typing import Annotated

import typer

from asktell.cli import completion
from asktell.cli.words import command

app = typer.Typer(
    help="Experiments with a simulated oracle: which strategy saves how many labels.", no_args_is_help=True
)

_Protocol = Annotated[
    str, typer.Argument(help="A name from `asktell experiment list`.", autocompletion=completion.protocols)
]


@app.command("list")
def list_() -> None:
    """List the protocols: what each shows, and the labels it spends (a round's batch x rounds).

    Example: asktell experiment list
    """
    from rich.console import Console
    from rich.table import Column, Table

    from asktell.experiments.protocols import PROTOCOLS

    table = Table(Column("protocol", no_wrap=True), Column("labels", no_wrap=True), "what it shows")
    for protocol in PROTOCOLS.values():
        table.add_row(protocol.name, f"{protocol.batch} x {protocol.rounds}", protocol.summary)
    Console().print(table)


@app.command()
def show(name: _Protocol) -> None:
    """Show every choice that a protocol makes, and what it means.

    Example: asktell experiment show demo
    """
    from rich.console import Console
    from rich.table import Column, Table

    from asktell.experiments.protocols import documented, protocol

    table = Table(Column("choice", no_wrap=True), "value", "meaning", title=name, title_justify="left")
    for choice, value, meaning in documented(protocol(name)):
        table.add_row(choice, _said(value), meaning)
    Console().print(table)


@app.command()
def data() -> None:
    """Fetch every data set, or read it from the cache, and check it; exit code 1 if one cannot be had.

    Example: asktell experiment data
    """
    from asktell.cli import tables

    tables.print_data()


@app.command()
def run(
    name: _Protocol,
    out: Annotated[Path, typer.Option(help="Folder for the results; what is there already is not done again.")],
    strategies: Annotated[
        str,
        typer.Option(
            help="Names, separated by commas. Default: the protocol's.",
            autocompletion=completion.several(completion.strategies),
        ),
    ] = "",
    seeds: Annotated[str, typer.Option(help="Numbers, separated by commas. Default: the protocol's.")] = "",
    rounds: Annotated[int | None, typer.Option(min=0, help="Batches to ask. Default: the protocol's.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at a time, each in one process with one thread.")] = 1,
) -> None:
    """Run a protocol; interrupted runs go on where they stopped, finished cells are skipped.

    Example: asktell experiment run digits --strategies random,batchbald --seeds 0,1 --out results --jobs 2
    """
    from dataclasses import replace

    from asktell.cli.progress import watching
    from asktell.experiments import grid
    from asktell.experiments.protocols import protocol

    chosen = protocol(name)
    if rounds is not None:
        chosen = replace(chosen, rounds=rounds)
    cells = grid.plan(chosen, _names(strategies) or chosen.strategies, _numbers(seeds) or chosen.seeds, out)
    grid.record_command(out, command())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with watching(cells) as watcher:
            grid.run(cells, jobs=jobs, watcher=watcher)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"{len(cells)} cells are done; asktell experiment report {shlex.quote(str(out))} shows what they found")


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A folder that `run` wrote.")]) -> None:
    """Print the table and write summary.json, curves.png and report.html into the folder.

    Example: asktell experiment report results
    """
    from asktell.cli import tables

    tables.print_report(folder)


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in _names(text))
    except ValueError:
        raise typer.BadParameter(f"seeds are whole numbers separated by commas, not {text!r}") from None
