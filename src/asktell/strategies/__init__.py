"""Strategies: named compositions of scores and selections that say which evidence they need."""

from asktell.strategies.contrasting import CAL
from asktell.strategies.costs import COSTS, Cost
from asktell.strategies.covering import CoreSet, CoreSetRobust
from asktell.strategies.discriminating import Discriminative
from asktell.strategies.fisher import BAIT
from asktell.strategies.gradients import EGL, FullGradient
from asktell.strategies.information import BatchBALD
from asktell.strategies.narrowing import Prefilter, Subset
from asktell.strategies.protocols import Scored, Strategy
from asktell.strategies.ranking import (
    BALD,
    EPIG,
    Entropy,
    LeastConfident,
    Margin,
    MaxKL,
    MCVariationRatio,
    MeanStd,
    OfMean,
    Utility,
    VoteEntropy,
)
from asktell.strategies.registry import Recipe, from_json, recipe, recipes, register, strategy_alone, to_json
from asktell.strategies.representing import FacilityLocation, SuggestiveAnnotation
from asktell.strategies.sampling import Power, Random, Softmax, Softrank
from asktell.strategies.spreading import BADGE, KMeansMargin
from asktell.strategies.typical import ProbCover, TypiClust

__all__ = [
    "BADGE",
    "BAIT",
    "BALD",
    "CAL",
    "COSTS",
    "EGL",
    "EPIG",
    "BatchBALD",
    "CoreSet",
    "CoreSetRobust",
    "Cost",
    "Discriminative",
    "Entropy",
    "FacilityLocation",
    "FullGradient",
    "KMeansMargin",
    "LeastConfident",
    "MCVariationRatio",
    "Margin",
    "MaxKL",
    "MeanStd",
    "OfMean",
    "Power",
    "Prefilter",
    "ProbCover",
    "Random",
    "Recipe",
    "Scored",
    "Softmax",
    "Softrank",
    "Strategy",
    "Subset",
    "SuggestiveAnnotation",
    "TypiClust",
    "Utility",
    "VoteEntropy",
    "from_json",
    "recipe",
    "recipes",
    "register",
    "strategy_alone",
    "to_json",
]
