"""Ways of fitting: each gives a posterior."""

from asktell.learners.bayes import BayesByBackprop
from asktell.learners.best import BestOnValidation
from asktell.learners.bootstrap import Bootstrap
from asktell.learners.committee import SklearnCommittee
from asktell.learners.diverse import DiverseEnsemble
from asktell.learners.ensemble import DeepEnsemble
from asktell.learners.laplace import LastLayerLaplace
from asktell.learners.protocols import Learner, Restores, Round
from asktell.learners.saving import load, save
from asktell.learners.scaled import TemperatureScaled
from asktell.learners.single import SingleNetwork
from asktell.learners.snapshot import SnapshotEnsemble
from asktell.learners.split_head import SplitHead
from asktell.learners.stochastic import StochasticEnsemble

__all__ = [
    "BayesByBackprop",
    "BestOnValidation",
    "Bootstrap",
    "DeepEnsemble",
    "DiverseEnsemble",
    "LastLayerLaplace",
    "Learner",
    "Restores",
    "Round",
    "SingleNetwork",
    "SklearnCommittee",
    "SnapshotEnsemble",
    "SplitHead",
    "StochasticEnsemble",
    "TemperatureScaled",
    "load",
    "save",
]
