"""One network with a Gaussian over the weights of its last layer."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from asktell.arrays import LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors.curvature import Curvature
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.network import PointEvidence, Source, submodule
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import counter, take_key
from asktell.rows import Rows, as_rows


class Laplace(PointEvidence):
    """A trained network whose last layer's weights are Gaussian around what they are; the rest is fixed.

    MacKay 1992; Daxberger et al. 2021, section 2 (arXiv:2106.14806). The covariance is (G + `precision` I)^-1, G the
    `curvature` at the labelled rows. A draw is one set of weights of the last layer, the same for every item: draw k
    depends on the key that `draw` takes and on k. `predict` is MacKay's probit approximation of the mean over all
    weights, softmax(f / sqrt(1 + pi s^2 / 8)) with s^2 the variance of a logit; with "map" it is `point_log_probs`,
    that of the trained network. `head` names the last layer; None is the last nn.Linear that the module holds. Dropout
    is off. Works on its own copy.

    Log-probabilities come in the module's dtype, on the CPU; what the last layer does is computed in float64. Raises
    `ModelError` if the head is no nn.Linear, if `curvature` is of a layer of another shape, and unless `precision` is
    positive; when it is evaluated, `EvidenceError` if the head's output is not the network's.

    >>> from asktell.posteriors.curvature import Dense
    >>> curvature = Dense.of(torch.full((5, 3), 1 / 3).double(), torch.ones(5, 3).double())
    >>> posterior = Laplace(torch.nn.Linear(2, 3), curvature, precision=1.0)
    >>> posterior.draw(5, generator=torch.Generator()).log_probs(torch.ones(4, 2)).shape
    torch.Size([4, 5, 3])
    """

    distinct: int | None = None

    def __init__(
        self,
        module: nn.Module,
        curvature: Curvature,
        *,
        precision: float,
        predict: Literal["probit", "map"] = "probit",
        batch: int = 256,
        head: str | None = None,
    ) -> None:
        if not (math.isfinite(precision) and precision > 0):
            raise ModelError(f"precision must be positive, not {precision}: without it the covariance is singular")
        if predict not in ("probit", "map"):
            raise ModelError(f"predict must be 'probit' or 'map', not {predict!r}")
        name = last_linear(module) if head is None else head
        super().__init__(module, batch=batch, head=name)
        self.curvature, self.precision = curvature, precision
        self._probit = predict == "probit"
        self._mean = layer_weights(submodule(self._network.module, name, "head"))
        if curvature.shape != tuple(self._mean.shape):
            raise ModelError(f"the curvature is of a layer {curvature.shape}, head {name!r} is {[*self._mean.shape]}")

    def draw(self, k: int, *, generator: torch.Generator) -> "LastLayerDraws":
        """Fix k sets of weights of the last layer; takes one key. Raises `ModelError` if k < 1."""
        check_draws(k, self.distinct)
        key = take_key(generator)
        noise = torch.stack([_noise(key, number, self._mean) for number in range(k)])
        return LastLayerDraws(self, self._mean + self.curvature.spread(noise, self.precision))

    def predict(self, inputs: Source) -> PointLogProbs:
        """The probit approximation of the mean over the weights, or the trained network's own."""
        if not self._probit:
            return self.point_log_probs(inputs)
        features = self.features(inputs)
        phi = with_ones(features, self._mean)
        logits = torch.cat([self._moderated(part) for part in torch.split(phi, self.batch)])
        return logits.log_softmax(-1).to(features.dtype)

    def weights(self) -> dict[str, Tensor]:
        """The network's under "network.", the curvature's under "curvature.", and "precision"."""
        network = {f"network.{name}": weight for name, weight in self._network.weights().items()}
        curvature = {f"curvature.{name}": part for name, part in self.curvature.tensors().items()}
        return network | curvature | {"precision": torch.tensor(self.precision, dtype=torch.float64)}

    def _moderated(self, phi: Tensor) -> Tensor:
        spread = self.curvature.variances(phi, self.precision)
        return phi @ self._mean.T / (1 + math.pi / 8 * spread).sqrt()

    def _log_probs(self, inputs: Source, weights: Tensor) -> LogProbs:
        features = self.features(inputs)
        logits = with_ones(features, self._mean) @ weights.flatten(0, 1).T
        return logits.view(len(features), *weights.shape[:2]).log_softmax(-1).to(features.dtype)


class LastLayerDraws:
    """k sets of weights of the last layer, [k, c, d]: the rest of the network runs once for all of them."""

    def __init__(self, posterior: Laplace, weights: Tensor) -> None:
        self._posterior, self._weights = posterior, weights

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        return self._posterior._log_probs(inputs, self._weights)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def last_linear(module: nn.Module) -> str:
    """Name of the last nn.Linear that a module holds; `ModelError` if there is none.

    >>> last_linear(nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 3), nn.LogSoftmax(1)))
    '1'
    """
    names: list[str] = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
    if not names:
        raise ModelError("the network has no nn.Linear layer, so that it has no last one to put a Gaussian over")
    return names[-1]


def layer_weights(layer: nn.Module) -> Tensor:
    """[c, d] in float64 on the CPU, the bias as last column if there is one; `ModelError` if it is no nn.Linear."""
    if not isinstance(layer, nn.Linear):
        raise ModelError(f"the head must be an nn.Linear, not {type(layer).__name__}")
    columns = [layer.weight] if layer.bias is None else [layer.weight, layer.bias[:, None]]
    return torch.cat(columns, 1).detach().cpu().double()


def with_ones(features: Tensor, mean: Tensor) -> Tensor:
    """The features in float64, with a column of ones where the layer has a bias."""
    ones = features.new_ones(len(features), mean.shape[1] - features.shape[1])
    return torch.cat([features, ones], 1).double()


def _noise(key: int, draw: int, like: Tensor) -> Tensor:
    """Standard normal numbers, made on the CPU."""
    return torch.from_numpy(counter(key, "last layer", draw).standard_normal(tuple(like.shape)))
