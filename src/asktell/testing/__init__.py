"""Contracts as public test suites: subclass one, name what is under test, run pytest. Needs pytest."""

from asktell.testing.posteriors import PosteriorConformance
from asktell.testing.strategies import StrategyConformance

__all__ = ["PosteriorConformance", "StrategyConformance"]
