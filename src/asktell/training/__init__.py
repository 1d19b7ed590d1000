"""Fitting one module on labelled rows, and the reference networks."""

from asktell.training.fit import accuracy, fit
from asktell.training.networks import NETWORKS, batchbald_cnn, dbal_cnn, digits_mlp, network, two_moons_mlp
from asktell.training.settings import History, Training

__all__ = [
    "NETWORKS",
    "History",
    "Training",
    "accuracy",
    "batchbald_cnn",
    "dbal_cnn",
    "digits_mlp",
    "fit",
    "network",
    "two_moons_mlp",
]
