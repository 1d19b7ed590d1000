"""The variational autoencoder: its losses by their definitions, its shapes, and what it standardises by."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from asktell.errors import ModelError
from asktell.randomness import derive, seeded
from asktell.training.autoencoder import (
    Autoencoder,
    Encoded,
    Moments,
    adversarial_loss,
    check_shape,
    divergence,
    squared_error,
    variational_loss,
)

SHAPES = [(8, 8), (9, 13), (28, 28), (33, 10), (8, 40)]
NUMBERS = st.floats(-3, 3)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=derive(seed, "normal"), dtype=torch.float64)


def encoded(n: int = 5, latent: int = 3) -> Encoded:
    return Encoded(normal(n, latent), normal(n, latent, seed=1))


def made(x: Tensor, latent: int = 4) -> Autoencoder:
    with seeded(derive(0, "weights")):
        return Autoencoder(Moments.of([x]), latent)


def log_normal(x: Tensor, mean: Tensor | float, sd: Tensor | float) -> Tensor:
    density: Tensor = Normal(mean, sd).log_prob(x)  # type: ignore[no-untyped-call]
    return density


# Losses


def test_the_divergence_is_that_of_two_gaussians_summed_within_an_item() -> None:
    mean, log_variance = encoded()
    each = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(torch.zeros(()), torch.ones(())))
    assert divergence(encoded()).tolist() == pytest.approx(each.sum(1).tolist(), rel=1e-12)


def test_the_divergence_is_what_monte_carlo_finds() -> None:
    found, draws = encoded(2), 40_000
    repeated = Encoded(*(part.repeat(draws, 1) for part in found))
    z = repeated.drawn(derive(3))
    log_q = log_normal(z, repeated.mean, (repeated.log_variance / 2).exp())
    ratios = (log_q - log_normal(z, 0.0, 1.0)).sum(1).view(draws, 2)
    errors = ratios.std(0) / math.sqrt(draws)
    assert bool(((ratios.mean(0) - divergence(found)).abs() < 4 * errors).all())


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5))
def test_the_divergence_is_never_negative_and_zero_at_the_prior(rows: list[tuple[float, float]]) -> None:
    both = torch.tensor(rows, dtype=torch.float64)
    assert float(divergence(Encoded(both[None, :, 0], both[None, :, 1]))) >= -1e-12
    nothing = torch.zeros(1, len(rows))
    assert float(divergence(Encoded(nothing, nothing))) == 0.0


def test_the_error_is_summed_within_an_item() -> None:
    x, other = normal(3, 2, 4, 5), normal(3, 2, 4, 5, seed=1)
    expected = [
        sum((a - b) ** 2 for a, b in zip(one.flatten().tolist(), two.flatten().tolist(), strict=True))
        for one, two in zip(x, other, strict=True)
    ]
    assert squared_error(x, other).tolist() == pytest.approx(expected)
    gaussian = -log_normal(x, other, math.sqrt(0.5)).flatten(1).sum(1) - 40 * math.log(math.pi) / 2
    assert squared_error(x, other).tolist() == pytest.approx(gaussian.tolist())


def test_the_loss_is_a_mean_over_items_of_sums_within_them() -> None:
    x, other, found = normal(5, 6), normal(5, 6, seed=1), encoded()
    for beta in (0.0, 1.0, 4.0):
        rows = [float(squared_error(x, other)[i] + beta * divergence(found)[i]) for i in range(5)]
        assert float(variational_loss(x, other, found, beta=beta)) == pytest.approx(sum(rows) / 5)
    twice = [torch.cat([part, part]) for part in (x, other, *found)]
    again = variational_loss(twice[0], twice[1], Encoded(twice[2], twice[3]), beta=2.0)
    assert float(again) == pytest.approx(float(variational_loss(x, other, found, beta=2.0)))


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.lists(NUMBERS, min_size=1, max_size=5))
def test_the_adversary_wants_all_taken_for_labelled(labelled: list[float], unlabelled: list[float]) -> None:
    sides = [torch.tensor(side, dtype=torch.float64, requires_grad=True) for side in (labelled, unlabelled)]
    loss = adversarial_loss(*sides)
    expected = sum(
        -sum(math.log(1 / (1 + math.exp(-one))) for one in side) / len(side) for side in (labelled, unlabelled)
    )
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(bool((side.grad < 0).all()) for side in sides if side.grad is not None)  # every logit should rise


# What the network is


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", SHAPES, ids=str)
def test_images_of_any_size_come_back_in_their_size(channels: int, side: tuple[int, int]) -> None:
    x = normal(3, channels, *side).float()
    autoencoder = made(x)
    found = autoencoder.encode(autoencoder.standardised(x))
    assert found.mean.shape == found.log_variance.shape == (3, 4)
    assert autoencoder.decode(found.mean).shape == x.shape


def test_vectors_come_back_in_their_length() -> None:
    x = normal(3, 17).float()
    autoencoder = made(x, latent=32)
    assert autoencoder.decode(autoencoder.encode(x).mean).shape == x.shape


@pytest.mark.parametrize("x", [normal(9, 11), normal(9, 1, 12, 9)], ids=["vectors", "images"])
def test_what_a_row_gets_depends_on_no_other_row(x: Tensor) -> None:
    autoencoder = made(x).double().train()
    order = torch.randperm(len(x), generator=derive(1))
    whole = autoencoder.encode(autoencoder.standardised(x)).mean
    parts = [autoencoder.encode(autoencoder.standardised(part)).mean for part in torch.split(x[order], 2)]
    assert torch.allclose(torch.cat(parts), whole[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (0,), (5, 5), (1, 7, 8), (0, 8, 8), (2, 1, 8, 8)], ids=str)
def test_rows_of_another_kind_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"vectors \[d\] and images \[c, h, w\] of 8 x 8 pixels or more"):
        check_shape(shape)


def test_draws_have_the_mean_and_variance_of_q() -> None:
    found, draws = encoded(1), 50_000
    before = torch.random.get_rng_state()
    z = Encoded(*(part.expand(draws, -1) for part in found)).drawn(derive(5))
    assert torch.equal(torch.random.get_rng_state(), before)
    variance = found.log_variance[0].exp()
    assert bool(((z.mean(0) - found.mean[0]).abs() < 4 * (variance / draws).sqrt()).all())
    assert z.var(0).tolist() == pytest.approx(variance.tolist(), rel=4 * math.sqrt(2 / draws))
    assert torch.equal(found.drawn(derive(6)), found.drawn(derive(6)))


# What it standardises by


@given(st.integers(1, 9), st.integers(0, 5))
def test_moments_are_those_of_all_rows_however_they_come(step: int, seed: int) -> None:
    x = 3 * normal(12, 4, seed=seed) + 100
    moments = Moments.of(torch.split(x, step))
    assert moments.mean.tolist() == pytest.approx(x.mean(0).tolist(), rel=1e-6)
    assert moments.scale.tolist() == pytest.approx(x.std(0, correction=0).tolist(), rel=1e-6)


def test_a_channel_has_one_scale_and_each_of_its_pixels_a_mean() -> None:
    x = torch.tensor([1.0, 50.0])[:, None, None] * normal(20, 2, 8, 9)
    moments = Moments.of([x])
    assert moments.mean.shape == (2, 8, 9)
    assert moments.scale.shape == (2, 1, 1)
    expected = x.var(0, correction=0).mean((1, 2)).sqrt()
    assert moments.scale.flatten().tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    standardised = made(x).standardised(x)
    assert float(standardised.square().mean()) == pytest.approx(1.0, rel=1e-5)  # the mean image's error is 1 a number


def test_what_is_constant_keeps_its_scale() -> None:
    x = torch.stack([torch.full((6,), 1e8), torch.arange(6.0)], 1)
    assert Moments.of([x]).scale.tolist() == pytest.approx([1.0, math.sqrt(35 / 12)])
    assert Moments.of([x[:1]]).scale.tolist() == [1.0, 1.0]


def test_bytes_are_numbers_too() -> None:
    x = torch.randint(256, (10, 1, 8, 8), generator=derive(0), dtype=torch.uint8)
    assert torch.equal(Moments.of([x]).mean, Moments.of([x.double()]).mean)
    assert made(x).standardised(x).dtype == torch.float32
