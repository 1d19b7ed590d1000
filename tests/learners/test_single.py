"""One network a round: cold and warm."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners import Learner, Round, SingleNetwork
from asktell.posteriors import MCDropout, Posterior, model_id
from asktell.randomness import derive
from asktell.rows import as_rows
from asktell.training import Training, two_moons_mlp

SHORT = Training(epochs=1, batch=None, lr=1e-9)


def data(n: int = 40) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.15, random_state=9)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def first(n: int = 40, *, classes: tuple[str, ...] = ("up", "down"), previous: Posterior | None = None) -> Round:
    x, y = data(n)
    return Round(0, classes, as_rows(x), y, previous=previous)


def test_it_is_a_learner_and_offers_what_it_gives() -> None:
    learner = SingleNetwork(two_moons_mlp, SHORT)
    posterior = learner.fit(first(), generator=derive(0))
    assert isinstance(learner, Learner)
    assert isinstance(posterior, MCDropout)
    assert learner.offers == posterior.offers


def test_same_generator_gives_the_same_model() -> None:
    learner = SingleNetwork(two_moons_mlp, Training(epochs=3))
    ids = [model_id(learner.fit(first(), generator=derive(seed))) for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_two_moons_are_learned() -> None:
    learner = SingleNetwork(two_moons_mlp, Training(epochs=300, batch=None, lr=1e-2))
    posterior = learner.fit(first(), generator=derive(0))
    x, y = data(400)
    mean = posterior.draw(20, generator=derive(1)).log_probs(as_rows(x)).exp().mean(1)
    assert float((mean.argmax(1) == y).float().mean()) > 0.93


def test_cold_starts_afresh_and_warm_goes_on() -> None:
    cold = SingleNetwork(two_moons_mlp, SHORT)
    warm = replace(cold, restart="warm")
    before = cold.fit(first(), generator=derive(0))
    name = model_id(before)

    def distance(learner: SingleNetwork) -> float:
        after = learner.fit(first(previous=before), generator=derive(1)).weights()
        return max(float((after[key] - weight).abs().max()) for key, weight in before.weights().items())

    assert distance(warm) < 1e-6  # the rate of learning is next to nothing
    assert distance(cold) > 1e-2
    assert model_id(before) == name


def test_warm_learning_leaves_the_round_before_alone() -> None:
    warm = SingleNetwork(two_moons_mlp, Training(epochs=5, lr=0.1), restart="warm")
    before = warm.fit(first(), generator=derive(0))
    name = model_id(before)
    assert model_id(warm.fit(first(previous=before), generator=derive(1))) != name
    assert model_id(before) == name


def test_warm_without_a_round_before_is_cold() -> None:
    cold = SingleNetwork(two_moons_mlp, Training(epochs=2))
    warm = replace(cold, restart="warm")
    assert model_id(cold.fit(first(), generator=derive(0))) == model_id(warm.fit(first(), generator=derive(0)))


def test_classes_without_labels_are_legal() -> None:
    x, _ = data(2)
    round = Round(0, tuple("abcdef"), as_rows(x), torch.tensor([3, 3]))  # noqa: A001
    posterior = SingleNetwork(two_moons_mlp, Training(epochs=3)).fit(round, generator=derive(0))
    assert posterior.predict(as_rows(x)).shape == (2, 6)


def test_validation_stops_early() -> None:
    seen: list[int] = []

    def build(classes: int) -> nn.Module:
        module = two_moons_mlp(classes)
        module.register_forward_pre_hook(lambda part, _: seen.append(1) if part.training else None)
        return module

    x, y = data(20)
    training = Training(epochs=500, batch=None, lr=1e-2, patience=3)
    round = replace(first(), validation=(as_rows(x), y))  # noqa: A001
    SingleNetwork(build, training).fit(round, generator=derive(0))
    assert len(seen) < 300


def test_a_network_of_another_number_of_classes_raises() -> None:
    stubborn = SingleNetwork(lambda _: two_moons_mlp(5), SHORT)
    with pytest.raises(ModelError, match="5 classes"):
        stubborn.fit(first(), generator=derive(0))


def test_a_warm_start_from_another_network_raises() -> None:
    before = SingleNetwork(lambda c: two_moons_mlp(c, hidden=7), SHORT).fit(first(), generator=derive(0))
    with pytest.raises(ModelError, match="do not fit"):
        SingleNetwork(two_moons_mlp, SHORT, restart="warm").fit(first(previous=before), generator=derive(0))


def test_an_unknown_restart_raises() -> None:
    with pytest.raises((ProtocolError, TypeError), match="restart"):
        SingleNetwork(two_moons_mlp, SHORT, restart="tepid")  # type: ignore[arg-type]


def test_settings_reach_the_posterior() -> None:
    posterior = SingleNetwork(two_moons_mlp, SHORT, batch=3, off=("2", "5")).fit(first(), generator=derive(0))
    assert (posterior.batch, posterior.distinct) == (3, 1)
