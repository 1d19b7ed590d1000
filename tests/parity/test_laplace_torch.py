"""The same numbers as laplace-torch 0.3: curvature, covariance, evidence and probit predictions of the last layer."""

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from asktell.learners import LastLayerLaplace, Round
from asktell.posteriors import Laplace
from asktell.posteriors.curvature import Dense, log_evidence, matrix
from asktell.posteriors.laplace import layer_weights, with_ones
from asktell.randomness import derive, seeded
from asktell.rows import as_rows
from asktell.training import Training

N, CLASSES, HIDDEN = 40, 3, 6

pytestmark = pytest.mark.slow  # importing it takes seconds


def build(classes: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, classes)).double()


def data(n: int = N) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 2, generator=derive(0, "x"), dtype=torch.float64)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def trained() -> nn.Sequential:
    learner = LastLayerLaplace(build, Training(epochs=100, lr=0.05, batch=None), precision=1.0)
    x, y = data()
    posterior = learner.fit(Round(0, ("a", "b", "c"), as_rows(x), y), generator=derive(0))
    with seeded(derive(0)):
        module = build(CLASSES)
    module.load_state_dict({n.removeprefix("network."): w for n, w in posterior.weights().items() if "network" in n})
    assert isinstance(module, nn.Sequential)
    return module


def peer(module: nn.Module, precision: float) -> Any:
    """Imported when it is needed: it takes seconds, and it imports what torch has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pytest.importorskip("laplace", reason="laplace-torch 0.3 is not installed: make setup")
        fitted = theirs.Laplace(
            module,
            "classification",
            subset_of_weights="last_layer",
            hessian_structure="full",
            prior_precision=precision,
        )
        fitted.fit(DataLoader(TensorDataset(*data()), batch_size=7))
    return fitted


def ours(module: nn.Sequential, precision: float) -> Laplace:
    with torch.no_grad():
        mean = layer_weights(module[2])
        phi = with_ones(module[:2](data()[0]), mean)
    return Laplace(module, Dense.of((phi @ mean.T).softmax(1), phi), precision=precision)


def in_their_order(matrix: Tensor) -> Tensor:
    """All weights of all classes first, then all biases."""
    d = HIDDEN + 1
    numbers = torch.arange(CLASSES * d).view(CLASSES, d)
    order = torch.cat([numbers[:, :-1].flatten(), numbers[:, -1]])
    return matrix[order][:, order]


@pytest.mark.parametrize("precision", [0.3, 10.0])
def test_the_dense_curvature_its_inverse_and_the_evidence(precision: float) -> None:
    module = trained()
    fitted, posterior = peer(module, precision), ours(module, precision)
    with torch.no_grad():
        mean = layer_weights(module[2])
        phi = with_ones(module[:2](data()[0]), mean)
        p = (phi @ mean.T).softmax(1)
    assert torch.allclose(in_their_order(matrix(p, phi)), fitted.H, atol=1e-5)
    root = posterior.curvature.spread(torch.eye(mean.numel(), dtype=torch.float64).view(-1, *mean.shape), precision)
    covariance = in_their_order(root.flatten(1) @ root.flatten(1))
    assert torch.allclose(covariance, fitted.posterior_covariance, atol=1e-5)
    likelihood = float(p.log().gather(1, data()[1][:, None]).sum())
    evidence = log_evidence(likelihood, posterior.curvature, mean, precision)
    assert evidence == pytest.approx(float(fitted.log_marginal_likelihood()), abs=1e-5)


def test_probit_predictions() -> None:
    module = trained()
    x = 3 * torch.randn(20, 2, generator=derive(1, "test"), dtype=torch.float64)
    expected = peer(module, 0.3)(x, link_approx="probit")
    assert torch.allclose(ours(module, 0.3).predict(x).exp(), expected, atol=1e-5)


def test_the_likeliest_precision() -> None:
    module = trained()
    fitted = peer(module, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.optimize_prior_precision(method="marglik", n_steps=300, lr=0.1)
    x, y = data()
    learner = LastLayerLaplace(build, Training(epochs=100, lr=0.05, batch=None))
    posterior = learner.fit(Round(0, ("a", "b", "c"), as_rows(x), y), generator=derive(0))
    assert math.log(posterior.precision) == pytest.approx(math.log(float(fitted.prior_precision)), abs=1e-3)
