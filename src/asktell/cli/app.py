"""The commands. Each imports what it works with when it runs, so that `--help` and `status` load no torch."""

from pathlib import Path
from typing import Annotated

import typer

import asktell
from asktell.cli import experiment, project

app = typer.Typer(
    help="Bayesian active learning that people can run: ask for the labels that matter most, tell the answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(experiment.app, name="experiment")


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"asktell {asktell.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of `asktell` itself."""


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What a project holds: items by state, labels by class, budget, queries.

    Example: asktell status birds
    """
    project.status(folder, as_json)
