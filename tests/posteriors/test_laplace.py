"""Last-layer Laplace against the Hessian itself, its inverse and its determinant."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian

from asktell.errors import EvidenceError, ModelError
from asktell.posteriors import Deterministic, Laplace
from asktell.posteriors.curvature import (
    Curvature,
    Dense,
    Kronecker,
    factor,
    likeliest_precision,
    log_evidence,
    matrix,
)
from asktell.randomness import derive, seeded

C, D = 3, 5


def rows(n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """phi [n, d], weights [c, d], p [n, c], labels [n]."""
    generator = derive(seed, "rows")
    phi = torch.cat([torch.randn(n, D - 1, generator=generator), torch.ones(n, 1)], 1).double()
    weights = torch.randn(C, D, generator=generator).double()
    return phi, weights, (phi @ weights.T).softmax(1), torch.randint(C, (n,), generator=generator)


def dense(curvature: Curvature, precision: float) -> Tensor:
    """(G + precision I)^-1 as a matrix, by way of its root."""
    root = curvature.spread(torch.eye(C * D, dtype=torch.float64).view(-1, C, D), precision).flatten(1)
    return root @ root


@pytest.mark.parametrize("n", [2, 20])
def test_the_curvature_is_the_hessian_of_the_loss(n: int) -> None:
    phi, weights, p, labels = rows(n)

    def loss(flat: Tensor) -> Tensor:
        return nn.functional.cross_entropy(phi @ flat.view(C, D).T, labels, reduction="sum")

    expected = hessian(loss, weights.flatten())  # type: ignore[no-untyped-call]
    assert torch.allclose(matrix(p, phi), expected, atol=1e-10)
    assert torch.allclose(factor(p, phi).T @ factor(p, phi), expected, atol=1e-10)


@pytest.mark.parametrize("n", [2, 5, 20])  # fewer rows than weights, and more
@pytest.mark.parametrize("precision", [0.1, 3.0])
def test_the_root_the_variances_and_the_determinant_are_those_of_the_matrix(n: int, precision: float) -> None:
    phi, weights, p, _ = rows(n)
    curvature = Dense.of(p, phi)
    whole = matrix(p, phi) + precision * torch.eye(C * D, dtype=torch.float64)
    inverse = torch.linalg.inv(whole)
    assert torch.allclose(dense(curvature, precision), inverse, atol=1e-9)
    blocks = inverse.view(C, D, C, D)
    expected = torch.stack([torch.stack([x @ blocks[c, :, c] @ x for c in range(C)]) for x in phi])
    assert torch.allclose(curvature.variances(phi, precision), expected, atol=1e-9)
    ratio = float(torch.logdet(whole)) - C * D * math.log(precision)
    evidence = -4.0 - (precision * float(weights.square().sum()) + ratio) / 2
    assert log_evidence(-4.0, curvature, weights, precision) == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize("same", ["p", "phi"])
def test_the_kronecker_product_is_exact_if_all_rows_are_alike(same: str) -> None:
    phi, weights, p, _ = rows(12)
    p, phi = (p[:1].expand(12, -1), phi) if same == "p" else (p, phi[:1].expand(12, -1))
    exact, product = Dense.of(p, phi), Kronecker.of(p, phi)
    assert torch.allclose(dense(product, 0.3), dense(exact, 0.3), atol=1e-9)
    assert torch.allclose(product.variances(phi, 0.3), exact.variances(phi, 0.3), atol=1e-9)
    assert log_evidence(0.0, product, weights, 0.3) == pytest.approx(log_evidence(0.0, exact, weights, 0.3), abs=1e-8)


def test_the_kronecker_product_is_that_of_its_factors() -> None:
    phi, _, p, _ = rows(12)
    spread = sum((torch.diag(row) - torch.outer(row, row) for row in p), torch.zeros(C, C)) / 12
    expected = torch.kron(spread, phi.T @ phi) + 0.3 * torch.eye(C * D, dtype=torch.float64)
    assert torch.allclose(dense(Kronecker.of(p, phi), 0.3), torch.linalg.inv(expected), atol=1e-9)


@pytest.mark.parametrize("kind", [Dense, Kronecker])
def test_the_likeliest_precision_is(kind: type[Dense] | type[Kronecker]) -> None:
    phi, weights, p, _ = rows(30)
    curvature = kind.of(p, phi)
    best = likeliest_precision(curvature, weights)
    evidence = [log_evidence(0.0, curvature, weights, best * factor) for factor in (0.9, 0.999, 1, 1.001, 1.1)]
    assert max(evidence) == evidence[2]
    determined = float((curvature.eigenvalues / (curvature.eigenvalues + best)).sum())
    assert best * float(weights.square().sum()) == pytest.approx(determined, rel=1e-5)


def network(classes: int = C) -> nn.Module:
    with seeded(derive(3)):
        return nn.Sequential(nn.Linear(2, D - 1), nn.Tanh(), nn.Dropout(0.5), nn.Linear(D - 1, classes)).double()


X = torch.randn(6, 2, generator=derive(1, "x"), dtype=torch.float64)


def laplace(precision: float, **settings: str) -> Laplace:
    phi, _, p, _ = rows(20)
    return Laplace(network(), Dense.of(p, phi), precision=precision, **settings)  # type: ignore[arg-type]


def test_a_strong_prior_leaves_the_network_as_it_is() -> None:
    point = Deterministic(network()).predict(X)
    strong = laplace(1e12)
    assert torch.allclose(strong.draw(3, generator=derive(0)).log_probs(X), point[:, None], atol=1e-5)
    assert torch.allclose(strong.predict(X), point, atol=1e-8)
    assert torch.allclose(laplace(0.1, predict="map").predict(X), point, atol=1e-12)
    assert torch.allclose(laplace(0.1).point_log_probs(X), point, atol=1e-12)


def test_drawn_logits_have_the_moments_of_the_gaussian() -> None:
    """Of differences of logits, which survive normalisation."""
    posterior, k = laplace(0.5), 4000
    phi = torch.cat([posterior.features(X), torch.ones(6, 1)], 1)
    covariance = dense(posterior.curvature, 0.5).view(C, D, C, D)
    draws = posterior.draw(k, generator=derive(0)).log_probs(X)
    mean = posterior.point_log_probs(X)
    for a, b in ((0, 1), (1, 2)):
        direction = torch.zeros(C, dtype=torch.float64)
        direction[a], direction[b] = 1.0, -1.0
        variance = torch.einsum("nd,adbe,ne,a,b->n", phi, covariance, phi, direction, direction)
        odds = draws[:, :, a] - draws[:, :, b]
        assert bool(((odds.mean(1) - (mean[:, a] - mean[:, b])).abs() < 5 * (variance / k).sqrt()).all())
        assert bool(((odds.var(1) / variance - 1).abs() < 5 * (2 / k) ** 0.5).all())


def test_probit_is_near_the_mean_of_the_draws() -> None:
    """Two classes: MacKay's approximation of the mean of a sigmoid is good to a few hundredths."""
    phi, _, p, _ = rows(20)
    two = torch.stack([p[:, 0] + p[:, 1], p[:, 2]], 1)
    posterior = Laplace(network(2), Dense.of(two, phi), precision=0.5)
    drawn = posterior.draw(2000, generator=derive(0)).log_probs(X).exp().mean(1)
    point = posterior.point_log_probs(X).exp()
    gap = (posterior.predict(X).exp() - drawn).abs().max()
    assert float(gap) < 0.03 < float((point - drawn).abs().max())


def test_laplace_that_cannot_be() -> None:
    with pytest.raises(ModelError, match=r"precision must be positive, not 0"):
        laplace(0.0)
    with pytest.raises((ModelError, TypeError), match="probit"):
        laplace(1.0, predict="mean")
    with pytest.raises(ModelError, match=r"no nn\.Linear"):
        Laplace(nn.Conv2d(1, 1, 1), laplace(1.0).curvature, precision=1.0)
    with pytest.raises(ModelError, match=r"must be an nn\.Linear, not Tanh"):
        laplace(1.0, head="1")
    with pytest.raises(ModelError, match=r"of a layer \(3, 5\), head '0' is \[4, 3\]"):
        laplace(1.0, head="0")
    hidden = nn.Sequential(network(), nn.Softplus())
    with pytest.raises(EvidenceError, match="its output is not the network's output"):
        Laplace(hidden, laplace(1.0).curvature, precision=1.0).predict(X)
