"""What training says of itself is written down, shown, and held against what it should be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from asktell.errors import DataError
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.curves import read_cell
from asktell.experiments.lines import read
from asktell.experiments.protocols import protocol
from asktell.experiments.report import write_report
from asktell.experiments.soundness import Span, faults, spans

from .results import rows, write


def told(folder: Path, seed: int, *rounds: dict[str, float]) -> None:
    """A cell whose rounds tell this."""
    made = rows([0.5] * len(rounds), strategy="vaal", seed=seed)
    write(folder, [{**row, "told": one} for row, one in zip(made, rounds, strict=True)])


def test_a_cell_writes_what_its_networks_say(tmp_path: Path) -> None:
    small = replace(protocol("digits"), rounds=1)
    cell = Cell(small, "random", 0, tmp_path)
    run_cell(cell)
    for line in read(cell.file):
        assert 0.9 < line["told"]["train_accuracy"] <= 1  # type: ignore[index]


def test_a_span_is_over_all_rounds_and_seeds_that_told(tmp_path: Path) -> None:
    told(tmp_path, 0, {"a": 1.0, "b": 0.5}, {"a": 0.0})
    told(tmp_path, 1, {"a": 0.5}, {})
    cells = [cell for cell in map(read_cell, sorted(tmp_path.glob("cells/*"))) if cell]
    assert spans(cells) == {"a": Span(0.5, 0.0, 1.0), "b": Span(0.5, 0.5, 0.5)}


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"train_accuracy": 0.98, "vae_error_share": 0.4}, ["the network's accuracy"]),
        ({"train_accuracy": 1.0, "vae_error_share": 0.6}, ["the autoencoder's error"]),
        ({"train_accuracy": 0.9}, []),
        ({"discriminator_accuracy": 0.4}, ["the discriminator"]),
        ({"train_accuracy": 0.99, "discriminator_accuracy": 0.5, "rank_accuracy": 0.5, "vae_error_share": 0.5}, []),
        ({"forgetting_events": 7.0}, []),
    ],
)
def test_a_part_that_does_not_work_is_named(numbers: dict[str, float], words: list[str]) -> None:
    found = faults({name: Span(value, value, value) for name, value in numbers.items()})
    assert [word in fault for word, fault in zip(words, found, strict=True)] == [True] * len(words)


def test_the_report_shows_what_was_told_and_calls_a_broken_part_broken(tmp_path: Path) -> None:
    told(
        tmp_path, 0, {"train_accuracy": 1.0, "vae_error_share": 0.75}, {"train_accuracy": 1.0, "vae_error_share": 0.85}
    )
    write(tmp_path, rows([0.5, 0.6]))
    report = write_report(tmp_path, command="asktell experiment report")
    page = report.page.read_text(encoding="utf-8")
    assert "vaal is broken here" in page
    assert "0.8 (0.75 to 0.85)" in page
    strategies = json.loads(report.summary.read_text())["protocols"]["toy"]["strategies"]
    assert strategies["vaal"]["told"]["vae_error_share"] == {"mean": pytest.approx(0.8), "low": 0.75, "high": 0.85}
    assert len(strategies["vaal"]["faults"]) == 1
    assert "told" not in strategies["random"]


def test_what_was_told_must_be_numbers(tmp_path: Path) -> None:
    for wrong in ([1.0], {"a": "high"}):
        path = write(tmp_path, rows([0.5], told=wrong))
        with pytest.raises(DataError, match=r"told|'a'"):
            read_cell(path)
