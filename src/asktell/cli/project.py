"""Commands on a project."""

import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from asktell.project import Project, Status


def status(folder: Path, as_json: bool) -> None:
    """Print what a project holds."""
    with Project.open(folder) as project:
        found = project.status()
    if as_json:
        typer.echo(json.dumps(_document(found), ensure_ascii=False))
    else:
        Console().print(_table(folder, found))


def _document(found: Status) -> dict[str, object]:
    budget = found.budget
    return {
        "items": found.items,
        "states": dict(found.states),
        "labels": dict(found.labels),
        "queries": found.queries,
        "unanswered": found.unanswered,
        "annotations": found.annotations,
        "budget": {"limit": budget.limit, "spent": budget.spent, "pending": budget.pending, "left": budget.left},
    }


def _table(folder: Path, found: Status) -> Table:
    table = Table(title=str(folder), show_header=False, title_justify="left")
    states = ", ".join(f"{count:,} {state}" for state, count in found.states.items() if count)
    table.add_row("items", f"{found.items:,}: {states}" if states else "0")
    table.add_row("labels", ", ".join(f"{name} {count:,}" for name, count in found.labels.items()))
    table.add_row("queries", f"{found.queries:,}, {found.unanswered:,} with items to answer")
    table.add_row("answers", f"{found.annotations:,}")
    table.add_row("budget", _budget(found))
    return table


def _budget(found: Status) -> str:
    budget = found.budget
    spent = f"{budget.spent:,} spent, {budget.pending:,} on order"
    return f"{spent}, no limit" if budget.limit is None else f"{spent}, {budget.left:,} of {budget.limit:,} left"
