"""Bayes by backprop, term by term."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners import BayesByBackprop
from asktell.randomness import derive, seeded
from asktell.training import Training
from asktell.training.method import Step
from asktell.training.priors import GaussianPrior, ScaleMixture
from asktell.training.variational import Variational, Weighting, share_of_divergence

PASSES = 1500
X, Y = torch.randn(20, 3, generator=derive(0), dtype=torch.float64), torch.arange(20) % 4


def network(*, hidden: int = 8) -> nn.Module:
    with seeded(derive(1)):
        return nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Dropout(0.5), nn.Linear(hidden, 4)).double()


def step(number: int = 0, steps: int = 1, *, labels: int = 20, repeats: int = 1) -> Step:
    samples = labels * repeats
    return Step(torch.arange(samples // steps), number, steps, samples, labels)


@pytest.mark.parametrize("weighting", ["equal", "halving"])
@pytest.mark.parametrize("steps", [1, 2, 5, 60])
def test_the_shares_of_an_epoch_sum_to_one(weighting: Weighting, steps: int) -> None:
    shares = [share_of_divergence(step(number, steps), weighting) for number in range(steps)]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    if weighting == "halving":
        assert all(first == pytest.approx(2 * second) for first, second in pairwise(shares))
        assert shares[0] == pytest.approx(2 ** (steps - 1) / (2**steps - 1))


def test_closed_form_divergence_is_the_mean_over_draws() -> None:
    """One draw of 400,000 equal weights is 400,000 draws of one."""
    module = Variational(nn.Linear(1000, 400, bias=False).double(), initial_sd=0.3, local=True)
    nn.init.constant_(module.mean.weight, 0.5)  # type: ignore[arg-type]
    with seeded(derive(0)):
        exact = float(module.divergence(GaussianPrior(0.8)).detach()) / 400_000
        estimate = float(module.divergence(GaussianPrior(0.8), closed_form=False).detach()) / 400_000
    assert exact == pytest.approx(math.log(0.8 / 0.3) + (0.3**2 + 0.5**2) / (2 * 0.8**2) - 0.5)
    assert estimate == pytest.approx(exact, abs=5 * 0.6 / 400_000**0.5)


def test_divergence_from_itself_is_zero() -> None:
    module = Variational(nn.Linear(3, 2).double(), initial_sd=0.7, local=True)
    for weight in module.mean.parameters():
        nn.init.zeros_(weight)
    assert float(module.divergence(GaussianPrior(0.7)).detach()) == pytest.approx(0, abs=1e-12)


def test_a_scale_mixture_is_the_sum_of_its_densities_and_does_not_vanish() -> None:
    prior = ScaleMixture(0.25, 0.5, 0.01)
    w = torch.linspace(-2, 2, 101, dtype=torch.float64)

    def density(sd: float) -> Tensor:
        return torch.exp(-(w**2) / (2 * sd**2)) / (sd * math.sqrt(2 * math.pi))

    assert torch.allclose(prior.log_density(w).exp(), 0.25 * density(0.5) + 0.75 * density(0.01), atol=1e-12)
    far = ScaleMixture().log_density(torch.tensor([60.0]))
    assert float(far) == pytest.approx(math.log(0.5) - 1800 - math.log(math.sqrt(2 * math.pi)), abs=1e-3)
    same = ScaleMixture(0.5, 0.3, 0.3).log_density(w)
    assert torch.allclose(same, GaussianPrior(0.3).log_density(w), atol=1e-12)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_noise_in_training_has_the_moments_of_the_weights(local: bool, bias: bool) -> None:
    """x w + b has mean x mu + mu_b and variance (|x|^2 + 1) sd^2, local or not; local rows are independent."""
    with seeded(derive(1)):
        module = Variational(nn.Linear(3, 2, bias=bias).double(), initial_sd=0.2, local=local).train()
    x = X[:1].expand(2, -1)
    with torch.no_grad(), seeded(derive(2)):
        drawn = torch.stack([module(x) for _ in range(PASSES)])
        mean = module.mean(x)[0]
    sd = 0.2 * math.sqrt(float(X[0] @ X[0]) + bias)
    assert torch.allclose(drawn[:, 0].mean(0), mean, atol=5 * sd / PASSES**0.5)
    assert torch.allclose(drawn[:, 0].std(0) / sd, torch.ones(2).double(), atol=5 / (2 * PASSES) ** 0.5)
    correlation = float(torch.corrcoef(drawn[:, :, 0].T)[0, 1])
    assert correlation == pytest.approx(0.0 if local else 1.0, abs=5 / PASSES**0.5)


def test_local_noise_of_a_convolution_has_the_moments_of_its_weights() -> None:
    with seeded(derive(1)):
        module = Variational(nn.Conv2d(2, 1, 2, stride=2, padding=1).double(), initial_sd=0.2, local=True).train()
        image = torch.randn(1, 2, 4, 4).double()
    with torch.no_grad(), seeded(derive(2)):
        local = torch.stack([module(image) for _ in range(PASSES)])
        module._local = False
        shared = torch.stack([module(image) for _ in range(PASSES)])
    assert torch.allclose(local.std(0) / shared.std(0), torch.ones(1).double(), atol=0.12)
    assert torch.allclose(local.mean(0), shared.mean(0), atol=0.12)


@pytest.mark.parametrize("local", [True, False])
def test_without_spread_the_gradient_is_that_of_the_likelihood(local: bool) -> None:
    learner = BayesByBackprop(network_of, Training(epochs=1), tempering=1e-12, local=local)
    module = Variational(network(), initial_sd=1e-9, local=local).train()
    learner.loss(module, X, Y, step()).backward()  # type: ignore[no-untyped-call]
    plain = network().eval()
    nn.functional.cross_entropy(plain(X), Y).backward()  # type: ignore[no-untyped-call]
    for ours, theirs in zip(module.mean.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("weighting", ["equal", "halving"])
def test_an_epoch_counts_the_divergence_as_often_as_the_labels(weighting: Weighting, repeats: int) -> None:
    """Summed over rows, the losses are repeats times (cross-entropy of all labels + tempering KL)."""
    learner = BayesByBackprop(network_of, Training(epochs=1), weighting=weighting, tempering=0.5)
    module, steps = Variational(network(), initial_sd=1e-9, local=True).train(), 2 * repeats
    total = 0.0
    for number in range(steps):
        part = slice(0, 10) if number % 2 else slice(10, 20)
        total += 10 * float(learner.loss(module, X[part], Y[part], step(number, steps, repeats=repeats)).detach())
    likelihood = float(nn.functional.cross_entropy(module.eval()(X), Y, reduction="sum").detach())
    divergence = float(module.divergence(GaussianPrior()).detach())
    assert total == pytest.approx(repeats * (likelihood + 0.5 * divergence), rel=1e-6)


def test_zeros_in_the_inputs_leave_gradients_finite() -> None:
    with seeded(derive(1)):
        module = Variational(nn.Linear(3, 2, bias=False), initial_sd=0.1, local=True).train()
        module(torch.zeros(4, 3)).sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in module.parameters() if weight.grad is not None)


def test_dropout_stays_off_and_eval_mode_is_the_network_of_the_means() -> None:
    module = Variational(network(), initial_sd=0.1, local=True).train()
    assert not module.mean[2].training  # type: ignore[index]
    assert torch.equal(module.eval()(X), network().eval()(X))


def test_only_linear_layers_and_convolutions_get_spread() -> None:
    inner = nn.Sequential(nn.Conv1d(1, 2, 2), nn.BatchNorm1d(2), nn.Flatten(), nn.Linear(4, 2))
    module = Variational(inner, initial_sd=0.1, local=True)
    assert module.names == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert all(torch.allclose(sd, torch.full_like(sd, 0.1)) for sd in module.sd().values())
    with pytest.raises(ModelError, match="no linear layer and no convolution"):
        Variational(nn.Embedding(3, 4), initial_sd=0.1, local=True)


def network_of(classes: int) -> nn.Module:
    return network()


def test_settings_that_cannot_be() -> None:
    for settings, words in (
        ({"initial_sd": 0.0}, "initial_sd must be positive"),
        ({"tempering": -1.0}, "tempering must be positive"),
        ({"training": Training(epochs=1, decay=1.0)}, "use decay=0"),
    ):
        with pytest.raises(ProtocolError, match=words):
            BayesByBackprop(**{"build": network_of, "training": Training(epochs=1), **settings})  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match="sd must be positive"):
        GaussianPrior(0.0)
    with pytest.raises(ProtocolError, match="share must be between 0 and 1"):
        ScaleMixture(share=1.0)
