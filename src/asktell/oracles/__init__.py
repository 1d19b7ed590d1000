"""Whoever answers: a simulation that knows the true labels."""

from asktell.oracles.simulated import SimulatedOracle

__all__ = ["SimulatedOracle"]
