"""Training is seeded, stops where it says, and decays what it says."""

import itertools

import pytest
import torch
from sklearn.datasets import load_digits, make_moons
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.posteriors import Deterministic, model_id
from asktell.randomness import derive, seeded, take_key
from asktell.training import NETWORKS, History, Training, accuracy, digits_mlp, fit, network, two_moons_mlp
from asktell.training.fit import weight_decay
from asktell.training.method import Method, Step, cross_entropy


def moons(n: int = 40) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.15, random_state=9)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def fresh(seed: int = 0, dropout: float = 0.2) -> nn.Module:
    with seeded(derive(seed, "weights")):
        return two_moons_mlp(dropout=dropout)


def trained(training: Training, *, seed: int = 0, dropout: float = 0.2) -> tuple[nn.Module, History]:
    module, (x, y) = fresh(dropout=dropout), moons()
    return module, fit(module, x, y, training=training, generator=derive(seed))


def test_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    training = Training(epochs=5, batch=16)
    first, second, other = (model_id(Deterministic(trained(training, seed=seed)[0])) for seed in (0, 0, 1))
    assert first == second != other


def test_order_and_dropout_each_depend_on_the_seed() -> None:
    order_only = [trained(Training(epochs=2, batch=8), seed=seed, dropout=0.0)[1].losses for seed in (0, 1)]
    dropout_only = [trained(Training(epochs=2, batch=None), seed=seed)[1].losses for seed in (0, 1)]
    assert order_only[0] != order_only[1]
    assert dropout_only[0] != dropout_only[1]


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    before = torch.get_rng_state()
    first, _ = trained(Training(epochs=2))
    assert torch.equal(before, torch.get_rng_state())
    with torch.random.fork_rng():
        torch.rand(3)
        second, _ = trained(Training(epochs=2))
    assert model_id(Deterministic(first)) == model_id(Deterministic(second))


def test_fit_takes_one_key() -> None:
    used, expected = derive(0), derive(0)
    fit(fresh(), *moons(), training=Training(epochs=1), generator=used)
    take_key(expected)
    assert torch.equal(used.get_state(), expected.get_state())


@pytest.mark.parametrize("seed", range(3))
def test_two_moons_are_learned(seed: int) -> None:
    module = fresh(seed)
    training = Training(epochs=300, batch=None, lr=1e-2)
    fit(module, *moons(40), training=training, generator=derive(seed))
    x, y = make_moons(400, noise=0.15, random_state=3)
    assert accuracy(module, torch.tensor(x), torch.tensor(y)) > 0.93


def test_digits_are_learned() -> None:
    data = load_digits()
    x, y = torch.tensor(data.data / 16), torch.tensor(data.target)
    with seeded(derive(0)):
        module = digits_mlp()
    fit(module, x[:600], y[:600], training=Training(epochs=40), generator=derive(0))
    assert accuracy(module, x[600:], y[600:]) > 0.9


def test_a_tiny_set_is_repeated() -> None:
    x, y = moons(10)
    seen: list[int] = []

    class Counting(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            seen.append(len(input) if self.training else 0)
            return super().forward(input)

    def steps(**settings: int | None) -> list[int]:
        seen.clear()
        fit(Counting(2, 2), x, y, training=Training(epochs=1, **settings), generator=derive(0))  # type: ignore[arg-type]
        return [rows for rows in seen if rows]

    assert steps(batch=4) == [4, 4, 2]
    assert steps(batch=8, samples_per_epoch=26) == [8, 8, 8, 2]
    assert steps(batch=None) == [10]
    assert steps(batch=None, samples_per_epoch=20) == [20]
    assert steps(batch=3) == [3, 3, 4]  # a last batch of one would stop BatchNorm


def test_every_label_is_seen_equally_often() -> None:
    x = torch.eye(5).repeat_interleave(2, 1)
    sums = torch.zeros(5)

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            if self.training:
                sums.add_(input[:, ::2].sum(0))
            return super().forward(input)

    training = Training(epochs=1, batch=4, samples_per_epoch=15)
    fit(Watching(10, 5), x, torch.arange(5), training=training, generator=derive(0))
    assert sums.tolist() == [3.0] * 5


class Scripted(nn.Module):
    """Its accuracy on two points follows a script, one entry an epoch."""

    def __init__(self, script: list[int]) -> None:
        super().__init__()
        self.script = script
        self.weight = nn.Parameter(torch.zeros(1))
        self.epoch: Tensor
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.epoch += 1
            return torch.stack([self.weight.expand(len(x)), x[:, 0]], 1)
        right = self.script[int(self.epoch) - 1] if self.epoch else 0
        return torch.eye(2)[(torch.arange(len(x)) >= right).long()]


@pytest.mark.parametrize(
    ("script", "best", "epochs"),
    [([0, 1, 2, 1, 1, 2, 2], 2, 5), ([1, 1, 1, 1], 0, 3), ([0, 1, 1, 2], 3, 4), ([2], 0, 1)],
)
def test_early_stopping_restores_the_first_best_epoch(script: list[int], best: int, epochs: int) -> None:
    module, x, y = Scripted(script), torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64)
    training = Training(epochs=len(script), patience=2)
    history = fit(module, x, y, training=training, validation=(x, y), generator=derive(0))
    assert history.best == best
    assert len(history.accuracies) == len(history.losses) == epochs
    assert list(history.accuracies) == [right / 2 for right in script[:epochs]]
    assert int(module.epoch) == best + 1


def test_without_patience_the_last_weights_stay() -> None:
    module, x, y = Scripted([2, 1, 0]), torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64)
    history = fit(module, x, y, training=Training(epochs=3), validation=(x, y), generator=derive(0))
    assert history.best is None
    assert history.accuracies == (1.0, 0.5, 0.0)
    assert int(module.epoch) == 3


@pytest.mark.parametrize("decay_on", ["all", "linear"])
def test_decay_is_the_gradient_of_c_over_l_times_the_squared_norm(decay_on: str) -> None:
    c, count = 3.5, 20
    module = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    training = Training(epochs=1, decay=c, decay_on=decay_on)  # type: ignore[arg-type]
    groups = weight_decay(module, training, count)
    decayed = [module.get_submodule("3").weight]
    if decay_on == "all":
        decayed.insert(0, module.get_submodule("0").weight)
    penalty = (c / count) * torch.stack([(w**2).sum() for w in decayed]).sum()  # type: ignore[operator]
    expected = dict(zip(map(id, decayed), torch.autograd.grad(penalty, decayed), strict=True))  # type: ignore[arg-type]
    for group, weight in itertools.chain.from_iterable(([g, w] for w in g["params"]) for g in groups):  # type: ignore[attr-defined]
        added = group["weight_decay"] * weight
        assert torch.allclose(added, expected.get(id(weight), torch.zeros_like(weight)))
    assert sum(len(g["params"]) for g in groups) == len(list(module.parameters()))  # type: ignore[arg-type, misc]


def test_decay_is_coupled_adam_s() -> None:
    """One step of ours is one step of plain Adam on loss + (c / l) ||W||^2."""
    x, y = moons(8)
    ours, theirs = fresh(dropout=0.0), fresh(dropout=0.0)
    fit(ours, x, y, training=Training(epochs=1, batch=None, lr=1e-2, decay=2.5), generator=derive(0))
    loss = nn.functional.cross_entropy(theirs(x), y)
    for weight in theirs.parameters():
        if weight.ndim > 1:
            loss = loss + 2.5 / len(x) * (weight**2).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.optim.Adam(theirs.parameters(), lr=1e-2).step()
    for first, second in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-4)


def test_the_module_is_left_in_eval_mode_and_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    module = fresh()
    history = fit(
        module,
        *moons(),
        training=Training(epochs=3),
        generator=derive(0),
        progress=lambda epoch, loss: told.append((epoch, loss)),
    )
    assert not any(part.training for part in module.modules())
    assert told == list(enumerate(history.losses))


def test_log_probabilities_train_like_logits() -> None:
    x, y = moons()
    training = Training(epochs=3)
    logits = fit(fresh(), x, y, training=training, generator=derive(0)).losses
    log_probs = fit(nn.Sequential(fresh(), nn.LogSoftmax(-1)), x, y, training=training, generator=derive(0)).losses
    assert logits == pytest.approx(log_probs, abs=1e-4)


def test_what_cannot_be_learned_from_raises() -> None:
    x, y = moons(6)
    one = Training(epochs=1)

    def raises(message: str, x: Tensor, y: Tensor, training: Training = one) -> None:
        with pytest.raises(ModelError, match=message):
            fit(fresh(), x, y, training=training, generator=derive(0))

    raises("one or more rows", x[:0], y[:0])
    raises("one or more rows", x, y[:3])
    raises("from -1 to 1", x, y.clone().index_fill(0, torch.tensor([0]), -1))
    raises("from 0 to 2", x, y.clone().index_fill(0, torch.tensor([0]), 2))
    raises("int64", x, y.float())
    raises("loss is nan", x * torch.nan, y)
    raises("validation", x, y, Training(epochs=1, patience=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"batch": 0},
        {"samples_per_epoch": 0},
        {"patience": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"decay": -1.0},
        {"decay_on": "biases"},
    ],
)
def test_settings_that_make_no_sense_raise(settings: dict[str, object]) -> None:
    with pytest.raises((ProtocolError, TypeError), match=next(iter(settings))):
        Training(**{"epochs": 1, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_give_logits_of_as_many_classes_as_asked(name: str) -> None:
    rows = {"digits-mlp": (2, 64), "two-moons-mlp": (2, 2), "letter-mlp": (2, 16), "efficientnet-head": (2, 1280)}
    shape = rows.get(name, (2, 1, 28, 28))
    module = network(name)(7)
    output = module.eval()(torch.randn(shape, generator=derive(0)))
    assert output.shape == (2, 7)
    assert bool((output.exp().sum(1) - 1).abs().gt(1e-3).all())


def test_an_unknown_network_raises() -> None:
    with pytest.raises(ProtocolError, match="dbal-cnn"):
        network("lenet")


def test_a_watcher_sees_every_row_as_often_as_it_is_shown_and_changes_nothing() -> None:
    x, y = moons(9)
    seen: list[tuple[list[int], list[bool]]] = []
    training = Training(epochs=3, batch=4)
    watched, plain = fresh(), fresh()
    fit(
        watched,
        x,
        y,
        training=training,
        generator=derive(0),
        watch=lambda rows, right: seen.append((rows.tolist(), right.tolist())),
    )
    fit(plain, x, y, training=training, generator=derive(0))
    assert model_id(Deterministic(watched)) == model_id(Deterministic(plain))
    assert sorted(row for rows, _ in seen for row in rows) == sorted(3 * list(range(9)))
    assert all(len(rows) == len(right) for rows, right in seen)


def test_a_watcher_sees_predictions_from_before_the_update() -> None:
    x, y = torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1])
    module, seen = nn.Linear(1, 2, bias=False), []
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[-1.0], [1.0]]))  # both wrong
    training = Training(epochs=2, batch=None, lr=10.0)
    fit(module, x, y, training=training, generator=derive(0), watch=lambda _, right: seen.append(right.tolist()))
    assert seen == [[False, False], [True, True]]
    assert accuracy(module, x, y) == 1


def test_a_step_knows_how_much_of_the_training_is_done() -> None:
    done: list[float] = []

    def loss(module: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        done.append(step.done)
        return cross_entropy(module, x, y, step)

    fit(fresh(), *moons(10), training=Training(epochs=2, batch=5), generator=derive(0), method=Method(loss=loss))
    assert done == [0, 0.25, 0.5, 0.75]
