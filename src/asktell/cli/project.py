"""Commands on a project. None of them needs torch, and numpy only where a file of arrays is read."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from asktell.cli.files import read_ids
from asktell.errors import ProjectError
from asktell.project import ItemPart, ItemState, Project, Status, files
from asktell.project.catalogue import Catalogue
from asktell.project.files import Answer, Format
from asktell.project.worker import notice, read_worker
from asktell.types import SKIP, Skip


@dataclass(frozen=True)
class Telling:
    """Where answers come from: a file, or one label for one item."""

    file: Path | None = None
    how: Format | None = None
    skip_label: str | None = None
    id: str | None = None
    label: str | Skip = SKIP


def status(folder: Path, as_json: bool) -> None:
    """Print what a project holds."""
    with Project.open(folder) as project:
        found = project.status()
        worker = notice(read_worker(project.folder), folder.resolve(), time.time())
    if as_json:
        print_json({**_document(found), "worker": {"state": worker.state, "message": worker.message}})
    else:
        table = _table(folder, found)
        if worker.state != "absent":
            table.add_row("worker", f"{worker.sentence} {worker.detail}".strip())
        Console().print(table)


def init(folder: Path, ids: list[str], classes: list[str], seed: int, budget: int | None, as_json: bool) -> None:
    """Make a project and print what it holds."""
    with Project.create(folder, ids, classes=classes, seed=seed, budget=budget) as project:
        found = project.status()
    if as_json:
        print_json(_document(found))
    else:
        typer.echo(f"{folder}: a project with {found.items:,} items and {len(classes):,} classes")


def list_items(folder: Path, state: ItemState | None, part: ItemPart | None, as_json: bool) -> None:
    """Print how many items there are by state, or the ids in one state, of all parts or one."""
    with Project.open(folder) as project:
        found = project.status() if state is None else _in_state(project, state, part)
    if isinstance(found, tuple):
        print_json(found) if as_json else typer.echo("".join(f"{id_}\n" for id_ in found), nl=False)
    elif as_json:
        print_json(dict(found.states))
    else:
        typer.echo("\n".join(_with_parts(found, state) for state in found.states))


def add_items(folder: Path, file: Path, column: str | None, as_json: bool) -> None:
    """Add the ids of a file as new free items."""
    ids = read_ids(file, column)
    _change(folder, lambda project: project.add_items(ids), f"added {len(ids):,} items", as_json)


def withdraw_items(folder: Path, file: Path, column: str | None, as_json: bool) -> None:
    """Take the items of a file out for good."""
    ids = read_ids(file, column)
    _change(folder, lambda project: project.withdraw(ids), f"withdrew {len(ids):,} items", as_json)


def release_skipped(folder: Path, as_json: bool) -> None:
    """Make all skipped items free again."""
    _change(folder, Project.release_skipped, "all skipped items are free to be asked again", as_json)


def tell(folder: Path, telling: Telling, annotator: str, as_json: bool) -> None:
    """Record all answers or none, and print how many they were."""
    with Project.open(folder) as project:
        answers = _read(project, telling)
        if telling.file is None:
            project.tell([answer.id for answer in answers], [answer.label for answer in answers], annotator)
        else:
            files.tell(project, telling.file, answers, annotator)
        found = project.status()
    skipped = sum(answer.label is SKIP for answer in answers)
    if as_json:
        print_json({"answers": len(answers), "skipped": skipped, "status": _document(found)})
    else:
        pending = found.states[ItemState.PENDING]
        typer.echo(f"answers recorded: {len(answers):,}, of them skipped: {skipped:,}; still pending: {pending:,}")


def labels(folder: Path, how: Format | None, out: Path | None, as_json: bool) -> None:
    """Print or write what the answers resolve to."""
    with Project.open(folder) as project:
        found = project.labels
    if as_json:
        text = json.dumps(found, ensure_ascii=False) + "\n"
    else:
        text = files.write_labels(found, how or files.format_of(out or files.STDIN, Format.TEXT))
    if out is None:
        typer.echo(text, nl=False)
    else:
        files.write_text(out, text)
        typer.echo(f"wrote {len(found):,} labels to {out}", err=True)


def backup(folder: Path, target: Path, as_json: bool) -> None:
    """Write a checked copy and print where."""
    with Project.open(folder) as project:
        project.backup(target)
    if as_json:
        print_json({"file": str(target), "bytes": target.stat().st_size})
    else:
        typer.echo(f"wrote {target}; asktell status {target} shows what it holds")


def _in_state(project: Project, state: ItemState, part: ItemPart | None) -> tuple[str, ...]:
    with closing(Catalogue(project.path)) as catalogue:
        return catalogue.ids(state, part)


def _with_parts(found: Status, state: str) -> str:
    """How many items are in a state, and how many of them are not for strategies to ask."""
    apart = {"reserved": found.audit.get(state, 0), "held out": found.held_out.get(state, 0)}
    told = ", ".join(f"{count} {name}" for name, count in apart.items() if count)
    return f"{found.states[state]}\t{state}" + (f"\tof these {told}" if told else "")


def _change(folder: Path, change: Callable[[Project], None], done: str, as_json: bool) -> None:
    with Project.open(folder) as project:
        change(project)
        found = project.status()
    if as_json:
        print_json(_document(found))
    else:
        typer.echo(f"{done}; {found.states[ItemState.FREE]:,} of {found.items:,} items are free")


def _read(project: Project, telling: Telling) -> list[Answer]:
    if telling.file is None:
        return [Answer(1, telling.id or "", telling.label)]
    if telling.skip_label in project.classes:
        raise ProjectError(f"--skip-label {telling.skip_label!r} is a class of the project; choose another word")
    how = telling.how or files.format_of(telling.file, Format.CSV)
    return files.read_answers(telling.file, how, skip_label=telling.skip_label)


def print_json(document: object) -> None:
    """One JSON document on one line."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def _document(found: Status) -> Mapping[str, object]:
    budget = found.budget
    return {
        "items": found.items,
        "states": dict(found.states),
        "labels": dict(found.labels),
        "queries": found.queries,
        "unanswered": found.unanswered,
        "annotations": found.annotations,
        "audit": dict(found.audit),
        "held_out": dict(found.held_out),
        "flagged": found.flagged,
        "budget": {"limit": budget.limit, "spent": budget.spent, "pending": budget.pending, "left": budget.left},
    }


def _table(folder: Path, found: Status) -> Table:
    table = Table(title=str(folder), show_header=False, title_justify="left")
    states = _counted(found.states)
    table.add_row("items", f"{found.items:,}: {states}" if states else "0")
    for name, counts in (("reserved", found.audit), ("held out", found.held_out)):
        if any(counts.values()):
            table.add_row(name, _counted(counts))
    if found.flagged:
        table.add_row("flagged", f"{found.flagged:,}")
    table.add_row("labels", ", ".join(f"{name} {count:,}" for name, count in found.labels.items()))
    table.add_row("queries", f"{found.queries:,}, {found.unanswered:,} with items to answer")
    table.add_row("answers", f"{found.annotations:,}")
    table.add_row("budget", _budget(found))
    return table


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)


def _budget(found: Status) -> str:
    budget = found.budget
    spent = f"{budget.spent:,} spent, {budget.pending:,} on order"
    return f"{spent}, no limit" if budget.limit is None else f"{spent}, {budget.left:,} of {budget.limit:,} left"
