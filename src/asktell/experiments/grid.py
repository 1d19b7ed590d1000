"""A grid of cells: one process a cell, so many at a time; a failed or killed cell leaves the others alone."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from asktell.errors import AsktellError, DataError, ProtocolError
from asktell.experiments import lines
from asktell.experiments.cell import Cell, run_cell, strategy_of
from asktell.experiments.posteriors import parted
from asktell.experiments.protocols import DEFAULTS, Protocol, protocol
from asktell.writing import write_whole

POLL = 0.2  # seconds between looks at the running cells
THREADS = 1
FREE = {"rounds", "summary"}  # choices that may differ between runs into one folder

Watcher = Callable[[dict[Cell, int]], None]
"""Told how many rounds each cell has written."""


class CellsFailedError(AsktellError, RuntimeError):
    """Cells that ended in an error; the others are done. `logs` holds the last words of each."""

    def __init__(self, logs: dict[str, str]) -> None:
        super().__init__(logs)
        self.logs = logs

    def __str__(self) -> str:
        failed = "; ".join(f"{name}: {words}" for name, words in self.logs.items())
        return f"{len(self.logs)} of the cells failed, the others are done; the same command tries again. {failed}"


def plan(chosen: Protocol, strategies: Sequence[str], seeds: Sequence[int], out: Path) -> list[Cell]:
    """The cells of a grid: seed by seed, so that few finished cells make a whole comparison; costly ones first.

    Raises `ProtocolError` for an unknown strategy, or if `out` holds the same protocol with other choices.
    """
    ordered = sorted(dict.fromkeys(strategies), key=lambda name: _cheapness(chosen, name))
    cells = [Cell(chosen, strategy, seed, out) for seed in dict.fromkeys(seeds) for strategy in ordered]
    _record_protocol(chosen, out)
    _record_plan(cells, out)
    return cells


def record_command(out: Path, command: str) -> None:
    """Note a command that put results into `out`, once."""
    file = out / "commands.json"
    commands = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    if command not in commands:
        _write_json(file, [*commands, command])


def run(cells: Sequence[Cell], *, jobs: int = 1, watcher: Watcher = lambda _: None) -> None:
    """Run what is not finished, `jobs` at a time. Raises `CellsFailedError` at the end if any cell did."""
    waiting = [cell for cell in cells if not cell.finished]
    running: dict[Cell, subprocess.Popen[bytes]] = {}
    failed: dict[str, str] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                running[cell] = _start(cell)
            time.sleep(POLL)
            for cell in [cell for cell, process in running.items() if process.poll() is not None]:
                if running.pop(cell).returncode:
                    failed[cell.name] = _last_words(cell)
            watcher({cell: lines.count(cell.file) for cell in cells})
    finally:
        for process in running.values():
            process.terminate()
    if failed:
        raise CellsFailedError(failed)


def main(arguments: Sequence[str]) -> None:
    """One cell in this process: PROTOCOL STRATEGY SEED OUT ROUNDS. Stops when the process that started it is gone."""
    import torch

    name, strategy, seed, out, rounds = arguments
    torch.set_num_threads(THREADS)
    cell = Cell(replace(protocol(name), rounds=int(rounds)), strategy, int(seed), Path(out))
    parent = os.getppid()

    def stop_with_parent(_: int) -> None:
        if os.getppid() != parent:
            raise SystemExit("the process that started this cell is gone")

    with _alone(cell):
        run_cell(cell, progress=stop_with_parent)


def _cheapness(chosen: Protocol, name: str) -> int:
    """0 for a strategy that draws, 1 for one pass over the pool, 2 for none."""
    needs = strategy_of(chosen, parted(name)[1]).needs
    return 0 if "log_probs" in needs else 1 if needs else 2


def _start(cell: Cell) -> "subprocess.Popen[bytes]":
    log = _beside(cell, "log")
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = [cell.protocol.name, cell.strategy, str(cell.seed), str(cell.out), str(cell.protocol.rounds)]
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "asktell.experiments", *arguments], stdout=output, stderr=output, env=environment
        )


def _last_words(cell: Cell) -> str:
    words = _beside(cell, "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return words[-1] if words else "it was killed"


@contextmanager
def _alone(cell: Cell) -> Iterator[None]:
    """Nobody else runs this cell inside."""
    lock = _beside(cell, "lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProtocolError(f"another process is running {cell.name} in {cell.out}; wait for it") from None
        yield


def _beside(cell: Cell, suffix: str) -> Path:
    return cell.work.with_name(f"{cell.name}.{suffix}")


def _record_protocol(chosen: Protocol, out: Path) -> None:
    """Note the protocol's choices; all but `FREE` must be those of the results that are there.

    A choice that there was not yet when the results were made had its default.
    """
    file = out / "protocol.json"
    recorded = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    now = json.loads(json.dumps(chosen.choices))
    before = DEFAULTS | recorded.get(chosen.name, now)
    differing = sorted(name for name in now.keys() - FREE if before.get(name) != now[name])
    if differing:
        raise ProtocolError(
            f"{out} holds results of {chosen.name} made with another {', '.join(differing)}; choose another folder"
        )
    _write_json(file, {**recorded, chosen.name: now})


def _record_plan(cells: Sequence[Cell], out: Path) -> None:
    file = out / "plan.json"
    planned = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    wanted = [[cell.protocol.name, cell.strategy, cell.seed] for cell in cells]
    _write_json(file, planned + [entry for entry in wanted if entry not in planned])


def _write_json(file: Path, content: object) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise DataError(f"{file} cannot be written ({error.strerror}); choose another folder for the results") from None
