"""One trunk, several heads."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from asktell.arrays import PointLogProbs
from asktell.errors import ModelError
from asktell.learners.ensemble import check_members
from asktell.learners.fitting import Build, Fitting
from asktell.learners.protocols import Round
from asktell.learners.resampling import resampled
from asktell.learners.restoring import blank, restored
from asktell.posteriors import Ensemble
from asktell.posteriors.ensemble import Members, log_mean
from asktell.randomness import derive, take_key
from asktell.training import Training
from asktell.training.method import Method, Step


@dataclass(frozen=True)
class SplitHead:
    """Trains one network whose last layers are there `heads` times, each head from its own initial weights.

    The split-head network of Beluch et al. 2018, section 3.1, after Osband et al. 2016 (arXiv:1602.04621). The loss is
    the mean of the heads' cross-entropies, so the trunk learns from all. Heads have their own dropout in training; with
    `bootstrap` each weights the rows by how often it drew them with replacement. With `patience` it is the mean of the
    heads that is validated. Dropout is off in scoring, and the trunk runs once for all heads.

    `build(number of classes)` gives an nn.Sequential; `at` names its first child that belongs to the head. None is the
    second-last linear layer if something with weights stands before it, else the last one.

    `fit` takes one key from the generator; it raises `ModelError` for a network that cannot be split there, or that
    diverged.

    >>> from asktell.training import two_moons_mlp
    >>> learner = SplitHead(two_moons_mlp, Training(epochs=2), heads=3)
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    >>> sorted(learner.fit(round, generator=torch.Generator()).weights())[:2]
    ['members.0.3.bias', 'members.0.3.weight']
    """

    build: Build
    training: Training
    heads: int = 5
    at: str | None = None
    bootstrap: bool = False
    batch: int = 256

    def __post_init__(self) -> None:
        check_members(self.heads)

    @property
    def offers(self) -> frozenset[str]:
        """What `Ensemble` offers."""
        return Ensemble.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> Ensemble:  # noqa: A002
        """Fit on the labelled rows."""
        fitting = Fitting(round, take_key(generator))
        wholes = [fitting.built(self.build, "head", number) for number in range(self.heads)]
        trunk, first = split(wholes[0], self.at)
        heads = [first, *(split(whole, self.at)[1] for whole in wholes[1:])]
        weights = self._row_weights(round, fitting.key)
        fitting.trained(Pooled(heads, trunk), self.training, "network", method=Method(loss=_MeanOfHeads(weights)))
        return Ensemble(heads, trunk=trunk, batch=self.batch)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Ensemble:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        trunk, _ = split(blank(self.build, len(classes)), self.at)
        heads = [lambda c: split(self.build(c), self.at)[1]] * self.heads
        return restored(heads, len(classes), weights, trunk=trunk, batch=self.batch)

    def _row_weights(self, data: Round, key: int) -> Tensor:
        """How much each labelled row counts for each head, [l, heads]."""
        if not self.bootstrap:
            return torch.ones(len(data.labels), self.heads)
        drawn = [resampled(data.labels, derive(key, "resample", number)) for number in range(self.heads)]
        return torch.stack([rows.bincount(minlength=len(data.labels)) for rows in drawn], 1).float()


class Pooled(nn.Module):
    """The network that is trained: the log of the heads' mean probability, and the heads themselves."""

    def __init__(self, heads: Iterable[nn.Module], trunk: nn.Module) -> None:
        super().__init__()
        self.each = Members(heads, trunk=trunk)

    def forward(self, x: Tensor) -> PointLogProbs:
        """[rows, c]."""
        return log_mean(self.each(x))


@dataclass(frozen=True)
class _MeanOfHeads:
    """Mean over heads and rows of the weighted cross-entropy."""

    weights: Tensor

    def __call__(self, module: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        log_probs = cast(Pooled, module).each(x)
        losses = -log_probs.gather(2, y[:, None, None].expand(-1, log_probs.shape[1], 1))[..., 0]
        loss: Tensor = (losses * self.weights[step.rows].to(losses)).mean()
        return loss


def split(module: nn.Module, at: str | None) -> tuple[nn.Sequential, nn.Sequential]:
    """Trunk and head of an nn.Sequential; `ModelError` if it is none, or cannot be split there.

    >>> trunk, head = split(nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3)), None)
    >>> len(trunk), len(head)
    (2, 1)
    """
    if not isinstance(module, nn.Sequential):
        raise ModelError(
            f"only an nn.Sequential can be split into trunk and head, not {type(module).__name__}; "
            "let build() return nn.Sequential(trunk, head), and name the head: at='1'"
        )
    names = list(dict(module.named_children()))
    place = _second_last(module) if at is None else names.index(at) if at in names else 0
    if place == 0:
        raise ModelError(
            f"the network cannot be split at {'its linear layers' if at is None else repr(at)}: the head must begin at "
            f"a child that has another before it, at=... one of {names[1:]}"
        )
    children = list(module.named_children())
    return nn.Sequential(OrderedDict(children[:place])), nn.Sequential(OrderedDict(children[place:]))


def _second_last(module: nn.Sequential) -> int:
    """Where the second-last child that holds a linear layer stands, of those behind weights; 0 if there is none."""
    children = list(module)
    weighted = [place for place, child in enumerate(children) if list(child.parameters())]
    linear = [place for place in weighted[1:] if any(isinstance(m, nn.Linear) for m in children[place].modules())]
    return linear[-2:][0] if linear else 0
