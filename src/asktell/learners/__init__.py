"""Ways of fitting: each gives a posterior."""

from asktell.learners.bayes import BayesByBackprop
from asktell.learners.best import BestOnValidation
from asktell.learners.bootstrap import Bootstrap
from asktell.learners.committee import SklearnCommittee
from asktell.learners.diverse import DiverseEnsemble
from asktell.learners.ensemble import DeepEnsemble
from asktell.learners.laplace import LastLayerLaplace
from asktell.learners.loss_prediction import LossPrediction
from asktell.learners.protocols import Learner, Restores, Round
from asktell.learners.proxy import Proxy
from asktell.learners.pseudo import PseudoLabels
from asktell.learners.saving import load, save
from asktell.learners.scaled import TemperatureScaled
from asktell.learners.single import SingleNetwork
from asktell.learners.snapshot import SnapshotEnsemble
from asktell.learners.split_head import SplitHead
from asktell.learners.stochastic import StochasticEnsemble
from asktell.learners.trajectory import Trajectories
from asktell.learners.vaal import VAAL

__all__ = [
    "VAAL",
    "BayesByBackprop",
    "BestOnValidation",
    "Bootstrap",
    "DeepEnsemble",
    "DiverseEnsemble",
    "LastLayerLaplace",
    "Learner",
    "LossPrediction",
    "Proxy",
    "PseudoLabels",
    "Restores",
    "Round",
    "SingleNetwork",
    "SklearnCommittee",
    "SnapshotEnsemble",
    "SplitHead",
    "StochasticEnsemble",
    "TemperatureScaled",
    "Trajectories",
    "load",
    "save",
]
