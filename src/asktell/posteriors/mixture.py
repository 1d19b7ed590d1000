"""Several posteriors pooled."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from asktell.arrays import LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.ensemble import log_mean
from asktell.posteriors.network import Source
from asktell.posteriors.on_demand import OnDemand
from asktell.posteriors.protocols import Draws, Posterior
from asktell.posteriors.weights import HasWeights
from asktell.randomness import derive, take_key
from asktell.rows import Rows, as_rows


class Mixture:
    """Posteriors of equal weight: k draws are shared out as evenly as they go, those of one posterior side by side.

    A stochastic ensemble (Pop and Fulop 2018, section 3, arXiv:1811.03897) is a mixture of `MCDropout`. Which of them
    give one draw more than others is random. If all give as many, the information in the pooled draws is the mean of
    what is in each one's own plus what they disagree about, so it is never less than that mean. `predict` is the mean
    of their predictions. Raises `ModelError` without posteriors.

    >>> from asktell.posteriors import Deterministic
    >>> mixture = Mixture([Deterministic(torch.nn.Linear(2, 3)) for _ in range(4)])
    >>> mixture.distinct, mixture.predict(torch.zeros(1, 2)).shape
    (4, torch.Size([1, 3]))
    """

    offers: frozenset[str] = frozenset({"log_probs"})

    def __init__(self, posteriors: Iterable[Posterior]) -> None:
        self.posteriors = tuple(posteriors)
        if not self.posteriors:
            raise ModelError("a mixture needs one posterior or more")

    @property
    def distinct(self) -> int | None:
        """The sum of the members' numbers; None (unlimited) if one of them has no limit."""
        numbers = [posterior.distinct for posterior in self.posteriors]
        return None if None in numbers else sum(number for number in numbers if number is not None)

    def draw(self, k: int, *, generator: torch.Generator) -> "MixtureDraws":
        """Fix k functions; takes one key. Raises `ModelError` if k < 1 or k > distinct."""
        check_draws(k, self.distinct)
        key = take_key(generator)
        shares = _shared_out(k, [posterior.distinct for posterior in self.posteriors], derive(key, "shares"))
        members = zip(self.posteriors, shares, strict=True)
        return MixtureDraws(
            [
                posterior.draw(share, generator=derive(key, "member", number))
                for number, (posterior, share) in enumerate(members)
                if share
            ]
        )

    def predict(self, inputs: Source) -> PointLogProbs:
        """log of the mean of the members' predicted probabilities."""
        return log_mean(torch.stack([posterior.predict(as_rows(inputs)) for posterior in self.posteriors], 1))


class MixtureOfNetworks(Mixture):
    """A mixture all of whose members have weights."""

    def weights(self) -> dict[str, Tensor]:
        """Those of all members, those of member 0 under "0."."""
        return {
            f"{number}.{name}": weight
            for number, posterior in enumerate(self.posteriors)
            if isinstance(posterior, HasWeights)
            for name, weight in posterior.weights().items()
        }


def pooled(posteriors: Sequence[Posterior]) -> Mixture:
    """Their mixture, which has weights if they all have."""
    have_weights = all(isinstance(posterior, HasWeights) for posterior in posteriors)
    return MixtureOfNetworks(posteriors) if have_weights else Mixture(posteriors)


class MixtureDraws:
    """Draws of several posteriors, one after the other."""

    def __init__(self, members: Sequence[Draws]) -> None:
        self._members = members

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        rows = as_rows(inputs)
        return torch.cat([draws.log_probs(rows) for draws in self._members], 1)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def _shared_out(k: int, limits: Sequence[int | None], generator: torch.Generator) -> list[int]:
    """How many draws each member gives: round by round one from each that has more, in a random order."""
    shares = [0] * len(limits)
    order: list[int] = torch.randperm(len(limits), generator=generator).tolist()
    while k:
        able = [member for member in order if shares[member] < (limits[member] or math.inf)][:k]
        for member in able:
            shares[member] += 1
        k -= len(able)
    return shares
