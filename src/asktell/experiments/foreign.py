"""Inputs from another distribution, on which a posterior should be unsure."""

from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor

from asktell.errors import ProtocolError
from asktell.experiments.datasets.fashion import clothes
from asktell.randomness import derive

MOST: Final = 1000
"""Inputs from here and from elsewhere that are compared, at most."""


def noise(inputs: Tensor) -> Tensor:
    """As many inputs of independent numbers, uniform between the least and the largest there are."""
    least, largest = float(inputs.min()), float(inputs.max())
    drawn = torch.rand(inputs.shape, generator=derive(0, "foreign", "noise"), dtype=inputs.dtype)
    return least + (largest - least) * drawn


def permuted(inputs: Tensor) -> Tensor:
    """The same inputs with their numbers in another order, the same for all: their histograms stay what they are."""
    flat = inputs.flatten(1)
    order = torch.randperm(flat.shape[1], generator=derive(0, "foreign", "permuted"))
    return flat[:, order].view_as(inputs)


def fashion(inputs: Tensor) -> Tensor:
    """As many test images of Fashion-MNIST, their black the least number of `inputs` and their white the largest.

    Raises `ProtocolError` for inputs of another shape, `DataError` where the images cannot be had.
    """
    if inputs.shape[1:] != (1, 28, 28):
        raise ProtocolError(f"Fashion-MNIST is images [n, 1, 28, 28], which inputs {list(inputs.shape)} are not")
    least, largest = float(inputs.min()), float(inputs.max())
    return least + (largest - least) * clothes()[: len(inputs)].to(inputs.dtype)


KINDS: Final = MappingProxyType({"noise": noise, "permuted": permuted, "fashion-mnist": fashion})
"""What can be made of inputs, by name."""


def foreign(kind: str, inputs: Tensor) -> Tensor:
    """Inputs like `inputs` and from elsewhere; raises `ProtocolError` for a kind that is unknown.

    >>> foreign("permuted", torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum(1)
    tensor([3., 7.])
    """
    if kind not in KINDS:
        raise ProtocolError(f"there are no foreign inputs called {kind!r}; there are {', '.join(sorted(KINDS))}")
    return KINDS[kind](inputs)
