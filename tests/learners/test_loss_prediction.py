"""Loss prediction: the ranking loss by its definition, the layers looked at, where gradients go, what is learned."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.errors import EvidenceError, ModelError, ProtocolError
from asktell.evidence import check_offered, gather
from asktell.learners import BestOnValidation, DeepEnsemble, Learner, LossPrediction, Round, SingleNetwork
from asktell.posteriors import HasWeights, MCDropout, OffersUtility, Posterior, Tells, WithUtility, model_id, told_by
from asktell.randomness import derive, seeded
from asktell.rows import Rows, TensorRows, as_rows
from asktell.strategies import Subset, Utility, recipe
from asktell.testing import PosteriorConformance
from asktell.training import Training, batchbald_cnn, dbal_cnn, two_moons_mlp
from asktell.training.loss_module import LossModule, WithLossModule, sizes
from asktell.training.ranking_loss import rank_accuracy, ranking_loss
from asktell.types import Candidates

FEW = st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 3)), min_size=1, max_size=9)
SHORT = Training(epochs=3, batch=8, lr=1e-2)
PLAIN = SingleNetwork(two_moons_mlp, SHORT)


def columns(rows: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Predicted and true losses, with ties, in steps of which float64 makes no error."""
    both = torch.tensor(rows, dtype=torch.float64)
    return both[:, 0] / 2, both[:, 1] / 4


def points(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points of a square: on its right half labels are coins, on its left the upper half is 1."""
    generator = derive(seed, "points")
    x = 2 * torch.rand(n, 2, generator=generator) - 1
    coins = torch.randint(2, (n,), generator=generator)
    return x, torch.where(x[:, 0] > 0, coins, (x[:, 1] > 0).long())


def first(n: int = 20, *, held_out: int = 0, previous: Posterior | None = None) -> Round:
    x, y = points(n)
    validation = points(held_out, seed=1) if held_out else None
    return Round(
        0, ("a", "b"), as_rows(x), y, (as_rows(validation[0]), validation[1]) if validation else None, None, previous
    )


def made(build: Callable[[], nn.Module]) -> nn.Module:
    with seeded(derive(0, "weights")):
        return build()


# The ranking loss


@given(FEW, st.sampled_from([0.5, 1.0, 2.0]))
def test_it_is_the_mean_over_pairs_of_the_definition(rows: list[tuple[int, int]], margin: float) -> None:
    predicted, losses = columns(rows)
    b = len(rows) - len(rows) % 2
    terms = []
    for i in range(b // 2):
        j = b - 1 - i
        sign = 1 if losses[i] > losses[j] else -1
        terms.append(max(0.0, -sign * float(predicted[i] - predicted[j]) + margin))
    expected = sum(terms) / len(terms) if terms else 0.0
    assert float(ranking_loss(predicted, losses, margin=margin)) == pytest.approx(expected, abs=1e-12)


@given(FEW, st.integers(-100, 100))
def test_only_the_order_of_predicted_losses_counts(rows: list[tuple[int, int]], constant: int) -> None:
    predicted, losses = columns(rows)
    assert torch.equal(ranking_loss(predicted + constant, losses), ranking_loss(predicted, losses))


@given(st.permutations(range(6)), st.sampled_from([0.5, 1.0, 2.0]))
def test_it_is_zero_if_the_order_is_right_by_the_margin(order: list[int], margin: float) -> None:
    losses = torch.tensor(order, dtype=torch.float64)
    assert float(ranking_loss(margin * losses, losses, margin=margin)) == 0.0
    assert float(ranking_loss(margin * losses / 8, losses, margin=margin)) > 0.0  # at most 5 / 8 of it


@given(FEW)
def test_true_losses_get_no_gradient_and_predicted_ones_theirs(rows: list[tuple[int, int]]) -> None:
    predicted, losses = (column.requires_grad_() for column in columns(rows))
    ranking_loss(predicted, losses).backward()  # type: ignore[no-untyped-call]
    assert losses.grad is None
    assert predicted.grad is not None
    assert float(predicted.grad.sum()) == 0.0  # each pair pulls its two rows apart by the same
    assert set(predicted.grad.abs().tolist()) <= {0.0, 1 / max(len(rows) // 2, 1)}


def test_the_last_of_an_odd_number_and_a_single_row_have_no_pair() -> None:
    predicted, losses = torch.tensor([0.3, 0.1, 0.9, 0.2, 7.0]), torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    assert torch.equal(ranking_loss(predicted, losses), ranking_loss(predicted[:4], losses[:4]))
    for few in (0, 1):
        alone = torch.zeros(few).requires_grad_()
        loss = ranking_loss(alone, torch.ones(few))
        loss.backward()  # type: ignore[no-untyped-call]
        assert float(loss.detach()) == 0.0
        assert alone.grad is not None
        assert alone.grad.tolist() == [0.0] * few


@given(FEW)
def test_rank_accuracy_counts_pairs(rows: list[tuple[int, int]]) -> None:
    predicted, losses = columns(rows)
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if losses[i] != losses[j]]
    right = [0.5 + 0.5 * float((predicted[i] - predicted[j]).sign() * (losses[i] - losses[j]).sign()) for i, j in pairs]
    expected = sum(right) / len(right) if right else None
    assert rank_accuracy(predicted, losses) == (None if expected is None else pytest.approx(expected, abs=1e-12))


# The module and its layers


class Convolutions(nn.Module):
    """One ReLU for all layers, working in place, as residual networks have it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block, self.out = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(6, 3)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.never = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.block(self.relu(self.stem(x))))
        logits: Tensor = self.out(self.drop(h.mean((2, 3))))
        return logits


class Functional(nn.Module):
    """No activation is a module, and one output is a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Conv1d(2, 3, 1), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.words(x[:, :, None]).relu().mean(2))
        return logits


IMAGES = torch.randn(5, 1, 8, 8, generator=derive(0, "images"))


def test_it_is_pooling_a_layer_each_and_a_layer_for_all() -> None:
    module = made(lambda: WithLossModule(Convolutions(), IMAGES[:1], layers=("stem", "relu", "out"), width=7)).eval()
    assert isinstance(module, WithLossModule)
    network = module.network
    assert isinstance(network, Convolutions)
    stem = network.stem(IMAGES)
    last = network.block(stem.clone().relu()).relu()
    pooled = [stem.mean((2, 3)), last.mean((2, 3)), network(IMAGES)]
    seen = [torch.relu(part(x)) for part, x in zip(module.loss.parts, pooled, strict=True)]
    expected = module.loss.last(torch.cat(seen, 1))[:, 0]
    logits, predicted = module.both(IMAGES)
    assert torch.allclose(predicted, expected, atol=1e-6)
    assert torch.equal(logits, network(IMAGES))
    assert torch.equal(module(IMAGES), logits)


def test_it_has_no_dropout_and_keeps_that_of_the_network() -> None:
    module = made(lambda: WithLossModule(Convolutions(), IMAGES[:1]))
    assert isinstance(module, WithLossModule)
    module.train()
    assert not any("Dropout" in type(part).__name__ for part in module.loss.modules())
    assert torch.equal(module.both(IMAGES)[1], module.both(IMAGES)[1])  # behind the last layer only the network drops
    assert not torch.equal(module(IMAGES), module(IMAGES))
    assert LossModule([3, 5], width=8)([torch.zeros(2, 3), torch.zeros(2, 5)]).shape == (2,)


def test_by_itself_it_takes_the_last_four_activations() -> None:
    image = torch.zeros(1, 1, 28, 28)
    assert WithLossModule(dbal_cnn(), image).layers == ("1", "3", "8")
    assert WithLossModule(batchbald_cnn(), image).layers == ("3", "7", "11")
    assert WithLossModule(Convolutions(), IMAGES[:1]).layers == ("relu",)
    deep = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(2, 2), nn.Tanh())), nn.Linear(2, 2))
    assert WithLossModule(deep, torch.zeros(1, 2)).layers == ("5", "7", "9", "11")
    assert sizes(Convolutions(), IMAGES[:1]) == {"stem": 4, "block": 6, "relu": 6, "drop": 6, "out": 3}


@pytest.mark.parametrize(
    ("network", "layers", "message"),
    [
        (
            Convolutions,
            ("stem", "horoscope"),
            r"calls no layer 'horoscope' .* it calls 'stem', 'block', 'relu', 'drop', 'out'",
        ),
        (Convolutions, ("never",), "calls no layer 'never'"),
        (Convolutions, ("",), "calls no layer ''"),
    ],
)
def test_a_layer_that_there_is_not_is_named_with_those_there_are(
    network: Callable[[], nn.Module], layers: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        WithLossModule(network(), IMAGES[:1], layers=layers)


def test_without_an_activation_the_layers_must_be_named() -> None:
    with pytest.raises(ModelError, match=r"no activation layer.*layers=\(\.\.\.\) of 'out'$"):
        WithLossModule(Functional(), torch.zeros(1, 2))
    with pytest.raises(ModelError, match="calls no layer 'words'"):
        WithLossModule(Functional(), torch.zeros(1, 2), layers=("words",))
    assert WithLossModule(Functional(), torch.zeros(1, 2), layers=("out",)).layers == ("out",)
    learner = LossPrediction(SingleNetwork(two_moons_mlp, SHORT), layers=("9",))
    with pytest.raises(ModelError, match=r"calls no layer '9'.* it calls '0', '1', '2', '3', '4', '5', '6'"):
        learner.fit(first(), generator=derive(0))


def test_the_gradient_goes_through_or_stops_at_the_network() -> None:
    module = made(lambda: WithLossModule(two_moons_mlp(), torch.zeros(1, 2)))
    assert isinstance(module, WithLossModule)
    x = points(6)[0]
    weights = list(module.network.parameters())[:4]
    open_, shut = (
        torch.autograd.grad(module.both(x, through=through)[1].sum(), weights, allow_unused=True)
        for through in (True, False)
    )
    assert all(g is not None and float(g.abs().sum()) > 0 for g in open_)
    assert all(g is None for g in shut)


class Side(nn.Module):
    """A layer that logits do not depend on: only the loss module gives it a gradient."""

    def __init__(self, seen: list[float]) -> None:
        super().__init__()
        self.main, self.side, self.drop = nn.Linear(2, 2), nn.Linear(2, 5), nn.Dropout(0.5)
        self.side.weight.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: seen.append(float(gradient.abs().sum()))
        )

    def forward(self, x: Tensor) -> Tensor:
        self.side(x)
        logits: Tensor = self.main(self.drop(x))
        return logits


@pytest.mark.parametrize(("until", "steps"), [(0.0, 0), (0.6, 12), (0.61, 13), (1.0, 20)])
def test_the_gradient_stops_after_the_share_of_training_and_not_before(until: float, steps: int) -> None:
    seen: list[float] = []
    training = Training(epochs=10, batch=10, lr=1e-9)  # two steps an epoch
    learner = LossPrediction(SingleNetwork(lambda _: Side(seen), training), layers=("side",), until=until)
    learner.fit(first(20), generator=derive(0))
    assert len(seen) == steps
    assert all(size > 0 for size in seen)


# The learner


def test_it_is_a_learner_of_one_network() -> None:
    learner = LossPrediction(PLAIN)
    posterior = learner.fit(first(), generator=derive(0))
    assert isinstance(learner, Learner)
    assert isinstance(posterior, OffersUtility)
    assert isinstance(posterior, HasWeights)
    assert learner.offers == posterior.offers == PLAIN.offers | {"utility"}
    assert "utility" in BestOnValidation((learner,)).offers
    for other in (DeepEnsemble(two_moons_mlp, SHORT), BestOnValidation((PLAIN,))):
        with pytest.raises(
            EvidenceError, match=f"loss-prediction needs a learner of one network.*{type(other).__name__}"
        ):
            LossPrediction(other)


@pytest.mark.parametrize(
    "wrong", [{"layers": ()}, {"weight": -1.0}, {"weight": torch.inf}, {"margin": 0.0}, {"until": 1.1}, {"width": 0}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        LossPrediction(PLAIN, **wrong)  # type: ignore[arg-type]


def test_a_module_that_only_looks_on_changes_nothing() -> None:
    plain = PLAIN.fit(first(), generator=derive(0))
    for looking_on in (LossPrediction(PLAIN, until=0.0), LossPrediction(PLAIN, weight=0.0)):
        posterior = looking_on.fit(first(), generator=derive(0))
        assert isinstance(posterior, HasWeights)
        assert model_id(posterior) == model_id(plain)
    trained = LossPrediction(PLAIN).fit(first(), generator=derive(0))
    assert isinstance(trained, HasWeights)
    assert model_id(trained) != model_id(plain)


def test_it_takes_one_key_and_leaves_the_global_state_alone() -> None:
    generator, alone = derive(0), derive(0)
    state = torch.get_rng_state()
    LossPrediction(PLAIN).fit(first(), generator=generator)
    assert torch.equal(torch.get_rng_state(), state)
    PLAIN.fit(first(), generator=alone)
    assert torch.equal(generator.get_state(), alone.get_state())


def exact(classes: int) -> nn.Module:
    return two_moons_mlp(classes).double()


def test_the_utility_of_a_row_depends_on_no_other_row() -> None:
    learner = LossPrediction(SingleNetwork(exact, SHORT, batch=7))
    posterior = learner.fit(first(), generator=derive(0))
    x = points(40, seed=2)[0]
    whole = posterior.utility(as_rows(x))
    order = torch.randperm(40, generator=derive(3))
    assert torch.allclose(posterior.utility(as_rows(x[order])), whole[order], rtol=0.0, atol=1e-12)
    for size in (1, 6, 13):
        parts = [posterior.utility(as_rows(x[start : start + size])) for start in range(0, 40, size)]
        assert torch.allclose(torch.cat(parts), whole, rtol=0.0, atol=1e-12)
    assert posterior.utility(as_rows(x[:0])).shape == (0,)
    assert float(whole.std()) > 1e-3
    assert torch.equal(posterior.utility(as_rows(x)), whole)


def test_it_is_the_prediction_of_the_trained_pair_with_dropout_off() -> None:
    calls: list[tuple[bool, int]] = []

    def build(classes: int) -> nn.Module:
        module = two_moons_mlp(classes)
        module.register_forward_pre_hook(lambda part, args: calls.append((part.training, len(args[0]))))
        return module

    posterior = LossPrediction(SingleNetwork(build, SHORT, batch=8, off=("2", "5"))).fit(first(), generator=derive(0))
    calls.clear()
    posterior.utility(as_rows(points(20)[0]))
    assert set(calls) == {(False, 8), (False, 4)}


@pytest.mark.parametrize("n", [1, 2, 3, 9])
def test_batches_of_any_size_are_learned_from(n: int) -> None:
    posterior = LossPrediction(SingleNetwork(two_moons_mlp, Training(epochs=2, batch=3))).fit(
        first(n), generator=derive(0)
    )
    assert bool(posterior.utility(as_rows(points(5)[0])).isfinite().all())
    assert ("rank_accuracy_labelled" in posterior.told) == (n > 1)


def test_no_rows_are_an_error_of_training() -> None:
    with pytest.raises(ModelError, match="one or more rows"):
        LossPrediction(PLAIN).fit(first(0), generator=derive(0))


def test_it_tells_how_well_losses_are_ordered() -> None:
    for held_out, name in ((30, "rank_accuracy"), (0, "rank_accuracy_labelled")):
        data = first(held_out=held_out)
        posterior = LossPrediction(PLAIN).fit(data, generator=derive(0))
        assert isinstance(posterior, Tells)
        inputs, labels = data.validation or (data.inputs, data.labels)
        log_probs = posterior.predict(inputs)
        expected = rank_accuracy(posterior.utility(inputs), -log_probs[torch.arange(len(labels)), labels])
        right = float((posterior.predict(data.inputs).argmax(1) == data.labels).double().mean())
        assert posterior.told[name] == expected
        assert posterior.told["train_accuracy"] == pytest.approx(right)
        plain = told_by(PLAIN.fit(data, generator=derive(0)))
        assert set(posterior.told) == {*plain, name}
        looking_on = LossPrediction(PLAIN, until=0.0).fit(data, generator=derive(0))
        assert {key: looking_on.told[key] for key in plain} == plain


def test_it_learns_where_labels_are_noise() -> None:
    learner = LossPrediction(SingleNetwork(two_moons_mlp, Training(epochs=15, batch=32, lr=1e-2)))
    posterior = learner.fit(first(300, held_out=300), generator=derive(0))
    x, _ = points(500, seed=2)
    utility, noisy = posterior.utility(as_rows(x)), x[:, 0] > 0
    assert utility[noisy].mean() > utility[~noisy].mean() + utility.std()
    assert posterior.told["rank_accuracy"] > 0.75


# In a round


POOL = points(60, seed=4)[0]
SNAPSHOT = Candidates(tuple(map(str, range(40))), tuple(map(str, range(40, 58))), ("a", "b") * 9, ("58", "59"))


def inputs(ids: tuple[str, ...]) -> Rows:
    return TensorRows(POOL[[int(item) for item in ids]])


def asked(learner: Learner, name: str, seed: int = 0, previous: Posterior | None = None) -> tuple[list[int], Posterior]:
    """What a strategy asks for after a fit, and the posterior."""
    data = Round(0, ("a", "b"), inputs(SNAPSHOT.labelled_ids), torch.tensor([0, 1] * 9), previous=previous)
    posterior = learner.fit(data, generator=derive(seed, "fit"))
    strategy = recipe(name).strategy
    found = gather(strategy.needs, posterior, SNAPSHOT, inputs, 5, derive(seed, "evidence"))
    return strategy(found, 5, generator=derive(seed, "ask")).indices.tolist(), posterior


def test_the_recipe_asks_for_the_largest_predicted_losses() -> None:
    chosen = recipe("loss-prediction")
    assert chosen.strategy == Subset(Utility(), candidates=10_000)
    assert chosen.wrap is not None
    learner = chosen.wrap(PLAIN)
    assert learner == LossPrediction(PLAIN)
    check_offered(chosen.strategy.needs, learner.offers, "the learner")
    with pytest.raises(EvidenceError, match="utility comes from"):
        check_offered(chosen.strategy.needs, PLAIN.offers, "the learner")
    picked, posterior = asked(learner, "loss-prediction")
    assert isinstance(posterior, OffersUtility)
    assert picked == posterior.utility(inputs(SNAPSHOT.ids)).argsort(descending=True)[:5].tolist()


def test_the_same_seed_asks_the_same() -> None:
    picks = [asked(LossPrediction(PLAIN), "loss-prediction", seed)[0] for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]


@pytest.mark.parametrize("name", ["bald", "margin", "core-set", "random"])
def test_a_strategy_that_does_not_use_it_asks_what_it_asked(name: str) -> None:
    assert asked(LossPrediction(PLAIN, until=0.0), name)[0] == asked(PLAIN, name)[0]


def test_a_round_after_a_restart_is_equal() -> None:
    """Warm or cold: of the round before only the network's weights are used, and those are on disk."""
    for restart in ("cold", "warm"):
        learner = LossPrediction(replace(PLAIN, restart=restart))
        _, before = asked(learner, "loss-prediction")
        assert isinstance(before, HasWeights)
        restored = two_moons_mlp()
        restored.load_state_dict(before.weights())
        after, again = (asked(learner, "loss-prediction", 1, start) for start in (before, MCDropout(restored)))
        assert after[0] == again[0]
        assert isinstance(after[1], OffersUtility)
        assert isinstance(again[1], OffersUtility)
        assert torch.equal(after[1].utility(inputs(SNAPSHOT.ids)), again[1].utility(inputs(SNAPSHOT.ids)))


class TestTheModuleIsAPosteriorAsOthers(PosteriorConformance):
    def posterior(self) -> WithUtility:
        return LossPrediction(SingleNetwork(two_moons_mlp, Training(epochs=2))).fit(first(), generator=derive(0))

    def inputs(self) -> Tensor:
        return points(20, seed=5)[0]
