"""`asktell new` and `asktell add`: items from data, and what was left out."""

import csv
import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.progress import Progress as Bars

from asktell.cli.project import print_json
from asktell.errors import ProjectError
from asktell.pools.found import Found
from asktell.pools.founding import Labels, Origin, Progress, add_found, found_project
from asktell.project import Project
from asktell.project.files import write_text
from asktell.spreadsheets import safe_cell

LEFT_OUT: Final = "left-out.csv"
DUPLICATES: Final = "duplicates.csv"
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that look like others


@dataclass(frozen=True)
class Founding:
    """What the words of `asktell new` said."""

    origin: Origin
    classes: Sequence[str] = ()
    labels: Labels = "known"
    seed: int = 0
    budget: int | None = None
    audit: float = 0.1
    drop_duplicates: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)


def new(folder: Path, founding: Founding, as_json: bool) -> None:
    """Make a project from data and print what it holds, what was left out, and the password."""
    if (folder / "project.db").exists():
        raise ProjectError(f"there is a project in {folder} already; asktell add adds items to it")
    from asktell.web.passwords import hash_password

    origin, password = founding.origin, _password()
    found = _read(origin, founding.drop_duplicates)
    settings = {"embedder": _embedder(origin), **founding.settings, "password": hash_password(password)}
    found_project(
        folder,
        origin,
        found,
        classes=founding.classes,
        labels=founding.labels,
        seed=founding.seed,
        budget=founding.budget,
        audit=founding.audit,
        settings=settings,
    )
    _write_reports(folder, found)
    with Project.open(folder) as project:
        _tell_founded(project, found, password, as_json)


def add(folder: Path, path: Path | None, labels: Labels, drop_duplicates: bool, as_json: bool) -> None:
    """Add what is new in the project's data, or in another table, and print how much that was."""
    with Project.open(folder) as project:
        origin = Origin.of(project)
        if path is not None and origin.kind != "text":
            raise ProjectError(
                f"the {origin.kind} of this project are read from {origin.path}; put the new ones there, and say "
                f"asktell add {folder}"
            )
        origin = origin if path is None else replace(origin, path=path)
        found = _read(origin, drop_duplicates)
        count = add_found(project, found, labels)
        _write_reports(folder, found)
        if as_json:
            print_json({"added": count, "known": len(found) - count, "left_out": len(found.left_out)})
        else:
            typer.echo(f"added {count:,} items; {len(found) - count:,} were there already{_left_out(found)}")


def without_duplicates(found: Found) -> Found:
    """The first item of each content; the others are left out, and it says of which they are copies."""
    copies = dict(found.duplicates())
    kept = [row for row, id_ in enumerate(found.ids) if id_ not in copies]
    return Found(
        [found.ids[row] for row in kept],
        [found.values[row] for row in kept],
        [found.digests[row] for row in kept],
        [found.labels[row] for row in kept],
        [*found.left_out, *((id_, f"the same as {first}") for id_, first in copies.items())],
    )


def _read(origin: Origin, drop_duplicates: bool) -> Found:
    with _bar(f"reading {origin.path}") as progress:
        found = origin.read(progress)
    return without_duplicates(found) if drop_duplicates else found


def _embedder(origin: Origin) -> str:
    """The encoder that can be had for such items."""
    if origin.kind == "text":
        return "minilm" if find_spec("onnxruntime") and find_spec("tokenizers") else "tfidf"
    return "efficientnet-lite0" if origin.kind == "images" else "features"


def _password() -> str:
    """Twelve letters and digits, some 59 random bits, in groups that can be read out."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))
    return "-".join(groups)


def _write_reports(folder: Path, found: Found) -> None:
    for name, head, rows in (
        (LEFT_OUT, ("where", "reason"), found.left_out),
        (DUPLICATES, ("id", "same_as"), found.duplicates()),
    ):
        if rows:
            written = io.StringIO()
            table = csv.writer(written, lineterminator="\n")
            table.writerow(head)
            table.writerows([safe_cell(cell) for cell in row] for row in rows)
            write_text(folder / name, written.getvalue())


def _tell_founded(project: Project, found: Found, password: str, as_json: bool) -> None:
    status, audit, duplicates = project.status(), project.audit, len(found.duplicates())
    reserved = audit.waiting + audit.imported
    if as_json:
        print_json(
            {
                "items": status.items,
                "classes": project.classes,
                "labelled": sum(status.labels.values()),
                "reserved": reserved,
                "left_out": len(found.left_out),
                "duplicates": duplicates,
                "embedder": project.settings["embedder"],
                "password": password,
            }
        )
        return
    folder = project.folder
    typer.echo(f"{folder}: {status.items:,} items, classes {', '.join(project.classes)}")
    typer.echo(f"{reserved:,} items are reserved to measure accuracy{_left_out(found)}")
    if duplicates:
        typer.echo(f"{duplicates:,} items have the content of another; {folder / DUPLICATES} lists them")
    typer.echo(f"password: {password}   (asktell password {folder} sets another)")
    typer.echo(f"next: asktell serve {folder}")


def _left_out(found: Found) -> str:
    if not found.left_out:
        return ""
    where, reason = found.left_out[0]
    return f"; {len(found.left_out):,} were left out, the first: {where}: {reason}; all are in {LEFT_OUT}"


@contextmanager
def _bar(what: str) -> Iterator[Progress | None]:
    """A bar on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with Bars(console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, of: bars.update(task, completed=done, total=of)
