"""A grid of real processes: kills, other numbers of jobs, two at once, failures."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from asktell.errors import ProtocolError
from asktell.experiments import grid
from asktell.experiments.cell import Cell
from asktell.experiments.protocols import protocol

SMALL = replace(protocol("two-moons"), rounds=2)
ROUNDS = 8
MANY = 100


def command(out: Path, jobs: int, rounds: int = ROUNDS) -> list[str]:
    words = ["experiment", "run", "two-moons", "--strategies", "random,bald", "--seeds", "0", "--rounds", str(rounds)]
    return [sys.executable, "-m", "asktell.cli", *words, "--jobs", str(jobs), "--out", str(out)]


def cells(out: Path) -> dict[str, list[dict[str, object]]]:
    """Every cell's rounds, without what a clock says."""
    found = {}
    for file in sorted((out / "cells").glob("*.jsonl")):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found[file.name] = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    return found


def recorded(out: Path) -> int:
    """Rounds in all cells; a line that is being written does not count yet."""
    return sum(file.read_bytes().count(b"\n") for file in (out / "cells").glob("*.jsonl"))


def heeding_interrupts() -> None:
    """What runs in the background of a shell ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(out: Path) -> "subprocess.Popen[bytes]":
    """A run with two jobs that has written at least one round more, and is far from its end."""
    before = recorded(out)
    process = subprocess.Popen(
        command(out, 2, MANY), start_new_session=True, stderr=subprocess.PIPE, preexec_fn=heeding_interrupts
    )
    deadline = time.monotonic() + 100
    while recorded(out) == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def kill_after(out: Path, jobs: int, rounds: int, moment: float) -> None:
    """Start a run, let it record so many rounds more, and kill it a moment later, before it ends."""
    wanted = recorded(out) + rounds
    killed = subprocess.Popen(command(out, jobs), start_new_session=True, stderr=subprocess.PIPE)
    while recorded(out) < wanted and killed.poll() is None:
        time.sleep(0.02)
    time.sleep(moment)
    assert killed.poll() is None, killed.communicate()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()


@pytest.mark.slow
def test_killed_at_random_five_times_it_asks_the_same(tmp_path: Path) -> None:
    begun = time.monotonic()
    subprocess.run(command(tmp_path / "whole", 1), check=True, capture_output=True, timeout=200)
    a_round = (time.monotonic() - begun) / recorded(tmp_path / "whole")
    chance = Random(0)
    for jobs, rounds in ((1, 1), (2, 0), (1, 2), (2, 1), (2, 1)):
        kill_after(tmp_path / "killed", jobs, rounds, chance.uniform(0, a_round))
    assert any(cells(tmp_path / "killed").values())
    subprocess.run(command(tmp_path / "killed", 2), check=True, capture_output=True, timeout=200)
    assert cells(tmp_path / "killed") == cells(tmp_path / "whole")
    again = subprocess.run(command(tmp_path / "killed", 2), check=True, capture_output=True, timeout=200)
    assert b"2 cells are done" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_how_to_go_on_and_leaves_no_process_behind(tmp_path: Path, ending: signal.Signals) -> None:
    stopped = started(tmp_path)
    stopped.send_signal(ending)
    assert b"the same command goes on from here" in stopped.communicate(timeout=60)[1]
    assert stopped.returncode == 130
    time.sleep(1)
    for name in ("random", "bald"):
        with grid._alone(Cell(SMALL, name, 0, tmp_path)):  # nobody holds the cell any more
            pass


@pytest.mark.slow
def test_a_cell_that_fails_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    chosen = grid.plan(replace(SMALL, rounds=0), ["random", "margin"], [0], tmp_path)
    broken, sound = chosen
    broken.work.mkdir(parents=True)
    (broken.work / "project.db").write_bytes(b"this is no database" * 300)
    with pytest.raises(grid.CellsFailedError, match=f"{broken.name}: .* is not an SQLite database") as failed:
        grid.run(chosen, jobs=2)
    assert list(failed.value.logs) == [broken.name]
    assert sound.finished


def test_a_folder_holds_one_version_of_a_protocol(tmp_path: Path) -> None:
    grid.plan(SMALL, ["random"], [0], tmp_path)
    grid.plan(replace(SMALL, rounds=5), ["random", "bald"], [0, 1], tmp_path)
    with pytest.raises(ProtocolError, match="another batch, draws; choose another folder"):
        grid.plan(replace(SMALL, batch=2, draws=3), ["random"], [0], tmp_path)
    planned = json.loads((tmp_path / "plan.json").read_text())
    assert sorted(planned) == [["two-moons", name, seed] for name in ("bald", "random") for seed in (0, 1)]


def test_a_choice_that_there_was_not_yet_had_its_default(tmp_path: Path) -> None:
    grid.plan(SMALL, ["random"], [0], tmp_path)
    file = tmp_path / "protocol.json"
    recorded = json.loads(file.read_text())
    del recorded["two-moons"]["decay_grid"]
    file.write_text(json.dumps(recorded))
    with pytest.raises(ProtocolError, match="another decay_grid;"):
        grid.plan(replace(SMALL, decay_grid=(1.0,)), ["random"], [0], tmp_path)
    grid.plan(replace(SMALL, summary="said better"), ["random"], [0], tmp_path)
    assert json.loads(file.read_text())["two-moons"]["decay_grid"] == []


def test_an_unknown_strategy_stops_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="did you mean"):
        grid.plan(SMALL, ["batch-bald"], [0], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_processes_do_not_run_one_cell(tmp_path: Path) -> None:
    cell = Cell(SMALL, "random", 0, tmp_path)
    with (
        grid._alone(cell),
        pytest.raises(ProtocolError, match="another process is running two-moons--random--0"),
        grid._alone(cell),
    ):
        pass


def test_commands_are_noted_once(tmp_path: Path) -> None:
    for line in ("asktell a", "asktell b", "asktell a"):
        grid.record_command(tmp_path, line)
    assert json.loads((tmp_path / "commands.json").read_text()) == ["asktell a", "asktell b"]
