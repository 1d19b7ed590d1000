"""The best of several ways of fitting, by a validation set."""

from dataclasses import dataclass
from functools import reduce

import torch
from torch import nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners.protocols import Learner, Round
from asktell.posteriors import Posterior
from asktell.randomness import derive, take_key


@dataclass(frozen=True)
class BestOnValidation:
    """Fits every learner and gives the posterior under which the validation labels are most likely.

    So the DBAL paper chooses its weight decay (Gal et al. 2017, section 5): one learner per decay. All start from the
    same random numbers and the same round before; of equals the first is given.

    `fit` takes one key from the generator; it raises `ModelError` without a validation set, and if a
    likelihood is no number.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.training import Training, two_moons_mlp
    >>> learners = tuple(SingleNetwork(two_moons_mlp, Training(epochs=2, decay=c)) for c in (0.5, 5.0))
    >>> points = torch.zeros(3, 2), torch.tensor([0, 0, 1])
    >>> round = Round(0, ("low", "high"), *points, validation=points)
    >>> type(BestOnValidation(learners).fit(round, generator=torch.Generator())).__name__
    'MCDropout'
    """

    learners: tuple[Learner, ...]

    def __post_init__(self) -> None:
        if not self.learners:
            raise ProtocolError("there is no learner to choose from")

    @property
    def offers(self) -> frozenset[str]:
        """What all of them offer."""
        return reduce(frozenset.intersection, (learner.offers for learner in self.learners))

    def fit(self, round: Round, *, generator: torch.Generator) -> Posterior:  # noqa: A002
        """Fit all on the labelled rows, keep one."""
        if round.validation is None:
            raise ModelError("choosing by validation needs a validation set: Round(validation=(inputs, labels))")
        key = take_key(generator)
        posteriors = [learner.fit(round, generator=derive(key, "fit")) for learner in self.learners]
        losses = [_loss(posterior, round) for posterior in posteriors]
        return posteriors[losses.index(min(losses))]


def _loss(posterior: Posterior, data: Round) -> float:
    """Mean negative log-likelihood of the validation labels."""
    assert data.validation is not None
    inputs, labels = data.validation
    loss = nn.functional.nll_loss(posterior.predict(inputs).double(), labels).item()
    if loss != loss:
        raise ModelError("a network predicts NaN for the validation set; look for NaN in the inputs, or lower lr")
    return loss
