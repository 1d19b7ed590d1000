"""Gaussian weights: each draw is a network, and the draws have the moments that the weights say."""

import copy

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors import Deterministic, GaussianWeights, gaussian
from asktell.randomness import counter, derive, seeded, take_key

X = torch.randn(7, 3, generator=derive(0, "x"), dtype=torch.float64)


def network() -> nn.Module:
    with seeded(derive(1)):
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4)).double()


def deviations(module: nn.Module, sd: float) -> dict[str, Tensor]:
    return {name: torch.full_like(weight, sd) for name, weight in module.named_parameters()}


def test_a_draw_is_the_network_with_drawn_weights() -> None:
    module = network()
    sd = deviations(module, 0.3)
    draws = GaussianWeights(module, sd).draw(3, generator=derive(0))
    key = take_key(derive(0))
    for number in range(3):
        naive = copy.deepcopy(module)
        with torch.no_grad():
            for name, weight in naive.named_parameters():
                weight.add_(
                    torch.from_numpy(counter(key, name, number).standard_normal(tuple(weight.shape))), alpha=0.3
                )
            expected = naive(X).softmax(1)
        assert torch.allclose(draws.log_probs(X)[:, number].exp(), expected, atol=1e-12)


def test_what_does_not_vary_is_the_network() -> None:
    module = network()
    point = Deterministic(module).predict(X)
    fixed, nearly = (GaussianWeights(module, deviations(module, sd)) for sd in (0.0, 1e-9))
    assert (fixed.distinct, nearly.distinct) == (1, None)
    assert torch.equal(fixed.draw(1, generator=derive(0)).log_probs(X)[:, 0], point)
    assert torch.allclose(nearly.draw(4, generator=derive(0)).log_probs(X), point[:, None], atol=1e-7)
    assert torch.equal(GaussianWeights(module, deviations(module, 0.5)).predict(X), point)


def test_logits_of_a_linear_layer_have_the_moments_of_its_weights() -> None:
    """Two classes: the log odds are Gaussian with mean x (w1 - w0) and variance 2 (|x|^2 + 1) sd^2."""
    with seeded(derive(2)):
        module = nn.Linear(3, 2).double()
    draws = GaussianWeights(module, deviations(module, 0.2)).draw(1000, generator=derive(0)).log_probs(X[:1])
    odds = draws[0, :, 1] - draws[0, :, 0]
    mean, sd = (
        float((module(X[:1]) @ torch.tensor([-1.0, 1.0]).double()).detach()),
        0.2 * (2 * (float(X[0] @ X[0]) + 1)) ** 0.5,
    )
    assert float(odds.mean()) == pytest.approx(mean, abs=5 * sd / 1000**0.5)
    assert float(odds.std()) == pytest.approx(sd, rel=5 / 2000**0.5)


def test_memory_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    module = network()
    posterior = GaussianWeights(module, deviations(module, 0.3))
    together = posterior.draw(5, generator=derive(0)).log_probs(X)
    monkeypatch.setattr(gaussian, "_BYTES", 1000)  # of the 544 bytes of a draw
    assert torch.equal(posterior.draw(5, generator=derive(0)).log_probs(X), together)


def test_deviations_that_cannot_be() -> None:
    module = network()
    for sd, words in (
        ({"3.weight": torch.ones(1)}, r"sd names \['3.weight'\]"),
        ({}, "sd names nothing"),
        ({"0.bias": torch.ones(3)}, r"sd of '0.bias' is \[3\], but the parameter is \[8\]"),
        ({"0.bias": -torch.ones(8)}, "negative"),
        ({"0.bias": torch.full((8,), torch.nan)}, "negative"),
    ):
        with pytest.raises(ModelError, match=words):
            GaussianWeights(module, sd)
