"""Finished posteriors: each fixes k functions and evaluates the same k on every item."""

from asktell.posteriors.committee import Committee
from asktell.posteriors.deterministic import Deterministic
from asktell.posteriors.ensemble import Ensemble
from asktell.posteriors.forms import UntracedWarning
from asktell.posteriors.gaussian import GaussianWeights
from asktell.posteriors.laplace import Laplace
from asktell.posteriors.mc_dropout import MCDropout
from asktell.posteriors.mixture import Mixture, MixtureOfNetworks, pooled
from asktell.posteriors.protocols import Draws, OffersFeatures, OffersPoint, OffersUtility, Posterior, Tells, Timed
from asktell.posteriors.proxied import Proxied, ProxiedNetworks, proxied, seconds_of
from asktell.posteriors.scaled import Scaled, ScaledNetwork, calibrated
from asktell.posteriors.trajectory import Trajectory
from asktell.posteriors.trees import Forest, Tree
from asktell.posteriors.utility import NetworkWithUtility, WithUtility, gradient_utility, told_by, with_utility
from asktell.posteriors.weights import HasWeights, load_weights, model_id, save_weights

__all__ = [
    "Committee",
    "Deterministic",
    "Draws",
    "Ensemble",
    "Forest",
    "GaussianWeights",
    "HasWeights",
    "Laplace",
    "MCDropout",
    "Mixture",
    "MixtureOfNetworks",
    "NetworkWithUtility",
    "OffersFeatures",
    "OffersPoint",
    "OffersUtility",
    "Posterior",
    "Proxied",
    "ProxiedNetworks",
    "Scaled",
    "ScaledNetwork",
    "Tells",
    "Timed",
    "Trajectory",
    "Tree",
    "UntracedWarning",
    "WithUtility",
    "calibrated",
    "gradient_utility",
    "load_weights",
    "model_id",
    "pooled",
    "proxied",
    "save_weights",
    "seconds_of",
    "told_by",
    "with_utility",
]
