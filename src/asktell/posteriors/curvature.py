"""Curvature of the loss in the last layer's weights: dense, or as a Kronecker product.

The generalised Gauss-Newton matrix of the summed cross-entropy of a linear layer with inputs phi, which is also its
Hessian: G = sum_n (diag p_n - p_n p_n^T) (x) phi_n phi_n^T, [c d, c d], classes first. Where there is a bias, phi ends
in 1. All of it in float64.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

_ROUNDING = 1e-13  # eigenvalues below so much of the largest are rounding


@runtime_checkable
class Curvature(Protocol):
    """G, known by its eigenvalues and vectors, so that any prior precision can be added to it."""

    @property
    def shape(self) -> tuple[int, int]:
        """(c, d) of the layer."""
        ...

    @property
    def eigenvalues(self) -> Tensor:
        """Float64; those that are zero may be missing."""
        ...

    def spread(self, noise: Tensor, precision: float) -> Tensor:
        """(G + precision I)^(-1/2) noise, the symmetric root: noise is [k, c, d]."""
        ...

    def variances(self, phi: Tensor, precision: float) -> Tensor:
        """Of the logits, [n, c]: the diagonal of J (G + precision I)^-1 J^T."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it is made of."""
        ...


@dataclass(frozen=True)
class Dense:
    """G = V diag(values) V^T; the vectors are [c, d, r]."""

    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, p: Tensor, phi: Tensor) -> "Dense":
        """From the probabilities [n, c] and inputs [n, d] of the labelled rows.

        While there are no more rows than inputs by way of its factor, which has n c rows, else by way of G itself.
        """
        (n, c), d = p.shape, phi.shape[1]
        if n <= d:
            _, roots, vectors = torch.linalg.svd(factor(p, phi), full_matrices=False)
            values, vectors = roots.square(), vectors.T
        else:
            values, vectors = torch.linalg.eigh(matrix(p, phi))
        large = values > _ROUNDING * values.max()
        return cls(values[large].clone(), vectors[:, large].reshape(c, d, -1).clone())

    @property
    def shape(self) -> tuple[int, int]:
        """(c, d) of the layer."""
        c, d, _ = self.vectors.shape
        return c, d

    @property
    def eigenvalues(self) -> Tensor:
        """Those that are not zero."""
        return self.values

    def spread(self, noise: Tensor, precision: float) -> Tensor:
        """(G + precision I)^(-1/2) noise."""
        along = torch.einsum("kcd,cdr->kr", noise, self.vectors)
        beyond = (self.values + precision).rsqrt() - precision**-0.5
        outside: Tensor = precision**-0.5 * noise
        return outside + torch.einsum("kr,cdr->kcd", along * beyond, self.vectors)

    def variances(self, phi: Tensor, precision: float) -> Tensor:
        """Of the logits: phi^T [(G + precision I)^-1]_jj phi for every class j."""
        learnt = torch.einsum(
            "cdr,cer->cde", self.vectors * (1 / precision - 1 / (self.values + precision)), self.vectors
        )
        explained = torch.einsum("nd,cde,ne->nc", phi, learnt, phi)
        variances: Tensor = phi.square().sum(1, keepdim=True) / precision - explained
        return variances

    def tensors(self) -> dict[str, Tensor]:
        """values and vectors."""
        return {"values": self.values, "vectors": self.vectors}


@dataclass(frozen=True)
class Kronecker:
    """G taken as B (x) A: B = mean_n (diag p - p p^T), A = sum_n phi phi^T. Martens and Grosse 2015 (arXiv:1503.05671).

    Equal to G if p is the same for all rows, or phi is.
    """

    class_values: Tensor
    class_vectors: Tensor
    feature_values: Tensor
    feature_vectors: Tensor

    @classmethod
    def of(cls, p: Tensor, phi: Tensor) -> "Kronecker":
        """From the probabilities [n, c] and inputs [n, d] of the labelled rows."""
        spread = torch.diag(p.mean(0)) - p.T @ p / len(p)
        parts = (*torch.linalg.eigh(spread), *torch.linalg.eigh(phi.T @ phi))
        return cls(parts[0].clamp_min(0), parts[1].contiguous(), parts[2].clamp_min(0), parts[3].contiguous())

    @property
    def shape(self) -> tuple[int, int]:
        """(c, d) of the layer."""
        return len(self.class_values), len(self.feature_values)

    @property
    def eigenvalues(self) -> Tensor:
        """The products of the factors' values."""
        return (self.class_values[:, None] * self.feature_values).flatten()

    def spread(self, noise: Tensor, precision: float) -> Tensor:
        """(G + precision I)^(-1/2) noise."""
        scale = (self.class_values[:, None] * self.feature_values + precision).rsqrt()
        inner = self.class_vectors.T @ noise @ self.feature_vectors
        return self.class_vectors @ (scale * inner) @ self.feature_vectors.T

    def variances(self, phi: Tensor, precision: float) -> Tensor:
        """Of the logits."""
        inverse = 1 / (self.class_values[:, None] * self.feature_values + precision)
        along = (phi @ self.feature_vectors).square()
        return (along @ inverse.T) @ self.class_vectors.square().T

    def tensors(self) -> dict[str, Tensor]:
        """Values and vectors of both factors."""
        return {part.name: getattr(self, part.name) for part in fields(self)}


def curvature_of(tensors: Mapping[str, Tensor]) -> Curvature:
    """The curvature that `tensors` were of."""
    return Dense(**tensors) if "values" in tensors else Kronecker(**tensors)


def log_evidence(log_likelihood: float, curvature: Curvature, mean: Tensor, precision: float) -> float:
    """log p(labels), in nats, by Laplace's approximation around `mean` [c, d], under the prior N(0, 1 / precision).

    log p(labels | mean) - precision / 2 ||mean||^2 - 1/2 sum log(1 + eigenvalue / precision). MacKay 1992, eq. 2.3.
    """
    ratio = (curvature.eigenvalues / precision).log1p().sum()
    return log_likelihood - float(precision * mean.square().sum() + ratio) / 2


def likeliest_precision(curvature: Curvature, mean: Tensor) -> float:
    """The prior precision under which the labels are most likely by `log_evidence`, between 1e-6 and 1e6.

    precision ||mean||^2 rises with the precision and the number of weights that the labels have determined,
    sum eigenvalue / (eigenvalue + precision), falls: where they meet is the one maximum (MacKay 1992, section 4).
    """

    from scipy.optimize import minimize_scalar  # a third of a second of import that nothing else here needs

    def loss(log_precision: float) -> float:
        return -log_evidence(0.0, curvature, mean, math.exp(log_precision))

    found = minimize_scalar(loss, bounds=(math.log(1e-6), math.log(1e6)), method="bounded", options={"xatol": 1e-8})
    return math.exp(float(found.x))


def factor(p: Tensor, phi: Tensor) -> Tensor:
    """J [n c, c d] with G = J^T J: the root diag(sqrt p) - sqrt(p) p^T of every row's matrix, times phi."""
    root = p.sqrt()
    each = torch.diag_embed(root) - root[:, :, None] * p[:, None, :]
    return (each[..., None] * phi[:, None, None, :]).reshape(p.numel(), -1)


def matrix(p: Tensor, phi: Tensor) -> Tensor:
    """G [c d, c d]."""
    (_, c), d = p.shape, phi.shape[1]
    whole = phi.new_zeros(c, d, c, d)
    for i in range(c):
        for j in range(i, c):
            weight = p[:, i] * (float(i == j) - p[:, j])
            whole[i, :, j] = phi.T @ (weight[:, None] * phi)
            whole[j, :, i] = whole[i, :, j]
    return whole.view(c * d, c * d)
