"""Learners that an experiment can run with, by name: the strategy `deep-ensemble+bald` is BALD on a deep ensemble.

Each is made from the protocol's network and training, so that all get the same steps; what they choose beyond that
stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from torch import nn

from asktell.errors import ProtocolError
from asktell.learners import (
    BayesByBackprop,
    Bootstrap,
    DeepEnsemble,
    DiverseEnsemble,
    LastLayerLaplace,
    Learner,
    SingleNetwork,
    SklearnCommittee,
    SnapshotEnsemble,
    SplitHead,
    StochasticEnsemble,
)
from asktell.strategies import Recipe, recipe
from asktell.training import Training

Build = Callable[[int], nn.Module]
Make = Callable[[Build, Training], Learner]

SNAPSHOT_LR: Final = 0.1
"""Where each of its cycles starts, as Huang et al. 2017 have it. With 0.05 the cycles ended too near to each other to
disagree about noise: tried on seeds 100 and 101 of the digits and of MNIST, which no committed run has."""


def _forest(build: Build, training: Training) -> Learner:
    from sklearn.ensemble import RandomForestClassifier

    return SklearnCommittee(RandomForestClassifier(100))


def _boosting(build: Build, training: Training) -> Learner:
    from sklearn.ensemble import GradientBoostingClassifier

    return SklearnCommittee(GradientBoostingClassifier(n_estimators=30, subsample=0.5), members=5)


LEARNERS: Final[Mapping[str, Make]] = MappingProxyType(
    {
        "mc-dropout": lambda build, training: SingleNetwork(build, training),
        "deep-ensemble": lambda build, training: DeepEnsemble(build, training),
        "snapshot-ensemble": lambda build, training: SnapshotEnsemble(build, replace(training, lr=SNAPSHOT_LR)),
        "diverse-ensemble": lambda build, training: DiverseEnsemble(build, training),
        "split-head": lambda build, training: SplitHead(build, training),
        "stochastic-ensemble": lambda build, training: StochasticEnsemble(build, training),
        "bayes-by-backprop": lambda build, training: BayesByBackprop(build, replace(training, decay=0.0)),
        "laplace": lambda build, training: LastLayerLaplace(build, training),
        "bagging": lambda build, training: Bootstrap(DeepEnsemble(build, training, members=1)),
        "random-forest": _forest,
        "gradient-boosting": _boosting,
    }
)
"""Makers of learners by name. Ensembles have five members, a stochastic one three; scikit-learn's see pixels."""


def parted(name: str) -> tuple[str | None, Recipe]:
    """Learner (None is the protocol's own) and recipe of what a cell runs.

    Raises `ProtocolError` with the nearest names for one that is unknown.

    >>> learner, chosen = parted("deep-ensemble+bald")
    >>> learner, chosen.name
    ('deep-ensemble', 'bald')
    """
    learner, plus, strategy = name.rpartition("+")
    if plus and learner not in LEARNERS:
        near = get_close_matches(learner, LEARNERS) or sorted(LEARNERS)
        raise ProtocolError(f"there is no posterior called {learner}; did you mean {', '.join(near)}?")
    return learner if plus else None, recipe(strategy)
