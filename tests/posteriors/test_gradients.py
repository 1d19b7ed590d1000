"""Gradients in all weights: what autograd gives, row by row and label by label."""

import math

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import EvidenceError, ModelError
from asktell.learners import Round, SingleNetwork
from asktell.posteriors import (
    Deterministic,
    HasWeights,
    MCDropout,
    NetworkWithUtility,
    OffersUtility,
    Posterior,
    gradient_utility,
    model_id,
)
from asktell.posteriors import gradients as room
from asktell.posteriors.gradients import expected_gradient_length
from asktell.randomness import derive, seeded
from asktell.rows import TensorRows, as_rows
from asktell.scores import expected_gradient_length as of_last_layer
from asktell.strategies import FullGradient
from asktell.testing import PosteriorConformance
from asktell.training import Training, two_moons_mlp


class Convolutions(nn.Module):
    """Convolution, BatchNorm with its shift, dropout, a skip connection, in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.block, self.out = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.norm(self.stem(x)))
        logits: Tensor = self.out(self.drop((h + self.block(h)).mean((2, 3))))
        return logits


class Deciding(nn.Module):
    """What it computes depends on the data: torch.func cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(x if float(x.sum()) > 0 else -x)
        return logits


def made(kind: type[nn.Module] | str) -> nn.Module:
    with seeded(derive(0, "weights")):
        if isinstance(kind, str):
            layers = (nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 4), nn.LogSoftmax(-1))
            return nn.Sequential(*layers).double()
        return kind().double()


def by_autograd(module: nn.Module, x: Tensor, bias: bool) -> list[float]:
    module.eval()
    weights = [w for name, w in module.named_parameters() if bias or not name.endswith("bias")]
    found = []
    for row in x:
        log_p = module(row[None]).log_softmax(-1)[0]
        total = 0.0
        for y in range(len(log_p)):
            gradients = torch.autograd.grad(-log_p[y], weights, retain_graph=True)
            total += float(log_p[y].detach().exp()) * math.sqrt(sum(float(g.square().sum()) for g in gradients))
        found.append(total)
    return found


def images(n: int) -> Tensor:
    return torch.randn(n, 1, 5, 5, generator=derive(0, "images"), dtype=torch.float64)


def points(n: int) -> Tensor:
    return torch.randn(n, 3, generator=derive(0, "points"), dtype=torch.float64)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["mlp", Convolutions], ids=["mlp", "convolutions"])
def test_it_is_what_autograd_gives(kind: type[nn.Module] | str, bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = made(kind), points(9) if kind == "mlp" else images(9)
    expected = by_autograd(module, x, bias)
    assert expected_gradient_length(module, x, bias=bias).tolist() == pytest.approx(expected, rel=1e-11)
    monkeypatch.setattr(room, "_BYTES", 1)  # a row at a time
    assert expected_gradient_length(module, x, bias=bias).tolist() == pytest.approx(expected, rel=1e-11)
    for posterior in (Deterministic(module, batch=4), MCDropout(module, batch=4)):
        assert posterior.expected_gradient_length(x, bias=bias).tolist() == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("bias", [True, False])
def test_of_a_network_that_is_one_layer_it_is_the_closed_form(bias: bool) -> None:
    layer = nn.Linear(3, 4).double()
    posterior = Deterministic(layer)
    closed = of_last_layer(posterior.predict(points(9)), posterior.features(points(9)), bias=bias)
    found = posterior.expected_gradient_length(points(9), bias=bias)
    assert found.tolist() == pytest.approx(closed.tolist(), rel=1e-12)


def test_the_whole_gradient_is_no_shorter_than_that_of_the_last_layer() -> None:
    posterior = MCDropout(made("mlp"))
    last = of_last_layer(posterior.predict(points(30)), posterior.features(points(30)))
    assert bool((posterior.expected_gradient_length(points(30)) >= last).all())


def test_nothing_is_left_behind_in_the_network() -> None:
    module = made(Convolutions)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    posterior = MCDropout(module)
    posterior.expected_gradient_length(images(5))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training
    assert all(w.grad is None for w in module.parameters())
    assert len(posterior.expected_gradient_length(images(0))) == 0


def test_a_network_that_decides_by_its_data_is_refused() -> None:
    with pytest.raises(ModelError, match=r"torch\.func cannot differentiate the network item by item"):
        Deterministic(Deciding()).expected_gradient_length(torch.ones(3, 3))


class TestGradientUtility(PosteriorConformance):
    def module(self) -> nn.Module:
        return made("mlp")

    def wrap(self, module: nn.Module) -> Posterior:
        return gradient_utility(MCDropout(module))

    def inputs(self) -> Tensor:
        return points(20)


def test_utility_is_the_length_and_all_else_is_the_posterior() -> None:
    plain = MCDropout(made("mlp"))
    useful = gradient_utility(plain, bias=False)
    assert isinstance(useful, OffersUtility)
    assert isinstance(useful, HasWeights)
    rows = as_rows(points(7))
    assert useful.utility(rows).tolist() == plain.expected_gradient_length(rows, bias=False).tolist()
    assert useful.offers == plain.offers | {"utility"}
    assert useful.distinct == plain.distinct
    assert model_id(useful) == model_id(plain)
    for name in ("predict", "point_log_probs", "features"):
        assert torch.equal(getattr(useful, name)(rows), getattr(plain, name)(rows))
    one, other = (posterior.draw(3, generator=derive(5)).log_probs(rows) for posterior in (plain, useful))
    assert torch.equal(one, other)


def test_a_posterior_of_another_kind_is_refused() -> None:
    class Votes:
        offers, distinct = frozenset({"log_probs"}), 1

        def draw(self, k: int, *, generator: torch.Generator) -> "Votes":
            return self

        def predict(self, inputs: object) -> Tensor:
            return torch.zeros(1, 2)

    with pytest.raises(EvidenceError, match="such as SingleNetwork gives; Votes is none"):
        gradient_utility(Votes())  # type: ignore[arg-type]


def test_the_learner_that_is_wrapped_learns_the_same() -> None:
    learner = SingleNetwork(two_moons_mlp, Training(epochs=3))
    data = Round(0, ("low", "high"), TensorRows(torch.randn(20, 2)), torch.arange(20) % 2)
    plain, useful = (one.fit(data, generator=derive(1)) for one in (learner, FullGradient(learner)))
    assert isinstance(plain, HasWeights)
    assert isinstance(useful, NetworkWithUtility)
    assert model_id(plain) == model_id(useful)
    assert FullGradient(learner).offers == learner.offers | {"utility"}
