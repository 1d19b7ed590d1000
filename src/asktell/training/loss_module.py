"""A module beside a network that predicts, from what some layers put out, the loss of the network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors.network import placed
from asktell.randomness import derive, seeded

_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.GLU, nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softplus, nn.Softsign,
    nn.Threshold,
)  # fmt: skip
_MOST = 4  # layers that are taken if none is named


class LossModule(nn.Module):
    """The predicted loss of every row [n], from pooled outputs [n, d] of one layer or several.

    Of each a linear layer of `width` units and ReLU; of all of these together one linear layer. No dropout.
    Yoo and Kweon 2019, section 3.2 (arXiv:1905.03677).

    >>> LossModule([3, 5], width=8)([torch.zeros(2, 3), torch.zeros(2, 5)]).shape
    torch.Size([2])
    """

    def __init__(self, sizes: Sequence[int], *, width: int = 128) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(size, width) for size in sizes])
        self.last = nn.Linear(width * len(sizes), 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """One number a row."""
        seen = [part(x).relu() for part, x in zip(self.parts, features, strict=True)]
        loss: Tensor = self.last(torch.cat(seen, 1)).squeeze(1)
        return loss


class WithLossModule(nn.Module):
    """A network that is what it was when called, and a loss module on what its `layers` put out.

    `layers` are names of modules of the network whose output is [n, d] or, then averaged over h and w, [n, d, h, w];
    of one that is called several times it is the last output. None takes its activations (ReLU and the like), the last
    four in the order of their calls. `row` is one row to see the shapes by. The weights of the loss module are drawn
    from the global random state, on the CPU. Raises `ModelError` naming the layers there are for another name, and if
    there is no activation to take.
    """

    def __init__(
        self, network: nn.Module, row: Tensor, *, layers: Sequence[str] | None = None, width: int = 128
    ) -> None:
        super().__init__()
        self.network = network
        there = sizes(network, row)
        self.layers = _activations(network, there) if layers is None else tuple(layers)
        _check_layers(self.layers, there)
        weight = placed(torch.empty(0), network)
        self.loss = LossModule([there[name] for name in self.layers], width=width).to(weight.device, weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """What the network gives."""
        logits: Tensor = self.network(x)
        return logits

    def both(self, x: Tensor, *, through: bool = True) -> tuple[Tensor, Tensor]:
        """What the network gives, and the predicted loss of every row; `through` lets its gradient into the network."""
        with _pooled_outputs(self.network, self.layers) as found:
            logits = self(x)
        features = [found[name] for name in self.layers]
        return logits, self.loss(features if through else [x.detach() for x in features])


def sizes(network: nn.Module, row: Tensor) -> dict[str, int]:
    """d of the layers whose output is [n, d] or [n, d, h, w], by name, in the order of their (last) calls.

    Leaves the network in eval mode.

    >>> sizes(nn.Sequential(nn.Linear(2, 5), nn.ReLU()), torch.zeros(1, 2))
    {'0': 5, '1': 5}
    """
    network.eval()
    names = [name for name, _ in network.named_modules() if name]
    with torch.no_grad(), seeded(derive(0, "layers")), _pooled_outputs(network, names) as found:
        network(placed(row, network))
    return {name: x.shape[1] for name, x in found.items() if len(x) == len(row)}


@contextmanager
def _pooled_outputs(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """What these layers put out inside, pooled: taken at once, since a layer behind may work in place."""
    found: dict[str, Tensor] = {}

    def keep(name: str, _: nn.Module, __: object, output: object) -> None:
        found.pop(name, None)
        if isinstance(output, Tensor) and output.is_floating_point() and output.ndim in (2, 4):
            found[name] = output.mean((2, 3)) if output.ndim == 4 else output.clone()

    modules = dict(network.named_modules())
    handles = [modules[name].register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _activations(network: nn.Module, there: dict[str, int]) -> tuple[str, ...]:
    modules = dict(network.named_modules())
    found = [name for name in there if isinstance(modules[name], _ACTIVATIONS)]
    if not found:
        raise ModelError(
            "the network has no activation layer, such as nn.ReLU, with an output [n, d] or [n, d, h, w]; "
            f"name the layers to predict the loss from: layers=(...) of {_listed(there)}"
        )
    return tuple(found[-_MOST:])


def _check_layers(layers: Sequence[str], there: dict[str, int]) -> None:
    unknown = [name for name in layers if name not in there]
    if unknown:
        raise ModelError(
            f"layers: the network calls no layer {', '.join(map(repr, unknown))} with an output [n, d] or "
            f"[n, d, h, w]; it calls {_listed(there)}"
        )


def _listed(there: dict[str, int]) -> str:
    return ", ".join(map(repr, there)) or "none of its own"
