"""The reference networks, as the papers have them. All return logits.

The convolutional ones keep their weights channels-last: the same function, faster on a CPU.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from asktell.errors import ProtocolError


def dbal_cnn(classes: int = 10) -> nn.Module:
    """The network of deep Bayesian active learning, for images [n, 1, 28, 28].

    conv4x4x32, ReLU, conv4x4x32, ReLU, maxpool2, dropout .25, FC128, ReLU, dropout .5, FC.
    Gal, Islam and Ghahramani 2017, section 5 (arXiv:1703.02910). The released code has 3x3 kernels instead.

    >>> sum(w.numel() for w in dbal_cnn().parameters())
    513994
    """
    return _channels_last(
        nn.Conv2d(1, 32, 4),
        nn.ReLU(),
        nn.Conv2d(32, 32, 4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(32 * 11 * 11, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, classes),
    )


def batchbald_cnn(classes: int = 10) -> nn.Module:
    """The MNIST network of BatchBALD, for images [n, 1, 28, 28].

    conv5x5x32, Dropout2d .5, maxpool2, ReLU, conv5x5x64, Dropout2d .5, maxpool2, ReLU, FC128, dropout .5, ReLU, FC.
    Kirsch, van Amersfoort and Gal 2019, section 4.1 (arXiv:1906.08158) and their src/mnist_model.py.

    >>> sum(w.numel() for w in batchbald_cnn().parameters())
    184586
    """
    return _channels_last(
        nn.Conv2d(1, 32, 5),
        nn.Dropout2d(0.5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 5),
        nn.Dropout2d(0.5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 128),
        nn.Dropout(0.5),
        nn.ReLU(),
        nn.Linear(128, classes),
    )


def two_moons_mlp(classes: int = 2, *, hidden: int = 50, dropout: float = 0.2) -> nn.Module:
    """2 - 50 - 50 - classes with ReLU and dropout, for points in the plane [n, 2]. Our own.

    >>> two_moons_mlp(hidden=7)[0]
    Linear(in_features=2, out_features=7, bias=True)
    """
    return _mlp(2, hidden, classes, dropout)


def digits_mlp(classes: int = 10, *, hidden: int = 256, dropout: float = 0.5) -> nn.Module:
    """64 - 256 - 256 - classes with ReLU and dropout, for scikit-learn's digits [n, 1, 8, 8] scaled to 0..1. Our own.

    >>> digits_mlp()[1]
    Linear(in_features=64, out_features=256, bias=True)
    """
    return nn.Sequential(nn.Flatten(), *_mlp(64, hidden, classes, dropout))


def mnist_mlp(classes: int = 10, *, hidden: int = 400, dropout: float = 0.5) -> nn.Module:
    """784 - 400 - 400 - classes with ReLU and dropout, for images [n, 1, 28, 28].

    The smallest network of Bayes by backprop, where the weights are random in place of the units: Blundell et al. 2015,
    section 5.1 (arXiv:1505.05424).

    >>> mnist_mlp()[1]
    Linear(in_features=784, out_features=400, bias=True)
    """
    return nn.Sequential(nn.Flatten(), *_mlp(784, hidden, classes, dropout))


def letter_mlp(classes: int = 26, *, hidden: int = 256, dropout: float = 0.3) -> nn.Module:
    """16 - 256 - 256 - classes with ReLU and dropout, for rows of 16 numbers [n, 16], as of letter. Our own.

    >>> letter_mlp()[0]
    Linear(in_features=16, out_features=256, bias=True)
    """
    return _mlp(16, hidden, classes, dropout)


def efficientnet_head(classes: int = 10, *, hidden: int = 256, dropout: float = 0.5) -> nn.Module:
    """1280 - 256 - classes with ReLU and dropout, for features [n, 1280] of EfficientNet-Lite0. Our own.

    >>> efficientnet_head()[0]
    Linear(in_features=1280, out_features=256, bias=True)
    """
    return nn.Sequential(nn.Linear(1280, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))


NETWORKS: Final[Mapping[str, Callable[[int], nn.Module]]] = MappingProxyType(
    {
        "batchbald-cnn": batchbald_cnn,
        "dbal-cnn": dbal_cnn,
        "digits-mlp": digits_mlp,
        "efficientnet-head": efficientnet_head,
        "letter-mlp": letter_mlp,
        "mnist-mlp": mnist_mlp,
        "two-moons-mlp": two_moons_mlp,
    }
)
"""The reference networks by name; each is called with the number of classes."""


def network(name: str) -> Callable[[int], nn.Module]:
    """The reference network called `name`; raises `ProtocolError` naming those there are.

    >>> network("dbal-cnn") is dbal_cnn
    True
    """
    if name not in NETWORKS:
        raise ProtocolError(f"there is no network called {name!r}; the names are {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def _channels_last(*layers: nn.Module) -> nn.Sequential:
    return convert_conv2d_weight_memory_format(nn.Sequential(*layers), torch.channels_last)


def _mlp(inputs: int, hidden: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, classes),
    )
