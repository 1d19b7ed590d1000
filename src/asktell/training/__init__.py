"""Fitting one module on labelled rows, and the reference networks."""

from asktell.training.fit import accuracy, fit
from asktell.training.forgetting import Forgetting
from asktell.training.networks import NETWORKS, batchbald_cnn, dbal_cnn, digits_mlp, mnist_mlp, network, two_moons_mlp
from asktell.training.settings import History, Training

__all__ = [
    "NETWORKS",
    "Forgetting",
    "History",
    "Training",
    "accuracy",
    "batchbald_cnn",
    "dbal_cnn",
    "digits_mlp",
    "fit",
    "mnist_mlp",
    "network",
    "two_moons_mlp",
]
