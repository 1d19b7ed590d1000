"""Asking by a cheap model, predicting with a dear one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_moons
from torch import Tensor, nn

from asktell.errors import EvidenceError, ModelError, ProtocolError
from asktell.experiments.cell import Cell, run_cell
from asktell.experiments.protocols import Protocol, protocol
from asktell.experiments.report import write_report
from asktell.learners import BestOnValidation, DeepEnsemble, Learner, Proxy, Restores, Round, SingleNetwork, load, save
from asktell.learners.bootstrap import part
from asktell.learners.proxy import COMPARED, compared, shortened
from asktell.posteriors import (
    Deterministic,
    HasWeights,
    MCDropout,
    Posterior,
    Proxied,
    ProxiedNetworks,
    Timed,
    model_id,
    proxied,
    seconds_of,
)
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows, TensorRows
from asktell.strategies import LeastConfident, recipe
from asktell.testing.posteriors import PosteriorConformance
from asktell.training import Training, two_moons_mlp

DEAR = SingleNetwork(two_moons_mlp, Training(epochs=15, batch=8, lr=1e-2))
CHEAP = SingleNetwork(lambda classes: two_moons_mlp(classes, hidden=5), Training(epochs=4, batch=8, lr=1e-2))


def moons(n: int) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.15, random_state=4)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def first(labelled: int = 20, unlabelled: int = 100) -> Round:
    x, y = moons(labelled + unlabelled)
    return Round(
        0, ("up", "down"), TensorRows(x[:labelled]), y[:labelled], unlabelled=TensorRows(x[labelled:]), batch=5
    )


def network(seed: int) -> nn.Module:
    with seeded(derive(seed, "weights")):
        return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 4))


class TestProxied(PosteriorConformance):
    def module(self) -> nn.Module:
        return network(1)

    def wrap(self, module: nn.Module) -> Posterior:
        return proxied(MCDropout(module), Deterministic(network(2)))

    def inputs(self) -> Tensor:
        return torch.randn(12, 3, generator=derive(2, "inputs"))

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Posterior:
        proxy, target = network(3), network(3)
        put_weights(proxy, part(weights, "proxy."), "the test")
        put_weights(target, part(weights, "target."), "the test")
        return proxied(MCDropout(proxy), Deterministic(target))


def test_evidence_is_the_proxys_and_predictions_are_the_targets() -> None:
    posterior = Proxy(DEAR, CHEAP).fit(first(), generator=derive(0))
    used = derive(0)
    target, proxy = DEAR.fit(first(), generator=used), CHEAP.fit(first(), generator=used)
    x, _ = moons(30)
    rows = TensorRows(x)
    assert torch.equal(posterior.predict(rows), target.predict(rows))
    assert torch.equal(posterior.point_log_probs(rows), proxy.predict(rows))
    assert torch.equal(posterior.features(rows), proxy.features(rows))
    assert posterior.features(rows).shape == (30, 5)
    drawn = (one.draw(4, generator=derive(1)).log_probs(rows) for one in (posterior, proxy))
    assert torch.equal(*drawn)
    assert posterior.distinct is None
    assert posterior.offers == Proxy(DEAR, CHEAP).offers == proxy.offers


def test_the_default_proxy_is_the_same_network_for_a_fifth_of_the_epochs() -> None:
    learner = Proxy(DEAR)
    assert learner.cheap == replace(DEAR, training=replace(DEAR.training, epochs=3))
    assert recipe("svp").wrap is Proxy
    assert recipe("svp").strategy == LeastConfident()


@pytest.mark.parametrize(
    ("epochs", "share", "expected"), [(1, 0.2, 1), (5, 0.2, 1), (6, 0.2, 2), (35, 0.2, 7), (100, 0.2, 20), (3, 1.0, 3)]
)
def test_shares_of_epochs_are_rounded_up(epochs: int, share: float, expected: int) -> None:
    short = shortened(SingleNetwork(two_moons_mlp, Training(epochs=epochs, batch=7)), share)
    assert short.training == Training(epochs=expected, batch=7)


@dataclass(frozen=True)
class Sleepless:
    """A posterior of given probabilities, whatever the rows."""

    p: Tensor
    asked: list[int] = field(default_factory=list)
    offers = frozenset({"log_probs"})
    distinct = 1

    def draw(self, k: int, *, generator: torch.Generator) -> MCDropout:  # type: ignore[empty-body]
        """Not asked for."""

    def predict(self, inputs: Rows) -> Tensor:
        """Rows are numbers of probabilities."""
        rows = inputs[0 : len(inputs)].long()
        self.asked.extend(rows.tolist())
        return torch.stack([self.p[rows], 1 - self.p[rows]], 1).log()


def ranks(values: list[float]) -> Tensor:
    """Ranks from 0, of equals their mean."""
    found = torch.tensor(values, dtype=torch.float64)
    below, equal = (found[:, None] > found).sum(1), (found[:, None] == found).sum(1)
    return below.double() + (equal - 1).double() / 2


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=2, max_size=20))
def test_the_correlation_is_pearsons_of_the_ranks_of_entropy(pairs: list[tuple[int, int]]) -> None:
    proxy, target = (Sleepless(torch.tensor([pair[i] / 17 for pair in pairs]).double()) for i in (0, 1))
    rows = TensorRows(torch.arange(len(pairs)))
    found = compared(proxy, target, rows, generator=derive(0))  # type: ignore[arg-type]
    first_ranks, second_ranks = (
        ranks([float(pair[i]) for pair in pairs]) for i in (0, 1)
    )  # entropy rises with p < 1/2
    if float(first_ranks.std()) == 0 or float(second_ranks.std()) == 0:
        assert found == {}
    else:
        expected = torch.corrcoef(torch.stack([first_ranks, second_ranks]))[0, 1]
        assert found["proxy_rank_correlation"] == pytest.approx(float(expected), abs=1e-9)


def test_at_most_a_thousand_items_are_compared_the_same_for_the_same_seed() -> None:
    p = torch.rand(3000, generator=derive(0), dtype=torch.float64)
    seen = []
    for seed in (0, 0, 1):
        proxy, target = Sleepless(p), Sleepless(p)
        rows = TensorRows(torch.arange(3000))
        assert compared(proxy, target, rows, generator=derive(seed)) == {"proxy_rank_correlation": 1}  # type: ignore[arg-type]
        assert proxy.asked == target.asked
        seen.append(proxy.asked)
    assert len(set(seen[0])) == COMPARED == 1000
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("unlabelled", [None, 0, 1])
def test_with_nothing_to_compare_on_no_correlation_is_told(unlabelled: int | None) -> None:
    data = first() if unlabelled is None else first(unlabelled=unlabelled)
    data = replace(data, unlabelled=None) if unlabelled is None else data
    assert "proxy_rank_correlation" not in Proxy(DEAR).fit(data, generator=derive(0)).told


def test_what_is_told_is_the_same_again_and_seconds_are_not_among_it() -> None:
    first_time, again = (Proxy(DEAR).fit(first(), generator=derive(0)) for _ in range(2))
    alone = DEAR.fit(first(), generator=derive(0))
    assert first_time.told == again.told
    assert alone.told.items() <= first_time.told.items()
    assert {f"proxy_{name}" for name in alone.told} <= first_time.told.keys()
    assert 0 < first_time.told["proxy_rank_correlation"] <= 1
    assert not any("second" in name for name in first_time.told)
    assert isinstance(first_time, Timed)
    assert seconds_of(first_time).keys() == {"fit proxy", "fit target"}
    assert all(value > 0 for value in first_time.seconds.values())
    assert seconds_of(alone) == {}


def test_the_same_proxy_agrees_with_its_target_in_all() -> None:
    learner = Proxy(DEAR, share=1.0)
    x, _ = moons(20)
    same = proxied(*(DEAR.fit(first(), generator=derive(0)) for _ in range(2)))
    assert torch.equal(same.predict(x), same.point_log_probs(x))
    told = compared(same.proxy, same.target, TensorRows(x), generator=derive(0))
    assert told["proxy_rank_correlation"] == pytest.approx(1)
    assert learner.cheap == DEAR


def test_each_goes_on_from_itself_when_restarted_warm() -> None:
    dear, cheap = replace(DEAR, restart="warm"), replace(CHEAP, restart="warm")
    before = Proxy(dear, cheap).fit(first(), generator=derive(0))
    after = Proxy(dear, cheap).fit(replace(first(), previous=before), generator=derive(1))
    used = derive(1)
    target = dear.fit(replace(first(), previous=before.target), generator=used)
    proxy = cheap.fit(replace(first(), previous=before.proxy), generator=used)
    assert isinstance(after, ProxiedNetworks)
    assert model_id(after.target) == model_id(target)
    assert model_id(after.proxy) == model_id(proxy)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    learner = Proxy(DEAR, CHEAP)
    posterior = learner.fit(first(), generator=derive(0))
    save(posterior, ("up", "down"), tmp_path)
    again, classes = load(learner, tmp_path)
    x, _ = moons(20)
    assert isinstance(again, Proxied)
    assert classes == ("up", "down")
    assert torch.equal(again.predict(x), posterior.predict(x))
    assert torch.equal(again.features(x), posterior.features(x))


class Forgetful:
    """A learner without weights."""

    offers = frozenset({"log_probs"})

    def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
        take_key(generator)
        return Sleepless(torch.full((200,), 0.5))  # type: ignore[return-value]


def test_without_weights_of_both_there_are_none() -> None:
    learner = Proxy(DEAR, Forgetful())
    posterior = learner.fit(replace(first(), unlabelled=None), generator=derive(0))
    assert not isinstance(posterior, HasWeights)
    assert learner.offers == posterior.offers == {"log_probs"}
    with pytest.raises(ModelError, match="Forgetful cannot make"):
        learner.restore(("up", "down"), {})


def test_any_learner_may_be_the_target_of_a_proxy_of_its_own() -> None:
    ensemble = DeepEnsemble(two_moons_mlp, Training(epochs=2), members=2)
    posterior = Proxy(ensemble, CHEAP).fit(first(), generator=derive(0))
    assert "features" in posterior.offers
    assert posterior.told["proxy_rank_correlation"] <= 1
    with pytest.raises(EvidenceError, match="svp without a proxy of its own needs a learner of one network"):
        Proxy(ensemble)
    with pytest.raises(EvidenceError, match="not BestOnValidation"):
        Proxy(BestOnValidation((DEAR,)))


def test_it_is_a_learner_and_bad_shares_raise() -> None:
    assert isinstance(Proxy(DEAR), Learner)
    assert isinstance(Proxy(DEAR), Restores)
    for share in (0.0, 1.5):
        with pytest.raises(ProtocolError, match="share"):
            Proxy(DEAR, share=share)


QUICK = replace(
    protocol("two-moons"), training=Training(epochs=20, batch=None, lr=1e-2), rounds=2, draws=10, pool_size=100
)


def lines(chosen: Protocol, strategy: str, out: Path) -> list[dict[str, object]]:
    """The rounds of a cell."""
    cell = Cell(chosen, strategy, 0, out)
    run_cell(cell)
    return [json.loads(line) for line in cell.file.read_text().splitlines()]


def timeless(written: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in line.items() if name != "seconds"} for line in written]


@pytest.mark.parametrize("restart", ["cold", "warm"])
def test_a_cell_says_seconds_apart_and_is_otherwise_the_same_again(
    restart: Literal["cold", "warm"], tmp_path: Path
) -> None:
    chosen = replace(QUICK, restart=restart)
    once = lines(chosen, "svp", tmp_path / "once")
    for line in once:
        seconds, told = line["seconds"], line["told"]
        assert isinstance(seconds, dict)
        assert isinstance(told, dict)
        assert {"fit", "fit proxy", "fit target"} <= seconds.keys()
        assert seconds["fit proxy"] + seconds["fit target"] <= seconds["fit"]
        assert "proxy_rank_correlation" in told
    stopped = Cell(chosen, "svp", 0, tmp_path / "again")

    def stop(done: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(stopped, progress=stop)
    assert timeless(lines(chosen, "svp", tmp_path / "again")) == timeless(once)


def test_the_report_shows_the_correlation_and_the_time_saved(tmp_path: Path) -> None:
    written = lines(QUICK, "svp", tmp_path)
    file = next((tmp_path / "cells").iterdir())
    for line in written:
        line["seconds"] = {"fit": 2.6, "fit proxy": 0.5, "fit target": 2.0}
    file.write_text("".join(json.dumps(line) + "\n" for line in written))
    page = write_report(tmp_path, command="asktell experiment report").page.read_text()
    assert "<th>proxy rank correlation</th>" in page
    assert "fitting the proxy that is asked took 1.5 seconds, fitting the target that predicts 6.0" in page
    assert "saves 4.5 seconds of asking (4.0 times as fast)" in page


def test_a_strategy_that_needs_no_evidence_asks_and_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = timeless(lines(QUICK, "random", tmp_path / "plain"))
    random = recipe("random")
    monkeypatch.setattr("asktell.experiments.posteriors.recipe", lambda _: replace(random, wrap=Proxy))
    wrapped = timeless(lines(QUICK, "random", tmp_path / "wrapped"))
    for line, other in zip(plain, wrapped, strict=True):
        assert line["told"].items() <= other.pop("told").items()  # type: ignore[attr-defined]
        assert {name: value for name, value in line.items() if name != "told"} == other
