"""Learners of several networks: independent members, cheap ones, interrupted ones, and bad input."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from sklearn.datasets import make_moons
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners import (
    BayesByBackprop,
    Bootstrap,
    DeepEnsemble,
    DiverseEnsemble,
    LastLayerLaplace,
    Learner,
    Restores,
    Round,
    SingleNetwork,
    SnapshotEnsemble,
    SplitHead,
    StochasticEnsemble,
    TemperatureScaled,
    load,
    save,
)
from asktell.learners.bootstrap import part
from asktell.learners.laplace import PRECISIONS
from asktell.learners.split_head import split
from asktell.posteriors import HasWeights, Laplace, MCDropout, Mixture, Posterior, Scaled, model_id
from asktell.randomness import derive, take_key
from asktell.rows import as_rows
from asktell.training import Training, fit, two_moons_mlp
from asktell.training.method import Method, cosine, sgd

SHORT = Training(epochs=5, batch=8, lr=1e-2)
LONG = Training(epochs=60, batch=None, lr=1e-2)


def build(classes: int) -> nn.Module:
    return two_moons_mlp(classes, hidden=12)


def plain(classes: int) -> nn.Module:
    return two_moons_mlp(classes, hidden=12, dropout=0.0)


def without_dropout(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, classes))


def wide(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 1600), nn.ReLU(), nn.Linear(1600, classes))


def moons(n: int = 40, seed: int = 9) -> tuple[Tensor, Tensor]:
    x, y = make_moons(n, noise=0.15, random_state=seed)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def labelled(n: int = 40, classes: tuple[str, ...] = ("up", "down")) -> Round:
    x, y = moons(n)
    return Round(0, classes, as_rows(x), y)


LEARNERS: dict[str, Callable[[Training], Learner]] = {
    "deep ensemble": lambda training: DeepEnsemble(build, training, members=3),
    "snapshots": lambda training: SnapshotEnsemble(build, replace(training, lr=30 * training.lr), cycles=3),
    "diverse ensemble": lambda training: DiverseEnsemble(build, training, members=3),
    "split head": lambda training: SplitHead(build, training, heads=3),
    "bootstrapped heads": lambda training: SplitHead(build, training, heads=3, bootstrap=True),
    "stochastic ensemble": lambda training: StochasticEnsemble(build, training),
    "bayes by backprop": lambda training: BayesByBackprop(build, training, tempering=0.01),
    "laplace": lambda training: LastLayerLaplace(build, training),
    "kronecker laplace": lambda training: LastLayerLaplace(build, training, structure="kronecker"),
    "bootstrap": lambda training: Bootstrap(SingleNetwork(build, training), members=3),
}
each = pytest.mark.parametrize("make", LEARNERS.values(), ids=LEARNERS.keys())
Make = Callable[[Training], Learner]


def drawn(posterior: Posterior, x: Tensor, k: int = 6) -> Tensor:
    return posterior.draw(min(k, posterior.distinct or k), generator=derive(0)).log_probs(as_rows(x))


@each
def test_two_moons_are_learned(make: Make) -> None:
    posterior = make(LONG).fit(labelled(), generator=derive(0))
    x, y = moons(300, seed=3)
    assert float((posterior.predict(as_rows(x)).argmax(1) == y).float().mean()) > 0.85
    assert float((drawn(posterior, x).exp().mean(1).argmax(1) == y).float().mean()) > 0.85


@each
def test_it_is_a_learner_that_takes_one_key_and_offers_what_it_gives(make: Make) -> None:
    learner, used, expected = make(SHORT), derive(0), derive(0)
    posterior = learner.fit(labelled(), generator=used)
    take_key(expected)
    assert isinstance(learner, Learner)
    assert learner.offers == posterior.offers
    assert torch.equal(used.get_state(), expected.get_state())


@each
def test_the_same_seed_gives_the_same_model_whatever_the_global_state(make: Make) -> None:
    ids: list[str] = []
    for seed in (0, 0, 1):
        with torch.random.fork_rng():
            torch.rand(3 * len(ids) + 1)
            before = torch.get_rng_state()
            ids.append(model_id(make(SHORT).fit(labelled(), generator=derive(seed))))
            assert torch.equal(before, torch.get_rng_state())
    assert ids[0] == ids[1] != ids[2]


@each
def test_it_comes_back_from_disk(make: Make, tmp_path: Path) -> None:
    learner, (x, _) = make(SHORT), moons(9)
    posterior = learner.fit(labelled(), generator=derive(0))
    save(posterior, ("up", "down"), tmp_path)
    assert isinstance(learner, Restores)
    restored, classes = load(make(SHORT), tmp_path)  # type: ignore[arg-type]
    assert classes == ("up", "down")
    assert torch.equal(restored.predict(as_rows(x)), posterior.predict(as_rows(x)))
    assert torch.equal(drawn(restored, x), drawn(posterior, x))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["posterior.json", "weights.safetensors"]


@each
def test_one_class_labelled_and_fewer_labels_than_classes_are_legal(make: Make) -> None:
    x, _ = moons(3)
    learner = make(Training(epochs=15, lr=0.05))
    posterior = learner.fit(Round(0, tuple("abcdef"), as_rows(x), torch.full((3,), 4)), generator=derive(0))
    values = drawn(posterior, x)
    assert values.shape[2] == 6
    assert bool(values.isfinite().all())
    assert posterior.predict(as_rows(x)).argmax(1).tolist() == [4, 4, 4]


class Diverging(nn.Module):
    """Its outputs become infinite when it is trained."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(2, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.drop(x))
        return logits * (torch.inf if self.training else 1.0)


def diverging(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), Diverging(classes))


@pytest.mark.parametrize(
    ("learner", "name"),
    [
        (DeepEnsemble(diverging, SHORT), "member 0"),
        (SnapshotEnsemble(diverging, SHORT), "cycle 0"),
        (DiverseEnsemble(diverging, SHORT), "base"),
        (SplitHead(diverging, SHORT, at="1"), "network"),
        (StochasticEnsemble(diverging, SHORT), "member 0"),
        (BayesByBackprop(diverging, SHORT), "network"),
        (LastLayerLaplace(diverging, SHORT), "network"),
        (Bootstrap(SingleNetwork(diverging, SHORT)), "member 0"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Learner) else "",
)
def test_a_member_that_diverges_is_named(learner: Learner, name: str) -> None:
    with pytest.raises(ModelError, match=f"{name}: the loss is nan in epoch 0; .* lower lr"):
        learner.fit(labelled(), generator=derive(0))


def test_one_network_that_diverges_or_has_no_dropout_raises() -> None:
    with pytest.raises(ModelError, match=r"the loss is nan in epoch 0; .* lower lr"):
        SingleNetwork(diverging, SHORT).fit(labelled(), generator=derive(0))
    with pytest.raises(ModelError, match=r"no dropout module, .* use Deterministic"):
        SingleNetwork(without_dropout, Training(epochs=10**9)).fit(labelled(), generator=derive(0))  # before training


class LastStep(nn.Linear):
    """Its gradient, and only that, is NaN: the loss of the last step is still finite."""

    def __init__(self, classes: int) -> None:
        super().__init__(2, classes)
        self.weight.register_hook(lambda gradient: gradient * torch.nan)  # type: ignore[no-untyped-call]


class Spoiled(nn.Linear):
    """Something in it that is no weight is NaN."""

    def __init__(self, classes: int) -> None:
        super().__init__(2, classes)
        self.register_buffer("running", torch.tensor(torch.nan))


def test_weights_that_end_as_nan_are_named_too() -> None:
    learner = DeepEnsemble(LastStep, Training(epochs=1, batch=None), members=2)
    with pytest.raises(ModelError, match="member 0: training ended with NaN or infinity in weight"):
        learner.fit(labelled(), generator=derive(0))
    one = SingleNetwork(lambda classes: nn.Sequential(nn.Dropout(), LastStep(classes)), Training(epochs=1, batch=None))
    with pytest.raises(ModelError, match=r"training ended with NaN or infinity in 1\.weight"):
        one.fit(labelled(), generator=derive(0))


def test_a_network_of_another_number_of_classes_raises_before_it_is_trained() -> None:
    for learner in (DeepEnsemble(lambda _: build(5), SHORT), LastLayerLaplace(lambda _: build(5), SHORT)):
        with pytest.raises(ModelError, match="the network has 5 classes, the round has 2"):
            learner.fit(labelled(), generator=derive(0))


# Deep ensembles


def members(posterior: Posterior, prefix: str = "members.{}.") -> list[dict[str, Tensor]]:
    assert isinstance(posterior, HasWeights)
    weights = posterior.weights()
    found = [part(weights, prefix.format(number)) for number in range(10)]
    return [member for member in found if member]


def test_members_are_independent_of_how_many_there_are() -> None:
    few, more = (members(DeepEnsemble(build, SHORT, members=n).fit(labelled(), generator=derive(0))) for n in (2, 3))
    for first, second in zip(few, more[:2], strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(more[0]["0.weight"], more[1]["0.weight"])


def test_members_that_train_together_are_those_that_train_apart() -> None:
    """Without dropout, and but for rounding; with dropout only the masks are others."""
    apart, together = (
        members(DeepEnsemble(without_dropout, SHORT, members=3, stacked=stacked).fit(labelled(), generator=derive(0)))
        for stacked in (False, True)
    )
    for first, second in zip(apart, together, strict=True):
        assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)
    with pytest.raises(ModelError, match="member 0: training ended with NaN or infinity in running"):
        DeepEnsemble(Spoiled, SHORT, stacked=True).fit(labelled(), generator=derive(0))


def test_five_members_have_five_levels_of_votes() -> None:
    from asktell.scores import mc_variation_ratio

    posterior = DeepEnsemble(build, SHORT).fit(labelled(), generator=derive(0))
    ratios = mc_variation_ratio(drawn(posterior, moons(200)[0]))
    assert set(ratios.mul(5).round().int().tolist()) <= {0, 1, 2}
    assert torch.allclose(ratios * 5, (ratios * 5).round())


class Interrupted(RuntimeError):  # noqa: N818 - what a test raises, no error
    pass


@pytest.mark.parametrize(
    ("make", "builds"),
    [
        (lambda build, folder: DeepEnsemble(build, SHORT, members=4, folder=folder), 4),
        (lambda build, folder: StochasticEnsemble(build, SHORT, members=4, folder=folder), 4),
        (lambda build, folder: SnapshotEnsemble(build, SHORT, cycles=4, optimiser="adam", folder=folder), 1),
        (lambda build, folder: DiverseEnsemble(build, SHORT, members=3, folder=folder), 1),
    ],
    ids=["deep", "stochastic", "snapshots", "diverse"],
)
def test_an_interrupted_fit_goes_on_where_it_was(
    make: Callable[[Callable[[int], nn.Module], Path | None], Learner],
    builds: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = model_id(make(build, None).fit(labelled(), generator=derive(0)))
    trained = []

    def counting(*args: object, **kwargs: object) -> object:
        trained.append(1)
        if len(trained) == 3:
            raise Interrupted
        return fit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("asktell.learners.fitting.fit", counting)
    with pytest.raises(Interrupted):
        make(build, tmp_path).fit(labelled(), generator=derive(0))
    assert len(list(tmp_path.iterdir())) == 2
    resumed = make(build, tmp_path).fit(labelled(), generator=derive(0))
    assert len(trained) == 3 + 2
    assert model_id(resumed) == whole
    make(build, tmp_path).fit(labelled(), generator=derive(0))
    assert len(trained) == 5
    make(build, tmp_path).fit(labelled(39), generator=derive(0))  # other labels: nothing can be taken over
    assert len(trained) == 9
    assert len(list(tmp_path.iterdir())) == 4


def test_a_bootstrap_of_what_can_be_interrupted_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bootstrap(folder: Path | None) -> Learner:
        return Bootstrap(DeepEnsemble(build, SHORT, members=2, folder=folder), members=2)

    whole = model_id(bootstrap(None).fit(labelled(), generator=derive(0)))
    trained = []

    def counting(*args: object, **kwargs: object) -> object:
        trained.append(1)
        if len(trained) == 4:
            raise Interrupted
        return fit(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("asktell.learners.fitting.fit", counting)
    with pytest.raises(Interrupted):
        bootstrap(tmp_path).fit(labelled(), generator=derive(0))
    assert model_id(bootstrap(tmp_path).fit(labelled(), generator=derive(0))) == whole
    assert len(trained) == 4 + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["member-0", "member-1"]


# Snapshots


def test_the_learning_rate_falls_along_a_cosine_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 labels, batch 4: 3 steps an epoch; 7 epochs in 3 cycles: 2, 2 and 3 epochs."""
    rates: list[float] = []
    started: list[int] = []

    class Watched(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            rates.append(self.param_groups[0]["lr"])
            super().step(closure)

    def watched(groups: object, lr: float, momentum: float) -> torch.optim.Optimizer:
        started.append(len(rates))
        return Watched(groups, lr=lr, momentum=momentum)  # type: ignore[arg-type]

    monkeypatch.setattr("asktell.learners.snapshot.sgd", watched)
    SnapshotEnsemble(build, Training(epochs=7, batch=4, lr=0.2), cycles=3).fit(labelled(10), generator=derive(0))
    assert started == [0, 6, 12]
    expected = [0.1 * (1 + math.cos(math.pi * t / steps)) for steps in (6, 6, 9) for t in range(steps)]
    assert rates == pytest.approx(expected, abs=1e-12)
    assert rates[0] == 0.2
    assert rates[-1] < 0.007


def test_snapshots_differ_and_the_last_are_kept() -> None:
    training = Training(epochs=8, batch=8, lr=0.1)
    every = members(SnapshotEnsemble(build, training, cycles=4).fit(labelled(), generator=derive(0)))
    last = members(SnapshotEnsemble(build, training, cycles=4, members=2).fit(labelled(), generator=derive(0)))
    assert (len(every), len(last)) == (4, 2)
    assert all(not torch.equal(a["0.weight"], b["0.weight"]) for a, b in pairwise(every))
    assert all(torch.equal(a["0.weight"], b["0.weight"]) for a, b in zip(every[2:], last, strict=True))


def test_one_cycle_is_one_training_by_sgd() -> None:
    learner = SnapshotEnsemble(build, SHORT, cycles=1)
    posterior = learner.fit(labelled(), generator=derive(0))
    key = take_key(derive(0))
    from asktell.learners.fitting import Fitting

    module = Fitting(labelled(), key).built(build)
    x, y = moons()
    method = Method(optimiser=sgd, rate=cosine)
    fit(module, x, y, training=SHORT, generator=derive(key, "cycle", 0, "fit"), method=method)
    assert all(torch.equal(members(posterior)[0][name], w) for name, w in module.state_dict().items())


# Diverse ensembles and split heads


def test_copies_share_their_base_and_differ_afterwards() -> None:
    """With next to no learning rate every copy stays at the base."""
    still = DiverseEnsemble(build, Training(epochs=5, lr=1e-6), members=2)
    first, second = members(still.fit(labelled(), generator=derive(0)))
    assert torch.allclose(first["0.weight"], second["0.weight"], atol=1e-4)
    moving = DiverseEnsemble(build, Training(epochs=5, batch=None, lr=1e-2), members=2)
    first, second = members(moving.fit(labelled(), generator=derive(0)))
    assert not torch.allclose(first["0.weight"], second["0.weight"], atol=1e-3)


def test_copies_that_cannot_differ_are_refused() -> None:
    with pytest.raises(ModelError, match="all members came out equal: without dropout"):
        DiverseEnsemble(plain, Training(epochs=5, batch=None), members=2).fit(labelled(), generator=derive(0))
    by_order = DiverseEnsemble(plain, Training(epochs=5, batch=8), members=2)
    assert by_order.fit(labelled(), generator=derive(0)).distinct == 2


def test_one_head_is_the_network_itself() -> None:
    """Trunk and head together have the weights that the whole network would have had."""
    training = Training(epochs=5, batch=None, lr=1e-2)
    posterior = SplitHead(plain, training, heads=1).fit(labelled(), generator=derive(0))
    key = take_key(derive(0))
    from asktell.learners.fitting import Fitting

    module = Fitting(labelled(), key).built(plain, "head", 0)
    fit(module, *moons(), training=training, generator=derive(key, "network", "fit"))
    weights = {name.removeprefix("trunk.").removeprefix("members.0."): w for name, w in posterior.weights().items()}
    for name, weight in module.state_dict().items():
        assert torch.allclose(weights[name], weight, atol=1e-5)


def test_the_loss_is_the_mean_of_the_heads_and_bootstrapped_rows_count_as_often_as_drawn() -> None:
    from asktell.learners.split_head import Pooled, _MeanOfHeads
    from asktell.training.method import Step

    x, y = moons(6)
    heads = [split(plain(2), None) for _ in range(3)]
    pooled = Pooled([head for _, head in heads], heads[0][0]).train()
    weights = torch.tensor([[1.0, 0, 2], [1, 3, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1], [1, 1, 2]])
    rows = torch.tensor([0, 1, 3])
    loss = float(_MeanOfHeads(weights)(pooled, x[rows], y[rows], Step(rows, 0, 1, 3, 6)).detach())
    trunk = heads[0][0](x)
    expected = sum(
        float(weights[row, number] * nn.functional.cross_entropy(head(trunk)[row], y[row]).detach())
        for number, (_, head) in enumerate(heads)
        for row in rows.tolist()
    )
    assert loss == pytest.approx(expected / 9, rel=1e-5)


@pytest.mark.parametrize(
    ("module", "at", "place"),
    [
        (two_moons_mlp(), None, "3"),
        (two_moons_mlp(), "6", "6"),
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), None, "2"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), None, "2"),
    ],
)
def test_where_a_network_is_split(module: nn.Module, at: str | None, place: str) -> None:
    trunk, head = split(module, at)
    assert next(iter(dict(head.named_children()))) == place
    assert len(trunk) + len(head) == len(list(module.children()))


@pytest.mark.parametrize(
    ("module", "at", "words"),
    [
        (nn.Linear(2, 2), None, "only an nn.Sequential can be split into trunk and head, not Linear"),
        (nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), None, "cannot be split at its linear layers"),
        (two_moons_mlp(), "out", "cannot be split at 'out'"),
        (two_moons_mlp(), "0", "the head must begin at a child that has another before it"),
    ],
)
def test_networks_that_cannot_be_split(module: nn.Module, at: str | None, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        split(module, at)


# Stochastic ensembles, bootstrap, Laplace, temperature


def test_a_stochastic_ensemble_needs_dropout_before_it_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asktell.learners.fitting.fit", lambda *_, **__: pytest.fail("it was trained"))
    with pytest.raises(ModelError, match="no dropout module"):
        StochasticEnsemble(without_dropout, SHORT).fit(labelled(), generator=derive(0))


def test_a_stochastic_ensemble_is_its_members_with_dropout_on() -> None:
    posterior = StochasticEnsemble(build, SHORT, members=2).fit(labelled(), generator=derive(0))
    assert isinstance(posterior, Mixture)
    deep = DeepEnsemble(build, SHORT, members=2).fit(labelled(), generator=derive(0))
    for stochastic, weights in zip(posterior.posteriors, members(deep), strict=True):
        assert isinstance(stochastic, MCDropout)
        assert all(torch.equal(stochastic.weights()[name], weight) for name, weight in weights.items())


def test_a_bootstrapped_learner_sees_as_many_rows_of_every_class() -> None:
    seen: list[Round] = []

    class Watching(SingleNetwork):
        def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
            seen.append(round)
            return super().fit(round, generator=generator)

    data = labelled()
    Bootstrap(Watching(build, SHORT), members=3).fit(data, generator=derive(0))
    rows = as_rows(moons()[0])[0:40]
    for drawn_round in seen:
        assert drawn_round.labels.bincount().tolist() == data.labels.bincount().tolist()
        taken = drawn_round.inputs[0:40]
        matches = (taken[:, None] == rows[None]).all(2)
        assert bool(matches.any(1).all())
        assert torch.equal(data.labels[matches.int().argmax(1)], drawn_round.labels)
        assert 15 < int(matches.any(0).sum()) < 35  # 63 % are there
        assert torch.equal(drawn_round.inputs.take(torch.tensor([3, 4, 9])), taken[[3, 4, 9]])


def test_each_bootstrapped_member_goes_on_from_its_own_past() -> None:
    learner = Bootstrap(SingleNetwork(build, Training(epochs=1, lr=1e-12), restart="warm"), members=2)
    before = learner.fit(labelled(), generator=derive(0))
    after = learner.fit(replace(labelled(), previous=before), generator=derive(1))
    for old, new in zip(members(before, "{}."), members(after, "{}."), strict=True):
        assert torch.allclose(old["0.weight"], new["0.weight"], atol=1e-8)


def test_laplace_takes_the_dense_curvature_while_the_layer_is_small() -> None:
    small = LastLayerLaplace(build, SHORT).fit(labelled(), generator=derive(0))
    large = LastLayerLaplace(wide, Training(epochs=1)).fit(labelled(6), generator=derive(0))
    assert [type(posterior.curvature).__name__ for posterior in (small, large)] == ["Dense", "Kronecker"]
    fixed = LastLayerLaplace(build, SHORT, precision=2.5, predict="map").fit(labelled(), generator=derive(0))
    assert fixed.precision == 2.5
    assert isinstance(fixed, Laplace)
    x = as_rows(moons(5)[0])
    assert torch.equal(fixed.predict(x), fixed.point_log_probs(x))


def validated(labels: Tensor) -> Round:
    return replace(labelled(), validation=(as_rows(moons(len(labels), seed=4)[0]), labels))


def test_a_precision_is_chosen_by_validation() -> None:
    """Of all there are none makes the validation labels likelier; whoever is always right need not vary."""
    x, y = moons(60, seed=4)
    noisy = torch.where(torch.arange(60) % 4 == 0, 1 - y, y)
    learner = LastLayerLaplace(build, LONG, precision="validation")
    doubtful = learner.fit(validated(noisy), generator=derive(0))
    doubtless = doubtful.predict(as_rows(x)).argmax(1)
    sure = learner.fit(validated(doubtless), generator=derive(0))
    assert PRECISIONS[0] < doubtful.precision < sure.precision == PRECISIONS[-1]
    for posterior, labels in ((doubtful, noisy), (sure, doubtless)):
        weights = [posterior.weights() | {"precision": torch.tensor(precision)} for precision in PRECISIONS]
        each = [learner.restore(("up", "down"), other) for other in weights]
        losses = [float(nn.functional.nll_loss(other.predict(as_rows(x)).double(), labels)) for other in each]
        assert posterior.precision == PRECISIONS[losses.index(min(losses))]


def test_how_it_predicts_does_not_change_the_precision_that_is_chosen() -> None:
    """Chosen by probit predictions: those of the trained network are the same under every precision."""
    data = validated(1 - moons(60, seed=4)[1])
    chosen = [
        LastLayerLaplace(build, LONG, precision="validation", predict=predict).fit(data, generator=derive(0)).precision
        for predict in ("probit", "map")
    ]
    assert chosen[0] == chosen[1] == PRECISIONS[0]  # all labels are wrong


def test_a_precision_by_validation_needs_a_validation_set_before_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asktell.learners.fitting.fit", lambda *_, **__: pytest.fail("it was trained"))
    learner = LastLayerLaplace(build, LONG, precision="validation")
    none = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)
    for data in (labelled(), replace(labelled(), validation=(as_rows(none[0]), none[1]))):
        with pytest.raises(ModelError, match="precision='validation' needs a validation set"):
            learner.fit(data, generator=derive(0))


def test_validation_inputs_that_are_no_numbers_choose_no_precision() -> None:
    data = replace(labelled(), validation=(as_rows(torch.full((2, 2), torch.nan)), torch.tensor([0, 1])))
    with pytest.raises(ModelError, match="likelihood of the validation labels is no number"):
        LastLayerLaplace(build, SHORT, precision="validation").fit(data, generator=derive(0))


def test_a_temperature_is_fitted_on_the_validation_set() -> None:
    x, y = moons(60, seed=4)
    noisy = torch.where(torch.arange(60) % 4 == 0, 1 - y, y)
    data = replace(labelled(), validation=(as_rows(x), noisy))
    learner = TemperatureScaled(DeepEnsemble(build, LONG, members=2))
    scaled = learner.fit(data, generator=derive(0))
    bare = learner.learner.fit(data, generator=derive(0))
    assert isinstance(scaled, Scaled)
    assert scaled.temperature > 1.5  # a quarter of the labels is wrong
    losses = [nn.functional.nll_loss(posterior.predict(as_rows(x)), noisy) for posterior in (scaled, bare)]
    assert losses[0] < losses[1]
    assert torch.equal(scaled.predict(as_rows(x)).argmax(1), bare.predict(as_rows(x)).argmax(1))
    with pytest.raises(ModelError, match="needs a validation set"):
        learner.fit(labelled(), generator=derive(0))


# Settings and files


def test_settings_that_cannot_be() -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: DeepEnsemble(build, SHORT, members=0), "members must be at least 1"),
        (lambda: DeepEnsemble(build, SHORT, stacked=True, folder=Path("x")), "nothing to keep in a folder"),
        (lambda: DeepEnsemble(build, replace(SHORT, patience=2), stacked=True), "cannot stop early"),
        (lambda: SnapshotEnsemble(build, SHORT, cycles=6), "5 epochs cannot be 6 cycles"),
        (lambda: SnapshotEnsemble(build, SHORT, members=6), "members must be between 1 and 5"),
        (lambda: SnapshotEnsemble(build, replace(SHORT, patience=2)), "use patience=None"),
        (lambda: DiverseEnsemble(build, SHORT, base_epochs=5), "of 5 epochs 5 cannot be shared"),
        (lambda: DiverseEnsemble(build, Training(epochs=1)), "of 1 epochs 1 cannot be shared"),
        (lambda: LastLayerLaplace(build, SHORT, precision=-1.0), "precision must be positive"),
        (lambda: Bootstrap(SingleNetwork(build, SHORT), members=0), "members must be at least 1"),
    ]
    for make, words in cases:
        with pytest.raises(ProtocolError, match=words):
            make()


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    learner = DeepEnsemble(build, SHORT, members=2)
    save(learner.fit(labelled(), generator=derive(0)), ("up", "down"), tmp_path / "a")
    save(learner.fit(labelled(), generator=derive(1)), ("up", "down"), tmp_path / "b")
    with pytest.raises(ModelError, match="do not fit the network"):
        load(DeepEnsemble(build, SHORT, members=3), tmp_path / "a")
    with pytest.raises(ModelError, match=r"posterior\.json cannot be read"):
        load(learner, tmp_path)
    (tmp_path / "a" / "posterior.json").replace(tmp_path / "b" / "posterior.json")
    with pytest.raises(ModelError, match="from files saved together"):
        load(learner, tmp_path / "b")
    (tmp_path / "b" / "weights.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load(learner, tmp_path / "b")
    (tmp_path / "b" / "posterior.json").write_text("{}")
    with pytest.raises(ModelError, match="does not say kind, classes and model"):
        load(learner, tmp_path / "b")


def test_what_has_no_weights_is_not_saved(tmp_path: Path) -> None:
    from asktell.posteriors import Committee

    with pytest.raises(ModelError, match="Committee has no weights to save"):
        save(Committee([lambda x: x]), ("a", "b"), tmp_path)
    mute = Bootstrap(Mute())
    with pytest.raises(ModelError, match="Mute cannot make its posterior again"):
        mute.restore(("a", "b"), {})


class Mute:
    """A learner that cannot restore."""

    offers = frozenset({"log_probs"})

    def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
        raise NotImplementedError

    def weights(self) -> Mapping[str, Tensor]:
        raise NotImplementedError
