"""Any learner, several times, on rows drawn with replacement."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from asktell.errors import ModelError
from asktell.learners.ensemble import check_members
from asktell.learners.protocols import KeepsNetworks, Learner, Restores, Round
from asktell.learners.resampling import Resampled, resampled
from asktell.posteriors import Mixture, Posterior, pooled
from asktell.randomness import derive, take_key
from asktell.rows import as_rows


@dataclass(frozen=True)
class Bootstrap:
    """Fits the learner `members` times, each time on as many labelled rows as there are, drawn with replacement.

    Efron 1979; bagging, Breiman 1996. Gives a `Mixture` of what the learner gives. `stratified` draws within each
    class, so that every member sees every class that has a label, as often as it has labels; without, a member may miss
    classes. Member i depends on the key and on i alone. A round before that had as many members hands each its own. A
    learner that keeps its networks in a `folder`, so that an interrupted fit goes on, has one for each member in it.

    `fit` takes one key from the generator; it raises the learner's `ModelError`, naming the member.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = Bootstrap(SingleNetwork(two_moons_mlp, Training(epochs=2)), members=2)
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> len(learner.fit(round, generator=torch.Generator()).posteriors)
    2
    """

    learner: Learner
    members: int = 5
    stratified: bool = True

    def __post_init__(self) -> None:
        check_members(self.members)

    @property
    def offers(self) -> frozenset[str]:
        """What `Mixture` offers."""
        return Mixture.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Mixture:  # noqa: A002
        """Fit on the labelled rows."""
        key = take_key(generator)
        return pooled([self._member(round, key, number) for number in range(self.members)])

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Mixture:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        if not isinstance(self.learner, Restores):
            raise ModelError(f"{type(self.learner).__name__} cannot make its posterior again from weights")
        members = [part(weights, f"{number}.") for number in range(self.members)]
        return pooled([self.learner.restore(classes, member) for member in members])

    def _member(self, data: Round, key: int, number: int) -> Posterior:
        rows = resampled(data.labels, derive(key, "resample", number), stratified=self.stratified)
        drawn = replace(
            data,
            inputs=Resampled(as_rows(data.inputs), rows),
            labels=data.labels[rows],
            previous=_before(data.previous, self.members, number),
        )
        try:
            return _apart(self.learner, number).fit(drawn, generator=derive(key, "member", number))
        except ModelError as error:
            raise ModelError(f"member {number}: {error}") from error


def part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those under a prefix, without it.

    >>> part({"0.weight": torch.zeros(1), "1.weight": torch.ones(1)}, "1.")
    {'weight': tensor([1.])}
    """
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}


def _apart(learner: Learner, number: int) -> Learner:
    """The same, with a folder of its own if it keeps its networks in one: a fit removes what others left there."""
    if not isinstance(learner, KeepsNetworks) or learner.folder is None:
        return learner
    apart: Learner = replace(cast(Any, learner), folder=learner.folder / f"member-{number}")
    return apart


def _before(previous: Posterior | None, members: int, number: int) -> Posterior | None:
    """The posterior of the same member in the round before."""
    if isinstance(previous, Mixture) and len(previous.posteriors) == members:
        return previous.posteriors[number]
    return None
