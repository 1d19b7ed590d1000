"""One network, fitted on the labelled rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from asktell.errors import EvidenceError, ModelError, ProtocolError
from asktell.learners.fitting import check_classes, check_finite
from asktell.learners.protocols import Learner, Round
from asktell.learners.restoring import blank, filled
from asktell.posteriors import HasWeights, MCDropout
from asktell.posteriors.masks import active_dropouts
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded, take_key
from asktell.training import Forgetting, History, Training, accuracy, fit
from asktell.training.fit import Progress


@dataclass(frozen=True)
class SingleNetwork:
    """Fits one dropout network a round and gives `MCDropout`.

    `build(number of classes)` gives an untrained network (on the device it shall run on). restart="cold" starts from a
    fresh initialisation every round, as the DBAL and BatchBALD papers do; "warm" goes on from a copy of the weights of
    the round before, with a new optimiser. Classes that have no label yet are legal. `batch`, `off` and `head` are
    handed to `MCDropout`. `told`: `train_accuracy`, dropout off, and what `Forgetting` counted.

    `fit` takes one key from the generator; it raises `ModelError` if the network has another number of classes than the
    round, cannot take the weights of the round before, has no dropout, or ends with NaN among its weights.

    >>> from asktell.training import two_moons_mlp
    >>> learner = SingleNetwork(two_moons_mlp, Training(epochs=2))
    >>> round = Round(0, ("low", "high"), torch.zeros(3, 2), torch.tensor([0, 0, 0]))
    >>> learner.fit(round, generator=torch.Generator()).predict(torch.zeros(1, 2)).shape
    torch.Size([1, 2])
    """

    build: Callable[[int], nn.Module]
    training: Training
    restart: Literal["cold", "warm"] = "cold"
    batch: int = 256
    off: tuple[str, ...] = ()
    head: str | None = None

    def __post_init__(self) -> None:
        if self.restart not in ("cold", "warm"):
            raise ProtocolError(f"restart must be 'cold' or 'warm', not {self.restart!r}")

    @property
    def offers(self) -> frozenset[str]:
        """What `MCDropout` offers."""
        return MCDropout.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        """Fit on the labelled rows."""
        key = take_key(generator)
        module = self.start(round, key)
        active_dropouts(module, self.off)
        _, told = self.train(module, round, key)
        return self.posterior(module, told=told)

    def start(self, data: Round, key: int) -> nn.Module:
        """The network before training; raises `ModelError` as `fit` does."""
        with seeded(derive(key, "initialise")):
            module = self.build(len(data.classes))
        if self.restart == "warm" and data.previous is not None:
            if not isinstance(data.previous, HasWeights):
                raise ModelError(f"cannot go on from a {type(data.previous).__name__}: it has no weights; restart cold")
            put_weights(module, data.previous.weights(), "the round before")
        check_classes(module, data)
        return module

    def train(
        self, module: nn.Module, data: Round, key: int, *, progress: Progress | None = None
    ) -> tuple[History, dict[str, float]]:
        """Train what `start` gave, in place: what happened, and what is told of it."""
        forgetting = Forgetting(len(data.labels))
        history = fit(
            module,
            data.inputs,
            data.labels,
            training=self.training,
            validation=data.validation,
            generator=derive(key, "fit"),
            progress=progress,
            watch=forgetting,
        )
        check_finite(module)
        return history, {"train_accuracy": accuracy(module, data.inputs, data.labels), **forgetting.told}

    def posterior(self, module: nn.Module, *, told: Mapping[str, float] | None = None) -> MCDropout:
        """What a trained network is; `told` is what its training said of itself."""
        return MCDropout(module, batch=self.batch, off=self.off, head=self.head, told=told)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> MCDropout:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        return self.posterior(filled(blank(self.build, len(classes)), weights))


def one_network(learner: Learner, who: str) -> SingleNetwork:
    """The learner, if it fits one network; raises `EvidenceError` that says `who` needs one.

    >>> from asktell.training import two_moons_mlp
    >>> one_network(SingleNetwork(two_moons_mlp, Training(epochs=2)), "loss-prediction").training.epochs
    2
    """
    if not isinstance(learner, SingleNetwork):
        raise EvidenceError(
            f"{who} needs a learner of one network, such as SingleNetwork, not {type(learner).__name__}"
        )
    return learner
