"""Experiments with other posteriors than the protocol's own."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asktell.cli.tables import print_report
from asktell.errors import DataError, ProtocolError
from asktell.experiments import curves, grid
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.datasets import fashion
from asktell.experiments.datasets.cache import digest
from asktell.experiments.foreign import KINDS, foreign
from asktell.experiments.posteriors import LEARNERS, parted
from asktell.experiments.protocols import PROTOCOLS, protocol
from asktell.experiments.report import write_report
from asktell.randomness import derive
from asktell.strategies import BALD
from asktell.training import Training

from .results import rows, write

QUICK = replace(
    protocol("two-moons"),
    training=Training(epochs=5, batch=None, lr=1e-2),
    rounds=1,
    draws=5,
    pool_size=100,
    foreign=("noise", "permuted"),
)


def ran(strategy: str, out: Path) -> Cell:
    cell = Cell(QUICK, strategy, 0, out)
    run_cell(cell)
    return cell


def ids(cell: Cell) -> list[list[str]]:
    return [json.loads(line)["ids"] for line in cell.file.read_text().splitlines()]


def test_a_name_has_a_learner_and_a_strategy() -> None:
    assert parted("bald") == (None, parted("split-head+bald")[1])
    assert parted("split-head+bald")[1].strategy == BALD()
    with pytest.raises(ProtocolError, match="no posterior called deep-ensembles; did you mean deep-ensemble"):
        parted("deep-ensembles+bald")
    with pytest.raises(ProtocolError, match="no strategy called bold"):
        parted("laplace+bold")


def test_the_protocols_run_every_posterior() -> None:
    for names in (("posteriors",), ("posteriors-mnist", "posteriors-mnist-mlp")):
        ran_with = {parted(strategy)[0] for name in names for strategy in PROTOCOLS[name].strategies}
        assert ran_with - {None} == set(LEARNERS)
    for name in ("posteriors", "posteriors-mnist", "posteriors-mnist-mlp"):
        assert "random" in PROTOCOLS[name].strategies  # what the report compares with
        assert all(kind in KINDS for kind in PROTOCOLS[name].foreign)


def test_posteriors_ask_differently_and_a_cell_that_was_stopped_goes_on(tmp_path: Path) -> None:
    own, same, other = (ran(name, tmp_path) for name in ("bald", "mc-dropout+bald", "deep-ensemble+bald"))
    assert ids(own) == ids(same) != ids(other)
    stopped = Cell(QUICK, "deep-ensemble+bald", 0, tmp_path / "stopped")

    def stop(number: int) -> None:
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(stopped, progress=stop)
    run_cell(stopped)
    assert ids(stopped) == ids(other)


def test_the_report_shows_auroc_and_cost_beside_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("deep-ensemble+bald", "random-forest+bald"):
        ran(name, tmp_path)
    grid.plan(QUICK, ["deep-ensemble+bald", "random-forest+bald"], [0], tmp_path)
    outcome = curves.read(tmp_path).cells[0].outcomes[-1]
    assert set(outcome.auroc) == {"noise", "permuted"}
    assert all(0 <= value <= 1 for value in outcome.auroc.values())
    page = write_report(tmp_path, command="a command").page.read_text()
    assert "<th>AUROC, noise</th><th>AUROC, permuted</th><th>seconds to fit</th>" in page
    assert f"<td>{outcome.auroc['noise']:.3f}</td>" in page
    summary = json.loads((tmp_path / "summary.json").read_text())["protocols"]["two-moons"]["strategies"]
    assert summary["deep-ensemble+bald"]["final_auroc"]["noise"]["mean"] == outcome.auroc["noise"]
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    print_report(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    heads = [[head.strip() for head in line.split("┃")[1:-1]] for line in lines if "┃ strategy" in line]
    told = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "deep-ensemble+bald" in line]
    cost = summary["deep-ensemble+bald"]["seconds"]
    assert heads[-2:] == [["strategy", "NLL", "ECE", "noise", "permuted"], ["strategy", "to fit", "to score"]]
    assert told[-2:] == [
        ["deep-ensemble+bald", f"{outcome.nll:.3f}", f"{outcome.ece:.3f}"]
        + [f"{outcome.auroc[kind]:.3f}" for kind in ("noise", "permuted")],
        ["deep-ensemble+bald", *(f"{cost[phase]:.1f}" for phase in ("fit", "evidence"))],
    ]


def test_on_a_narrow_terminal_names_are_folded_and_nothing_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"stochastic-ensemble+{by}" for by in ("bald", "mc-variation-ratio")]
    run = [0.512, 0.634, 0.745, 0.856, 0.867, 0.978]
    for name in names:
        write(tmp_path, rows(run, strategy=name, auroc={"fashion-mnist": 0.789}))
    monkeypatch.setenv("COLUMNS", "70")
    print_report(tmp_path)
    out = capsys.readouterr().out
    assert "…" not in out
    for table, numbers in zip(out.split("┏")[1:], ["51.2 63.4 74.5 85.6 86.7 97.8", "", "0.789", ""], strict=True):
        told = [[cell.strip() for cell in line.split("│")[1:-1]] for line in table.splitlines() if "│" in line]
        assert "".join(cells[0] for cells in told) == "".join(names)
        assert {*numbers.split()} <= {cell for cells in told for cell in cells}


def test_foreign_inputs() -> None:
    x = torch.rand(40, 1, 4, 4, generator=derive(0))
    shuffled, random = foreign("permuted", x), foreign("noise", x)
    assert torch.equal(shuffled.flatten(1).sort(1).values, x.flatten(1).sort(1).values)
    order = [int((x.flatten(1)[:, i : i + 1] == shuffled.flatten(1)).all(0).nonzero()) for i in range(16)]
    assert sorted(order) == list(range(16)) != order
    assert random.shape == x.shape
    assert float(x.min()) <= float(random.min()) < float(random.max()) <= float(x.max())
    assert torch.equal(random, foreign("noise", x))
    with pytest.raises(ProtocolError, match="called 'fog'; there are fashion-mnist, noise, permuted"):
        foreign("fog", x)


def test_clothes_stand_in_for_digits_from_black_to_white(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shades = np.array([0, 51, 255], dtype=np.uint8).repeat(28 * 28).reshape(3, 28, 28)
    header = bytes([0, 0, 8, 3]) + np.array(shades.shape, dtype=">u4").tobytes()
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(header + shades.tobytes())
    monkeypatch.setattr(fashion, "SHA256", {"test_images": digest(shades)})
    monkeypatch.setenv(fashion.VARIABLE, str(tmp_path))
    digits = torch.tensor([-1.0, 3.0]).view(2, 1, 1, 1).expand(2, 1, 28, 28)
    clothes = foreign("fashion-mnist", digits)
    assert clothes.shape == digits.shape
    assert clothes[:, 0, 3, 4].tolist() == pytest.approx([-1.0, -0.2])
    with pytest.raises(ProtocolError, match=r"images \[n, 1, 28, 28\], which inputs \[2, 1, 8, 8\] are not"):
        foreign("fashion-mnist", digits[..., :8, :8])


def test_a_cell_whose_foreign_inputs_cannot_be_had_ends_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fashion.VARIABLE, str(tmp_path))
    monkeypatch.setattr("asktell.learners.single.fit", lambda *_, **__: pytest.fail("it was trained"))
    digits = replace(protocol("posteriors"), foreign=("fashion-mnist",))
    with pytest.raises(ProtocolError, match=r"which inputs .* are not"):
        run_cell(Cell(digits, "random", 0, tmp_path / "digits"))
    with pytest.raises(DataError, match=f"{tmp_path} holds no t10k-images-idx3-ubyte"):
        foreign("fashion-mnist", torch.zeros(1, 1, 28, 28))
