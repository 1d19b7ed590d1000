"""Finished posteriors: each fixes k functions and evaluates the same k on every item."""

from asktell.posteriors.committee import Committee
from asktell.posteriors.deterministic import Deterministic
from asktell.posteriors.ensemble import Ensemble
from asktell.posteriors.forms import UntracedWarning
from asktell.posteriors.gaussian import GaussianWeights
from asktell.posteriors.laplace import Laplace
from asktell.posteriors.mc_dropout import MCDropout
from asktell.posteriors.mixture import Mixture, MixtureOfNetworks, pooled
from asktell.posteriors.protocols import Draws, OffersFeatures, OffersPoint, OffersUtility, Posterior
from asktell.posteriors.scaled import Scaled, ScaledNetwork, calibrated
from asktell.posteriors.trees import Forest, Tree
from asktell.posteriors.utility import GradientUtility
from asktell.posteriors.weights import HasWeights, load_weights, model_id, save_weights

__all__ = [
    "Committee",
    "Deterministic",
    "Draws",
    "Ensemble",
    "Forest",
    "GaussianWeights",
    "GradientUtility",
    "HasWeights",
    "Laplace",
    "MCDropout",
    "Mixture",
    "MixtureOfNetworks",
    "OffersFeatures",
    "OffersPoint",
    "OffersUtility",
    "Posterior",
    "Scaled",
    "ScaledNetwork",
    "Tree",
    "UntracedWarning",
    "calibrated",
    "load_weights",
    "model_id",
    "pooled",
    "save_weights",
]
