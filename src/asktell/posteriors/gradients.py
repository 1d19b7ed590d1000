"""Gradients of the loss in all weights of a network, one for every item and every label."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from asktell.errors import ModelError

_BYTES = 2**26  # of gradients that are held at once

Weights = dict[str, Tensor]


def expected_gradient_length(module: nn.Module, x: Tensor, *, bias: bool = True) -> Tensor:
    """sum_y p_y |gradient of -log p_y in all parameters| of every row of `x`, float64 [rows], on the CPU.

    The module, in eval mode, returns logits or log-probabilities [rows, c]. Without `bias`, parameters whose name ends
    in "bias" are left out. Raises `ModelError` for a network that torch.func cannot differentiate.

    >>> linear = nn.Linear(2, 2)
    >>> _ = linear.load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
    >>> expected_gradient_length(linear, torch.tensor([[3.0, 4.0]]), bias=False)
    tensor([3.5355], dtype=torch.float64)
    """
    if len(x) == 0:
        return torch.empty(0, dtype=torch.float64)
    weights: Weights = {name: w for name, w in module.named_parameters() if bias or not name.endswith("bias")}
    size = sum(w.numel() * w.element_size() for w in weights.values())
    p: Tensor = module(x).detach().double().softmax(-1).cpu()
    try:
        lengths = [_lengths(module, weights, part, p.shape[1]) for part in torch.split(x, max(1, _BYTES // (size + 1)))]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"torch.func cannot differentiate the network item by item ({reason}); "
            "egl takes the last layer alone, which needs no gradients"
        ) from None
    return (p * torch.cat(lengths)).sum(1)


def _lengths(module: nn.Module, weights: Weights, x: Tensor, classes: int) -> Tensor:
    """The length of the gradient for every label, [rows, c]."""
    lengths = [_length(_gradients(module, label)(weights, x)) for label in range(classes)]
    return torch.stack(lengths, 1).cpu()


def _gradients(module: nn.Module, label: int) -> Callable[[Weights, Tensor], Weights]:
    def loss(weights: Weights, row: Tensor) -> Tensor:
        logits: Tensor = functional_call(module, weights, (row[None],))
        return -logits.log_softmax(-1)[0, label]

    found: Callable[[Weights, Tensor], Weights] = vmap(grad(loss), in_dims=(None, 0))
    return found


def _length(gradients: Weights) -> Tensor:
    """Of every row, over all weights: squares add up in the network's precision, at least float32, then in float64."""
    parts = [torch.linalg.vector_norm(g.flatten(1), dim=1, dtype=_precision(g)) for g in gradients.values()]
    length: Tensor = torch.linalg.vector_norm(torch.stack(parts).double(), dim=0)
    return length.detach()


def _precision(gradient: Tensor) -> torch.dtype:
    return torch.promote_types(gradient.dtype, torch.float32)
