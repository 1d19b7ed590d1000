"""Finished posteriors: each fixes k functions and evaluates the same k on every item."""

from asktell.posteriors.deterministic import Deterministic
from asktell.posteriors.forms import UntracedWarning
from asktell.posteriors.mc_dropout import MCDropout
from asktell.posteriors.protocols import Draws, OffersFeatures, OffersPoint, Posterior
from asktell.posteriors.weights import HasWeights, load_weights, model_id, save_weights

__all__ = [
    "Deterministic",
    "Draws",
    "HasWeights",
    "MCDropout",
    "OffersFeatures",
    "OffersPoint",
    "Posterior",
    "UntracedWarning",
    "load_weights",
    "model_id",
    "save_weights",
]
