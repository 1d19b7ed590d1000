"""A trained network, and a Gaussian over its last layer afterwards."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners.bootstrap import part
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.restoring import blank, filled
from asktell.posteriors import Laplace
from asktell.posteriors.curvature import Curvature, Dense, Kronecker, curvature_of, likeliest_precision
from asktell.posteriors.laplace import last_linear, layer_weights, with_ones
from asktell.posteriors.network import Network, submodule
from asktell.randomness import take_key
from asktell.rows import Rows
from asktell.training import Training
from asktell.training.priors import check_positive

DENSE_UP_TO: Final = 3000
"""Weights of the last layer up to which "auto" takes the dense curvature."""
PRECISIONS: Final[tuple[float, ...]] = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 9))
"""What "validation" chooses from: 1e-4 to 1e4."""


@dataclass(frozen=True)
class LastLayerLaplace:
    """Fits one network as ever, then the curvature of its last layer at the labelled rows: gives `Laplace`.

    Daxberger et al. 2021, section 2 (arXiv:2106.14806), last layer. `structure` of the curvature: "dense" is exact,
    "kronecker" is for large layers, "auto" is dense up to DENSE_UP_TO weights. `precision` of the Gaussian prior over
    the last layer's weights: a number; "likeliest", which makes the labels most likely given the rest of the network
    (`likeliest_precision`) and is too small where the network has fitted all of them; or "validation", that of
    PRECISIONS whose probit predictions make the validation labels most likely. Dropout in the network is on in
    training, off afterwards. `head` names the last layer; None is the last nn.Linear. `predict` and `batch` are handed
    to `Laplace`.

    `fit` takes one key from the generator; it raises `ModelError` if the network diverged, if its head is no
    nn.Linear, and if "validation" finds no validation set.

    >>> from asktell.training import two_moons_mlp
    >>> learner = LastLayerLaplace(two_moons_mlp, Training(epochs=2))
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> learner.fit(round, generator=torch.Generator()).precision > 0
    True
    """

    build: Build
    training: Training
    structure: Literal["auto", "dense", "kronecker"] = "auto"
    precision: float | Literal["likeliest", "validation"] = "likeliest"
    predict: Literal["probit", "map"] = "probit"
    batch: int = 256
    head: str | None = None

    def __post_init__(self) -> None:
        if self.structure not in ("auto", "dense", "kronecker"):
            raise ProtocolError(f"structure must be 'auto', 'dense' or 'kronecker', not {self.structure!r}")
        if self.predict not in ("probit", "map"):
            raise ProtocolError(f"predict must be 'probit' or 'map', not {self.predict!r}")
        if isinstance(self.precision, str) and self.precision not in ("likeliest", "validation"):
            raise ProtocolError(f"precision must be a number, 'likeliest' or 'validation', not {self.precision!r}")
        if not isinstance(self.precision, str):
            check_positive("precision", self.precision)

    @property
    def offers(self) -> frozenset[str]:
        """What `Laplace` offers."""
        return Laplace.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Laplace:  # noqa: A002
        """Fit on the labelled rows."""
        if self.precision == "validation" and (round.validation is None or not len(round.validation[1])):
            raise ModelError("precision='validation' needs a validation set: Round(validation=(inputs, labels))")
        fitting = Fitting(round, take_key(generator))
        module = fitting.trained(fitting.built(self.build), self.training, "network")
        head = last_linear(module) if self.head is None else self.head
        layer, network = submodule(module, head, "head"), Network(module, batch=self.batch, head=head)
        mean = layer_weights(layer)
        curvature = self._curvature(with_ones(network.features(round.inputs), mean), mean)
        return self._posterior(module, curvature, self._chosen(layer, curvature, network, round.validation))

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Laplace:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        module = filled(blank(self.build, len(classes)), part(weights, "network."))
        return self._posterior(module, curvature_of(part(weights, "curvature.")), float(weights["precision"]))

    def _chosen(
        self, layer: nn.Module, curvature: Curvature, network: Network, validation: tuple[Rows, Tensor] | None
    ) -> float:
        if self.precision == "likeliest":
            return likeliest_precision(curvature, layer_weights(layer))
        if self.precision == "validation" and validation is not None:
            inputs, labels = validation
            return best_precision(layer, curvature, network.features(inputs), labels)
        return float(self.precision)

    def _curvature(self, phi: Tensor, mean: Tensor) -> Curvature:
        p = (phi @ mean.T).softmax(-1)
        dense = self.structure == "dense" or (self.structure == "auto" and mean.numel() <= DENSE_UP_TO)
        return Dense.of(p, phi) if dense else Kronecker.of(p, phi)

    def _posterior(self, module: nn.Module, curvature: Curvature, precision: float) -> Laplace:
        return Laplace(module, curvature, precision=precision, predict=self.predict, batch=self.batch, head=self.head)


def best_precision(layer: nn.Module, curvature: Curvature, features: Tensor, labels: Tensor) -> float:
    """That of PRECISIONS under which probit predictions make the labels most likely; of equals the least.

    `features` [n, d] are what goes into the layer. Raises `ModelError` if a likelihood is no number.
    """

    def loss(precision: float) -> float:
        predicted = Laplace(layer, curvature, precision=precision).predict(features)
        return float(nn.functional.nll_loss(predicted.double(), labels))

    losses = [loss(precision) for precision in PRECISIONS]
    if any(map(math.isnan, losses)):
        raise ModelError("the likelihood of the validation labels is no number, so that no precision can be chosen")
    return PRECISIONS[losses.index(min(losses))]
