"""A network with Gaussian weights, while it is trained."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.training.method import Step
from asktell.training.priors import GaussianPrior, Prior, log_normal

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LEAST_VARIANCE = 1e-20  # below it a square root has no gradient


class Variational(nn.Module):
    """A network whose linear layers and convolutions have weights N(mean, sd^2), sd = log(1 + e^rho).

    Blundell et al. 2015, section 3.2 (arXiv:1505.05424). In training a pass draws new noise: of the weights, one draw
    for all rows, or, `local`, of what the layers put out, for every row its own (Kingma et al. 2015, section 2.3,
    arXiv:1506.02557), which has the same mean and less variance. In eval mode it is the network of the means. Other
    parameters, such as those of BatchNorm, are learnt as plain numbers. Dropout in `module` is always off.

    Raises `ModelError` for a network without such a layer.
    """

    def __init__(self, module: nn.Module, *, initial_sd: float, local: bool) -> None:
        super().__init__()
        self.mean = module
        self._local = local
        owners = {name: layer for name, layer in module.named_modules() if isinstance(layer, _LAYERS)}
        if not owners:
            raise ModelError("the network has no linear layer and no convolution whose weights could be Gaussian")
        gaussian = {id(weight) for layer in owners.values() for weight in layer.parameters(recurse=False)}
        self.names = [name for name, weight in module.named_parameters() if id(weight) in gaussian]
        start = math.log(math.expm1(initial_sd))
        means = dict(module.named_parameters())
        self.rho = nn.ParameterList([torch.full_like(means[name], start) for name in self.names])

    def train(self, mode: bool = True) -> "Variational":
        """As ever, but dropout stays off."""
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, _DropoutNd):
                layer.eval()
        return self

    def forward(self, x: Any) -> Any:
        """What the network gives."""
        if not self.training:
            return self.mean(x)
        if not self._local:
            return functional_call(self.mean, self.drawn(), (x,))
        with self._noisy():
            return self.mean(x)

    def sd(self) -> dict[str, Tensor]:
        """Standard deviations by the name of a parameter of the network."""
        return {name: nn.functional.softplus(rho) for name, rho in zip(self.names, self.rho, strict=True)}

    def drawn(self) -> dict[str, Tensor]:
        """One draw of the weights, with gradients to means and standard deviations."""
        means = dict(self.mean.named_parameters())
        return {name: means[name] + sd * torch.randn_like(sd) for name, sd in self.sd().items()}

    def divergence(self, prior: Prior, *, closed_form: bool = True) -> Tensor:
        """KL(q || prior) over all weights, in nats: in closed form where there is one, else estimated from one draw."""
        means, sds = dict(self.mean.named_parameters()), self.sd()
        if closed_form and isinstance(prior, GaussianPrior):
            return torch.stack([prior.divergence(means[name], sd).sum() for name, sd in sds.items()]).sum()
        drawn = self.drawn()
        terms = [log_normal(w, means[name], sds[name]) - prior.log_density(w) for name, w in drawn.items()]
        return torch.stack([term.sum() for term in terms]).sum()

    @contextmanager
    def _noisy(self) -> Iterator[None]:
        """Inside, every layer adds noise of the variance that its weights give its output."""
        sds, handles = self.sd(), []
        for name, layer in self.mean.named_modules():
            if isinstance(layer, _LAYERS):
                handles.append(layer.register_forward_hook(_Noise(name, sds)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Noise:
    """Forward hook: x -> output + sqrt(x^2 sd^2) noise."""

    def __init__(self, name: str, sds: dict[str, Tensor]) -> None:
        prefix = f"{name}." if name else ""
        self._weight, self._bias = sds.get(f"{prefix}weight"), sds.get(f"{prefix}bias")

    def __call__(self, layer: Any, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self._weight is None:
            return output
        square, bias = self._weight.square(), None if self._bias is None else self._bias.square()
        x = args[0].square()
        linear = isinstance(layer, nn.Linear)
        variance = nn.functional.linear(x, square, bias) if linear else layer._conv_forward(x, square, bias)
        return output + variance.clamp_min(_LEAST_VARIANCE).sqrt() * torch.randn_like(output)


Weighting = Literal["equal", "halving"]


def share_of_divergence(step: Step, weighting: Weighting) -> float:
    """What part of KL(q || prior) a step takes; those of an epoch sum to one.

    Blundell et al. 2015, section 3.4: 1 / M, or 2^(M - i) / (2^M - 1) in step i of M, so that the prior leads the
    first steps and the labels the last.

    >>> steps = [Step(torch.arange(2), i, 3, 6, 6) for i in range(3)]
    >>> [round(share_of_divergence(step, "halving"), 3) for step in steps]
    [0.571, 0.286, 0.143]
    """
    if weighting == "equal":
        return 1 / step.steps
    return 2.0 ** -(step.number + 1) / (1 - 2.0**-step.steps)
