"""Ways of fitting: each gives a posterior."""

from asktell.learners.best import BestOnValidation
from asktell.learners.protocols import Learner, Round
from asktell.learners.single import SingleNetwork

__all__ = ["BestOnValidation", "Learner", "Round", "SingleNetwork"]
