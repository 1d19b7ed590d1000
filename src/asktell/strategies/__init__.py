"""Strategies: named compositions of scores and selections that say which evidence they need."""

from asktell.strategies.covering import CoreSet, CoreSetRobust
from asktell.strategies.information import BatchBALD
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
    VoteEntropy,
)
from asktell.strategies.registry import Recipe, from_json, recipe, recipes, register, to_json
from asktell.strategies.sampling import Power, Random, Softmax, Softrank
from asktell.strategies.spreading import BADGE, KMeansMargin

__all__ = [
    "BADGE",
    "BALD",
    "EPIG",
    "BatchBALD",
    "CoreSet",
    "CoreSetRobust",
    "Entropy",
    "KMeansMargin",
    "LeastConfident",
    "MCVariationRatio",
    "Margin",
    "MaxKL",
    "MeanStd",
    "OfMean",
    "Power",
    "Random",
    "Recipe",
    "Scored",
    "Softmax",
    "Softrank",
    "Strategy",
    "VoteEntropy",
    "from_json",
    "recipe",
    "recipes",
    "register",
    "to_json",
]
