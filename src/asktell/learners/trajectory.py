"""One network, remembered while it is trained."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from asktell.errors import ProtocolError
from asktell.learners.protocols import Learner, Round
from asktell.learners.restoring import blank, filled
from asktell.learners.single import SingleNetwork, one_network
from asktell.posteriors import Trajectory
from asktell.posteriors.ensemble import Members
from asktell.posteriors.trajectory import spaced
from asktell.randomness import take_key

WHO = "label dispersion"


@dataclass(frozen=True)
class Trajectories:
    """Fits the learner's network and remembers it at the ends of `checkpoints` parts of its training: a `Trajectory`.

    Bengar et al. 2021 (arXiv:2107.14707). The parts are as equal as whole epochs allow, from the epoch at which the
    share `warmup` of all is done; at least two epochs are always left. Fewer epochs than `checkpoints` are remembered
    all. The last checkpoint is the network that the learner alone gives, from the same random numbers; where training
    stops early, that is the one it went back to, and every other epoch may be a checkpoint before it.

    Raises `EvidenceError` for a learner that is not of one network, `ProtocolError` for a training of one epoch and for
    fewer than two checkpoints. `fit` takes one key from the generator and raises `ModelError` as the learner does.

    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = Trajectories(SingleNetwork(two_moons_mlp, Training(epochs=20)), checkpoints=6)
    >>> learner.epochs
    (4, 7, 10, 13, 16, 19)
    """

    learner: Learner
    checkpoints: int = 10
    warmup: float = 0.1

    def __post_init__(self) -> None:
        epochs = one_network(self.learner, WHO).training.epochs
        if self.checkpoints < 2:
            raise ProtocolError(f"{WHO} compares checkpoints; it needs two or more, not {self.checkpoints}")
        if not 0 <= self.warmup < 1:
            raise ProtocolError(f"warmup is a share of training, from 0 to below 1, not {self.warmup}")
        if epochs < 2:
            raise ProtocolError(f"{WHO} compares the ends of epochs; training needs two or more, not {epochs}")

    @property
    def offers(self) -> frozenset[str]:
        """What `Trajectory` offers."""
        return Trajectory.offers

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that are remembered, from 0, of a training that runs to its end."""
        epochs = self._one.training.epochs
        return self._remembered(epochs, epochs - 1)

    def fit(self, round: Round, *, generator: torch.Generator) -> Trajectory:  # noqa: A002
        """Fit on the labelled rows."""
        learner, key, data = self._one, take_key(generator), _going_on(round)
        module = learner.start(data, key)
        kept = _Kept(module, None if learner.training.patience else self.epochs)
        history, told = learner.train(module, data, key, progress=kept)
        epochs = len(history.losses)
        numbers = self._remembered(epochs, epochs - 1 if history.best is None else history.best)
        return self._trajectory([*map(kept.network, numbers[:-1]), module], told)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> Trajectory:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        count = 1 + max((int(name.split(".")[1]) for name in weights), default=0)
        modules = [blank(self._one.build, len(classes)) for _ in range(count)]
        filled(Members(modules), weights)
        return self._trajectory(modules, {})

    @property
    def _one(self) -> SingleNetwork:
        return one_network(self.learner, WHO)

    def _remembered(self, epochs: int, last: int) -> tuple[int, ...]:
        """Of so many epochs those that are checkpoints, `last` at the end."""
        begin = min(int(self.warmup * epochs), epochs - 2)
        order = [epoch for epoch in range(begin, epochs) if epoch != last] + [last]
        return tuple(order[place] for place in spaced(min(self.checkpoints, len(order)), len(order)))

    def _trajectory(self, modules: list[nn.Module], told: Mapping[str, float]) -> Trajectory:
        return Trajectory(modules, batch=self._one.batch, head=self._one.head, told=told)


@dataclass
class _Kept:
    """Weights at the ends of epochs: of those that are `wanted`, of all if None."""

    module: nn.Module
    wanted: tuple[int, ...] | None
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def __call__(self, epoch: int, _: float) -> None:
        if self.wanted is None or epoch in self.wanted:
            self.weights[epoch] = {name: weight.clone() for name, weight in self.module.state_dict().items()}

    def network(self, epoch: int) -> nn.Module:
        """The network as it was."""
        module = copy.deepcopy(self.module)
        module.load_state_dict(self.weights[epoch])
        return module


def _going_on(data: Round) -> Round:
    """A warm start goes on from the last checkpoint of the round before."""
    previous = data.previous
    return replace(data, previous=previous.last if isinstance(previous, Trajectory) else previous)
