"""Ways of fitting: each gives a posterior."""

from asktell.learners.protocols import Learner, Round
from asktell.learners.single import SingleNetwork

__all__ = ["Learner", "Round", "SingleNetwork"]
