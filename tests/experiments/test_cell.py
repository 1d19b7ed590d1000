"""A cell: the same ids whatever happens on the way, everything else shared between strategies."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import pytest
import torch

from asktell.errors import DataError, EvidenceError, ProtocolError
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.protocols import PROTOCOLS, Protocol, documented, protocol
from asktell.experiments.split import split
from asktell.project import Project
from asktell.strategies import Margin, Recipe
from asktell.training import Training

QUICK = replace(
    protocol("two-moons"), training=Training(epochs=20, batch=None, lr=1e-2), rounds=3, draws=10, pool_size=200
)
WARM = replace(QUICK, restart="warm")


def rounds(cell: Cell) -> list[dict[str, object]]:
    """The cell's rounds, without what a clock says."""
    lines = [json.loads(line) for line in cell.file.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def ran(chosen: Protocol, strategy: str, seed: int, out: Path) -> Cell:
    cell = Cell(chosen, strategy, seed, out)
    run_cell(cell)
    return cell


def test_rounds_say_what_was_trained_on_and_what_was_asked(tmp_path: Path) -> None:
    cell = ran(QUICK, "bald", 0, tmp_path)
    written = rounds(cell)
    assert [line["n_labelled"] for line in written] == [10, 15, 20, 25]
    assert [len(line["ids"]) for line in written] == [5, 5, 5, 0]  # type: ignore[arg-type]
    asked = [item for line in written for item in line["ids"]]  # type: ignore[attr-defined]
    assert len(set(asked)) == 15
    data = split(QUICK, 0)
    assert set(asked) <= set(data.pool_ids) - set(data.ids(data.start))
    assert all(0 <= line["accuracy"] <= 1 for line in written)  # type: ignore[operator]
    with Project.open(cell.work) as project:
        assert len(project.labels) == 25
        assert {item: project.labels[item] for item in asked} == {item: data.truth()[item] for item in asked}


@pytest.mark.parametrize("chosen", [QUICK, WARM], ids=["cold", "warm"])
@pytest.mark.parametrize("strategy", ["random", "batchbald"])
def test_a_cell_stopped_in_any_round_goes_on_as_if_nothing_had_happened(
    chosen: Protocol, strategy: str, tmp_path: Path
) -> None:
    whole = ran(chosen, strategy, 0, tmp_path / "whole")
    stopped = Cell(chosen, strategy, 0, tmp_path / "stopped")
    for stop in (1, 2, 3):

        def interrupt(done: int, stop: int = stop) -> None:
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_cell(stopped, progress=interrupt)
    run_cell(stopped)
    assert rounds(stopped) == rounds(whole)


@pytest.mark.parametrize("moment", ["asked", "written", "torn"])
def test_between_query_line_and_answers_nothing_is_lost_or_done_twice(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ran(QUICK, "batchbald", 1, tmp_path / "whole")
    stopped = Cell(QUICK, "batchbald", 1, tmp_path / "stopped")
    target = {"asked": "_write", "written": "_tell", "torn": "_tell"}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(f"asktell.experiments.cell._Running.{target}", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_cell(stopped)
    if moment == "torn":
        with stopped.file.open("a") as stream:
            stream.write('{"half a li')
    run_cell(stopped)
    assert rounds(stopped) == rounds(whole)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_more_rounds_go_on_where_fewer_ended(tmp_path: Path) -> None:
    ran(replace(QUICK, rounds=1), "margin", 0, tmp_path / "longer")
    longer = ran(QUICK, "margin", 0, tmp_path / "longer")
    assert rounds(longer) == rounds(ran(QUICK, "margin", 0, tmp_path / "whole"))
    shorter = Cell(replace(QUICK, rounds=1), "margin", 0, tmp_path / "longer")
    assert shorter.finished


def test_strategies_of_a_seed_share_start_and_first_model(tmp_path: Path) -> None:
    first = {
        name: rounds(ran(replace(QUICK, rounds=1), name, 0, tmp_path))[0] for name in ("random", "entropy", "epig")
    }
    assert len({json.dumps([line["accuracy"], line["nll"]]) for line in first.values()}) == 1
    other = rounds(ran(replace(QUICK, rounds=1), "random", 1, tmp_path))[0]
    assert other["ids"] != first["random"]["ids"]


def test_validation_items_are_outside_the_pool() -> None:
    data = split(replace(QUICK, n_validation=50), 0)
    assert len(data.validation) == 50
    assert not set(data.validation.tolist()) & set(data.pool.tolist())
    assert torch.equal(data.pool[torch.isin(data.pool, data.start)], data.start)
    counts = data.data.labels[data.start].bincount().tolist()
    assert counts == [5, 5]


def test_finished_rounds_without_their_project_are_not_guessed(tmp_path: Path) -> None:
    cell = ran(replace(QUICK, rounds=1), "random", 0, tmp_path)
    cell.work.rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="their project"):
        run_cell(Cell(QUICK, "random", 0, tmp_path))


def test_evidence_that_the_learner_cannot_give_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NeedsUtility(Margin):
        needs = frozenset({"utility"})

    monkeypatch.setattr("asktell.experiments.posteriors.recipe", lambda name: Recipe(name, NeedsUtility()))
    with pytest.raises(EvidenceError, match="utility"):
        ran(QUICK, "needs-utility", 0, tmp_path)


def test_what_cannot_be_run_is_said() -> None:
    with pytest.raises(ProtocolError, match="did you mean digits"):
        protocol("digit")
    with pytest.raises(ProtocolError, match="wants a pool of 900 items"):
        split(replace(QUICK, pool_size=900), 0)
    with pytest.raises(ProtocolError, match="start needs 500"):
        split(replace(QUICK, pool_size=None, initial_per_class=500), 0)


def test_a_part_of_a_repeated_pool_holds_every_copy_of_its_items() -> None:
    whole = protocol("repeated-digits")
    some = split(replace(whole, pool_size=100, n_validation=50), 0)
    originals = [item.split("#")[0] for item in some.pool_ids]
    assert len(set(originals)) == 100
    missing = {f"{item}#{copy}" for item in originals for copy in range(whole.copies)} - set(some.pool_ids)
    assert missing <= set(some.ids(some.validation))
    assert not set(some.pool_ids) & set(some.ids(some.validation))


def test_small_forms_are_small_and_the_rest_is_as_in_the_whole() -> None:
    for name, small in PROTOCOLS.items():
        if name.endswith("-small"):
            whole = protocol(name.removesuffix("-small"))
            assert small.pool_size == 10_000
            assert small.rounds < whole.rounds
            assert (small.network, small.batch, small.copies) == (whole.network, whole.batch, whole.copies)


def test_a_decay_is_chosen_from_the_grid_by_validation(tmp_path: Path) -> None:
    chosen = replace(QUICK, rounds=1, n_validation=40, decay_grid=(1e4, 0.0))
    never = replace(chosen, decay_grid=(1e4,))
    best, worst = (
        cast(float, ran(grid, "random", 0, tmp_path / str(len(grid.decay_grid))).done()[-1]["accuracy"])
        for grid in (chosen, never)
    )
    assert best > worst + 0.1


@pytest.mark.parametrize("chosen", PROTOCOLS.values(), ids=lambda chosen: chosen.name)
def test_every_choice_says_what_it_means(chosen: Protocol) -> None:
    described = {name: meaning for name, _, meaning in documented(chosen)}
    assert {name.split(".")[0] for name in described} == set(chosen.choices)
    assert {f"training.{field.name}" for field in fields(Training)} <= set(described)
    assert all(described.values())
    assert json.loads(json.dumps(chosen.choices))["name"] == chosen.name
