"""Learners for tests, named as users name theirs: module:function."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asktell.learners import Round, SingleNetwork
from asktell.posteriors import Draws, MCDropout
from asktell.rows import Rows, TensorRows
from asktell.training import Training

SEEN: list[Round] = []
"""What the spy was told to fit, newest last."""


def quick(_classes: Sequence[str], _settings: object = None) -> SingleNetwork:
    """Fits digits well enough in a few hundredths of a second."""
    return SingleNetwork(
        lambda c: nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, c)),
        Training(epochs=1, samples_per_epoch=64 * 40, lr=1e-2),
    )


@dataclass(frozen=True)
class Spy:
    """Notes every round, then does as `quick` does. Cannot restore."""

    offers = MCDropout.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        SEEN.append(round)
        return quick(round.classes).fit(round, generator=generator)


def spying(_classes: Sequence[str], _settings: object) -> Spy:
    return Spy()


@dataclass(frozen=True)
class Failing:
    offers = MCDropout.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        raise RuntimeError("out of coffee")


def failing(_classes: Sequence[str], _settings: object) -> Failing:
    return Failing()


@dataclass(frozen=True)
class Reading(Spy):
    """Makes its rows itself: the content is a number, and the row says it 64 times."""

    def inputs(self, contents: tuple[str, ...]) -> Rows:
        return TensorRows(torch.tensor([float(content) for content in contents])[:, None].repeat(1, 64))


def reading(_classes: Sequence[str], _settings: object) -> Reading:
    return Reading()


@dataclass(frozen=True)
class OnlyDraws:
    """A posterior of few words."""

    inner: MCDropout
    offers = frozenset({"log_probs"})
    distinct = None

    def draw(self, k: int, *, generator: torch.Generator) -> Draws:
        return self.inner.draw(k, generator=generator)

    def predict(self, inputs: Rows) -> Tensor:
        return self.inner.predict(inputs)


@dataclass(frozen=True)
class Reticent:
    """Gives a posterior without weights and features."""

    offers = frozenset({"log_probs"})

    def fit(self, round: Round, *, generator: torch.Generator) -> OnlyDraws:  # noqa: A002
        return OnlyDraws(quick(round.classes).fit(round, generator=generator))


def reticent(_classes: Sequence[str], _settings: object) -> Reticent:
    return Reticent()


def told(classes: Sequence[str], settings: dict[str, object]) -> object:
    raise ValueError(f"{len(classes)} classes, queue {settings.get('queue')}")


def no_learner(_classes: Sequence[str], _settings: object) -> str:
    return "a learner, honestly"


def rows_of(round_: Round) -> Tensor:
    """All inputs of a round."""
    return round_.inputs[0 : len(round_.inputs)]


def tiny(seed: int) -> Round:
    """Two rows of noise, of two classes."""
    rows = torch.randn(2, 64, generator=torch.Generator().manual_seed(seed))
    return Round(0, ("a", "b"), TensorRows(rows), torch.tensor([0, 1]))
