"""Commands on a project that runs: the server with its worker, the worker alone, and what one changes meanwhile."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import typer

from asktell.cli.project import print_json
from asktell.errors import ProjectError
from asktell.project import Project
from asktell.project.worker import FILE, is_gone, read_worker
from asktell.writing import write_whole

PAUSES: Final = (1, 2, 5, 15, 60)
"""Seconds before a worker that died is started again; the last is for all further times."""
LONG: Final = 300.0
"""Seconds after which a worker that dies is started again as if it were the first time."""
_PATIENCE: Final = 10.0


def serve(folder: Path, host: str, port: int, names: list[str], expose: bool, worker: bool) -> None:
    """Serve until stopped, a worker beside; both end together."""
    from asktell.web.server import is_loopback
    from asktell.web.server import serve as serve_

    Project.open(folder).close()  # what is wrong with it is said before anything starts
    if not is_loopback(host) and not expose:
        raise ProjectError(
            f"{host} can be reached from other machines, over a connection that anybody between can read; say "
            "--expose if that is meant, better behind a proxy with TLS"
        )
    if not is_loopback(host):
        typer.echo(f"warning: the project can be reached from other machines at {host}, without TLS", err=True)
    with _working(folder) if worker else _nothing():
        serve_(folder, host, port, hosts=names, ready=lambda address: typer.echo(f"{address}   (Ctrl-C stops)"))


def worker(folder: Path) -> None:
    """Work on a project until stopped."""
    from asktell.engine.worker import Worker

    Worker(folder, parent=_parent()).run()


def export_items(folder: Path, out: Path, labelled_only: bool, as_json: bool) -> None:
    """Write all items with what is known about them."""
    from asktell.engine.export import export

    with Project.open(folder) as project:
        count = export(project, out, labelled_only=labelled_only)
    print_json({"items": count, "file": str(out)}) if as_json else typer.echo(f"wrote {count:,} items to {out}")


def export_model(folder: Path, out: Path, as_json: bool) -> None:
    """Write the newest model."""
    from asktell.engine.export import export_model as export_

    with Project.open(folder) as project:
        card = export_(project, out)
    print_json({"model": str(card)}) if as_json else typer.echo(f"wrote the model to {out}; {card.name} describes it")


def predict(folder: Path, data: Path, out: Path, as_json: bool) -> None:
    """Write what the newest model says of new data."""
    from asktell.engine.predicted import predict_file
    from asktell.pools.founding import Origin

    with Project.open(folder) as project:
        origin = replace(Origin.of(project), path=data, label=None)
        predicted, left_out = predict_file(project, origin, out)
    if as_json:
        print_json({"predicted": predicted, "left_out": left_out, "file": str(out)})
    else:
        left = f"; {left_out:,} could not be read and say why" if left_out else ""
        typer.echo(f"wrote predictions of {predicted:,} items to {out}{left}")


def change_password(folder: Path, password: str, as_json: bool) -> None:
    """Set what the page asks for."""
    from asktell.web.passwords import hash_password

    _change(folder, "password", hash_password(password))
    print_json({"changed": "password"}) if as_json else typer.echo("the password is changed; all sessions have ended")


def new_token(folder: Path, as_json: bool) -> None:
    """Make a token for programs and print it, once."""
    from asktell.web.passwords import make_token

    token, kept = make_token()
    _change(folder, "token", kept)
    print_json({"token": token}) if as_json else typer.echo(token)


def show_settings(folder: Path, as_json: bool) -> None:
    """Print all settings but the hashes of secrets."""
    with Project.open(folder) as project:
        found = {name: value for name, value in project.settings.items() if name not in ("password", "token")}
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        typer.echo(f"{name}\t{json.dumps(value, ensure_ascii=False)}")


def change_setting(folder: Path, name: str, value: str) -> None:
    """Set one: JSON, or text as it stands."""
    from asktell.engine.settings import Settings

    if name in ("password", "token"):
        raise ProjectError(f"asktell {name} {folder} sets it")
    with Project.open(folder) as project:
        before = project.settings.get(name)
        project.set(name, _parsed(value))
        try:
            Settings.of(project)
        except BaseException:
            project.set(name, before)
            raise


def fold_in(folder: Path, as_json: bool) -> None:
    """Make the answered reserved items ordinary ones."""
    with Project.open(folder) as project:
        ids = project.fold_in()
    if as_json:
        print_json({"folded_in": ids})
    else:
        typer.echo(f"{len(ids):,} audited items are ordinary ones now: they train, and measure accuracy no more")


def set_budget(folder: Path, limit: int | None, as_json: bool) -> None:
    """Set how many labels may be bought."""
    with Project.open(folder) as project:
        project.set_budget(limit)
        budget = project.budget
    if as_json:
        print_json({"limit": budget.limit, "spent": budget.spent, "pending": budget.pending, "left": budget.left})
    else:
        left = "no limit" if budget.left is None else f"{budget.left:,} labels left"
        typer.echo(f"{budget.spent:,} spent, {budget.pending:,} on order, {left}")


def change_classes(folder: Path, change: Callable[[Project], None], as_json: bool) -> None:
    """Change them and print what they are now."""
    with Project.open(folder) as project:
        change(project)
        classes = project.classes
    print_json(classes) if as_json else typer.echo("\n".join(classes))


def _parsed(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _change(folder: Path, name: str, value: object) -> None:
    with Project.open(folder) as project:
        project.set(name, value)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _working(folder: Path) -> Iterator[None]:
    """A worker process for as long as the context lasts, started again whenever it dies."""
    over = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(folder, over), name="asktell-worker")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep_alive(folder: Path, over: threading.Event) -> None:
    command = [sys.executable, "-m", "asktell.cli", "worker", str(folder)]
    environment = {**os.environ, "ASKTELL_PARENT": str(os.getpid())}
    died = 0
    while not over.is_set():
        started = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        _announce(folder, process.pid)
        while process.poll() is None and not over.wait(0.2):
            pass
        if process.poll() is None:
            _stop(process)
        elif not over.is_set():
            typer.echo(f"asktell: the worker ended ({process.returncode}); it is started again", err=True)
            died = died if time.monotonic() - started < LONG else 0
            over.wait(PAUSES[min(died, len(PAUSES) - 1)])
            died += 1


def _announce(folder: Path, pid: int) -> None:
    """Say for a worker that starts what it cannot say yet: without, the page says for seconds that none works."""
    known = read_worker(folder)
    if known.state not in ("absent", "unreadable", "stopped") and not is_gone(known, time.time()):
        return  # another one works: this one will be refused
    message = "The worker is up in some seconds; until then questions come at random."
    told = {"pid": pid, "state": "starting", "message": message, "since": time.time(), "beat": time.time()}
    with suppress(OSError):  # as long as the worker's own, which is written over it where the disk is full
        write_whole(folder / FILE, json.dumps(told).encode().ljust(4096))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _parent() -> int | None:
    """The server that started this worker, which ends with it."""
    told = os.environ.get("ASKTELL_PARENT", "")
    return int(told) if told.isdigit() else None
