"""What a step of training does, where it is not Adam on cross-entropy."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Groups = list[dict[str, object]]
"""An optimiser's parameter groups."""

Optimiser = Callable[[Groups, float], torch.optim.Optimizer]
"""From groups and learning rate."""


@dataclass(frozen=True)
class Step:
    """Which rows a step takes (numbers of labelled rows, ascending), and where it stands in its epoch.

    `number` of `steps`, from 0; `samples` are the rows of the whole epoch, of which there are `labels` different ones.
    `done` is the share of all steps of the training, 0..1, that were taken before.
    """

    rows: Tensor
    number: int
    steps: int
    samples: int
    labels: int
    done: float = 0.0


Loss = Callable[[nn.Module, Tensor, Tensor, Step], Tensor]
"""(module in training mode, inputs, labels, step) -> what is made small, a mean over the rows."""


def cross_entropy(module: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
    """Mean negative log-likelihood of the labels, in nats."""
    return nn.functional.cross_entropy(module(x), y)


def adam(groups: Groups, lr: float) -> torch.optim.Optimizer:
    """Adam with torch's betas."""
    return torch.optim.Adam(groups, lr=lr)


def sgd(groups: Groups, lr: float, momentum: float = 0.9) -> torch.optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(groups, lr=lr, momentum=momentum)


def constant(done: float) -> float:
    """1: the learning rate stays what it is."""
    return 1.0


def cosine(done: float) -> float:
    """(1 + cos(pi t / T)) / 2: falls from 1 to 0. Huang et al. 2017, eq. 2 (arXiv:1704.00109), one cycle.

    >>> cosine(0.0), cosine(1.0)
    (1.0, 0.0)
    """
    return (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Method:
    """Loss, optimiser, and the factor of the learning rate when a share of all steps, 0..1, is done."""

    loss: Loss = cross_entropy
    optimiser: Optimiser = adam
    rate: Callable[[float], float] = constant
