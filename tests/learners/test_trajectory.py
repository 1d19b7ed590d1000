"""A network that is remembered while it is trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

from asktell.errors import EvidenceError, ProtocolError
from asktell.evidence import gather
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.protocols import Protocol, protocol
from asktell.learners import DeepEnsemble, Learner, Restores, Round, SingleNetwork, Trajectories, load, save
from asktell.posteriors import Deterministic, Trajectory, model_id
from asktell.randomness import derive, take_key
from asktell.rows import Rows, TensorRows
from asktell.strategies import EGL, LeastConfident, MCVariationRatio, Recipe, Strategy, recipe
from asktell.training import Training, fit, two_moons_mlp
from asktell.types import Candidates

TWELVE = Training(epochs=12, batch=8, lr=1e-2)
ONE = SingleNetwork(two_moons_mlp, TWELVE)


def moons(n: int = 40) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.25, random_state=9)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def first(n: int = 40) -> Round:
    x, y = moons(n)
    return Round(0, ("up", "down"), TensorRows(x), y)


def recorded(learner: SingleNetwork, data: Round, seed: int) -> list[Deterministic]:
    """The network at the end of every epoch, by a training of our own."""
    key, found = take_key(derive(seed)), list[Deterministic]()
    module = learner.start(data, key)
    fit(
        module,
        data.inputs,
        data.labels,
        training=learner.training,
        validation=data.validation,
        generator=derive(key, "fit"),
        progress=lambda *_: found.append(Deterministic(module)),
    )
    return found


def names(posteriors: list[Deterministic]) -> list[str]:
    return [model_id(posterior) for posterior in posteriors]


def checkpoints(posterior: Trajectory) -> list[str]:
    """Model ids of the checkpoints."""
    found = []
    for number in range(posterior.distinct or 0):
        module = two_moons_mlp()
        prefix = f"members.{number}."
        module.load_state_dict({n.removeprefix(prefix): w for n, w in posterior.weights().items() if prefix in n})
        found.append(model_id(Deterministic(module)))
    return found


def test_the_last_checkpoint_is_what_the_learner_gives_alone() -> None:
    alone = ONE.fit(first(), generator=derive(0))
    posterior = Trajectories(ONE).fit(first(), generator=derive(0))
    x, _ = moons(50)
    assert model_id(posterior.last) == model_id(alone)
    assert torch.equal(posterior.predict(x), alone.predict(x))
    assert torch.equal(posterior.features(x), alone.features(x))
    assert posterior.told == alone.told


def test_the_generator_moves_as_if_the_learner_were_alone() -> None:
    used, expected = derive(0), derive(0)
    Trajectories(ONE).fit(first(), generator=used)
    ONE.fit(first(), generator=expected)
    assert torch.equal(used.get_state(), expected.get_state())


def test_checkpoints_are_the_network_at_the_ends_of_the_epochs() -> None:
    learner = Trajectories(ONE, checkpoints=4, warmup=0.25)
    assert learner.epochs == (4, 6, 8, 11)
    every = names(recorded(ONE, first(), 0))
    assert checkpoints(learner.fit(first(), generator=derive(0))) == [every[epoch] for epoch in learner.epochs]


@pytest.mark.parametrize(
    ("epochs", "wanted", "warmup", "expected"),
    [
        (10, 10, 0.0, tuple(range(10))),
        (100, 10, 0.0, tuple(range(9, 100, 10))),
        (100, 10, 0.1, tuple(range(18, 100, 9))),
        (5, 10, 0.0, (0, 1, 2, 3, 4)),  # fewer epochs than checkpoints: all
        (5, 10, 0.5, (2, 3, 4)),
        (2, 10, 0.9, (0, 1)),  # two are always left
        (7, 2, 0.0, (2, 6)),
    ],
)
def test_epochs_are_evenly_spaced_after_the_warm_up(
    epochs: int, wanted: int, warmup: float, expected: tuple[int, ...]
) -> None:
    learner = SingleNetwork(two_moons_mlp, Training(epochs=epochs))
    assert Trajectories(learner, checkpoints=wanted, warmup=warmup).epochs == expected


def test_dispersion_is_the_temporal_vote_ratio_of_the_recorded_epochs() -> None:
    chosen = recipe("label-dispersion")
    assert chosen.wrap is Trajectories
    learner, (x, _) = Trajectories(ONE, checkpoints=6, warmup=0.0), moons(60)
    ids = tuple(map(str, range(60)))
    snapshot = Candidates(ids, (), (), ())

    def inputs(some: tuple[str, ...]) -> Rows:
        return TensorRows(x[[int(one) for one in some]])

    posterior = learner.fit(first(), generator=derive(0))
    evidence = gather(chosen.strategy.needs, posterior, snapshot, inputs, 100, derive(1))
    dispersion = MCVariationRatio().scores(evidence)

    networks = [network for epoch, network in enumerate(recorded(ONE, first(), 0)) if epoch in learner.epochs]
    votes = torch.stack([network.predict(x).argmax(1) for network in networks], 1).tolist()
    by_hand = [1 - max(item.count(c) for c in (0, 1)) / len(item) for item in votes]
    assert dispersion.tolist() == pytest.approx(by_hand, abs=1e-12)
    assert 0 < sum(value > 0 for value in by_hand) < 60
    asked = chosen.strategy(evidence, 5, generator=derive(2)).scores
    assert asked.tolist() == sorted(by_hand, reverse=True)[:5]


def test_stopping_early_ends_with_the_network_that_it_went_back_to() -> None:
    x, y = moons(30)
    data = replace(first(12), validation=(TensorRows(x), y))
    stopping = replace(ONE, training=Training(epochs=60, batch=None, lr=3e-2, patience=3))
    every = names(recorded(stopping, data, 0))
    alone = model_id(stopping.fit(data, generator=derive(0)))
    found = checkpoints(Trajectories(stopping, checkpoints=100, warmup=0.0).fit(data, generator=derive(0)))
    assert len(every) < 60
    assert found[-1] == alone
    assert found[:-1] == [name for name in every if name != alone]


def test_a_warm_start_goes_on_from_the_last_checkpoint() -> None:
    warm = replace(ONE, restart="warm")
    alone = warm.fit(first(), generator=derive(0))
    remembered = Trajectories(warm).fit(first(), generator=derive(0))
    after = Trajectories(warm).fit(replace(first(), previous=remembered), generator=derive(1))
    assert model_id(after.last) == model_id(warm.fit(replace(first(), previous=alone), generator=derive(1)))


@pytest.mark.parametrize("epochs", [3, 12])
def test_what_was_saved_is_loaded(epochs: int, tmp_path: Path) -> None:
    learner = Trajectories(replace(ONE, training=Training(epochs=epochs)), checkpoints=5)
    posterior = learner.fit(first(), generator=derive(0))
    save(posterior, ("up", "down"), tmp_path)
    again, classes = load(learner, tmp_path)
    x, _ = moons(20)
    assert classes == ("up", "down")
    assert again.distinct == posterior.distinct == len(learner.epochs)
    assert torch.equal(again.predict(x), posterior.predict(x))
    drawn = (p.draw(3, generator=derive(0)).log_probs(TensorRows(x)) for p in (again, posterior))
    assert torch.equal(*drawn)


def test_it_is_a_learner_that_offers_what_its_posteriors_give() -> None:
    learner = Trajectories(ONE)
    assert isinstance(learner, Learner)
    assert isinstance(learner, Restores)
    assert learner.fit(first(), generator=derive(0)).offers == learner.offers


def test_networks_without_dropout_can_be_remembered() -> None:
    plain = SingleNetwork(lambda classes: nn.Linear(2, classes), TWELVE)
    assert Trajectories(plain).fit(first(), generator=derive(0)).distinct == 10


def test_what_cannot_be_remembered_raises() -> None:
    with pytest.raises(EvidenceError, match=r"label dispersion needs a learner of one network.*not DeepEnsemble"):
        Trajectories(DeepEnsemble(two_moons_mlp, TWELVE))
    with pytest.raises(ProtocolError, match="two or more, not 1"):
        Trajectories(replace(ONE, training=Training(epochs=1)))
    with pytest.raises(ProtocolError, match="two or more, not 1"):
        Trajectories(ONE, checkpoints=1)
    for warmup in (-0.1, 1.0):
        with pytest.raises(ProtocolError, match="share of training"):
            Trajectories(ONE, warmup=warmup)


QUICK = replace(
    protocol("two-moons"), training=Training(epochs=20, batch=None, lr=1e-2), rounds=2, draws=20, pool_size=100
)


def lines(chosen: Protocol, strategy: str, out: Path) -> list[dict[str, object]]:
    """The rounds of a cell, without what a clock says."""
    cell = Cell(chosen, strategy, 0, out)
    run_cell(cell)
    found = [json.loads(line) for line in cell.file.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


@pytest.mark.parametrize("strategy", [LeastConfident(), EGL()], ids=lambda strategy: strategy.name)
def test_a_strategy_of_point_evidence_asks_what_it_asks_without(
    strategy: Strategy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(QUICK, point=True)
    plain = lines(chosen, strategy.name, tmp_path / "plain")
    monkeypatch.setattr("asktell.experiments.posteriors.recipe", lambda name: Recipe(name, strategy, wrap=Trajectories))
    assert lines(chosen, strategy.name, tmp_path / "remembered") == plain


@pytest.mark.parametrize("restart", ["cold", "warm"])
def test_a_stopped_cell_goes_on_as_if_nothing_had_happened(restart: Literal["cold", "warm"], tmp_path: Path) -> None:
    chosen = replace(QUICK, restart=restart)
    whole = lines(chosen, "label-dispersion", tmp_path / "whole")
    stopped = Cell(chosen, "label-dispersion", 0, tmp_path / "stopped")

    def stop(done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(stopped, progress=stop)
    assert lines(chosen, "label-dispersion", tmp_path / "stopped") == whole
