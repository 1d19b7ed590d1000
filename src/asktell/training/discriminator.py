"""A network that tells labelled items from unlabelled ones, and how well it does."""

from itertools import pairwise

import torch
from torch import Tensor, nn

SHARE = 10
"""One row in ten is held out."""
MOST = 500
"""No more are held out."""


def discriminator(inputs: int, *hidden: int) -> nn.Sequential:
    """inputs - hidden - ... - 1 with ReLU; it returns the logit of D, the probability of being labelled, [rows].

    >>> discriminator(32, 512, 512)[4]
    Linear(in_features=512, out_features=1, bias=True)
    """
    widths = (inputs, *hidden)
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Flatten(0))


def discriminator_loss(labelled: Tensor, unlabelled: Tensor) -> Tensor:
    """-mean log D of the labelled - mean log(1 - D) of the unlabelled, from their logits, in nats.

    Each side counts the same however many rows it has. Sinha et al. 2019, eq. 4 (arXiv:1904.00370).

    >>> discriminator_loss(torch.zeros(2), torch.zeros(3))  # D = 1/2: 2 log 2
    tensor(1.3863)
    """
    return -nn.functional.logsigmoid(labelled).mean() - nn.functional.logsigmoid(-unlabelled).mean()


def balanced_accuracy(labelled: Tensor, unlabelled: Tensor) -> float:
    """The mean of the shares of labelled and of unlabelled rows told right, from their logits; 0.5 is chance.

    D = 1/2 counts as unlabelled, so that a constant D is right half the time.

    >>> balanced_accuracy(torch.tensor([3.0, -1.0]), torch.tensor([-2.0, 0.0, -5.0]))
    0.75
    """
    return (float((labelled > 0).double().mean()) + float((unlabelled <= 0).double().mean())) / 2


def held_out(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Numbers (ascending) of the rows to train on and of those held out: a random tenth, at most 500.

    Of fewer than ten rows none is held out.

    >>> kept, held = held_out(25, torch.Generator())
    >>> len(kept), len(held)
    (23, 2)
    """
    order = torch.randperm(rows, generator=generator)
    count = min(rows // SHARE, MOST)
    return order[count:].sort().values, order[:count].sort().values
