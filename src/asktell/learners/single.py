"""One network, fitted on the labelled rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners.fitting import check_classes
from asktell.learners.protocols import Round
from asktell.learners.restoring import blank, filled
from asktell.posteriors import HasWeights, MCDropout
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded, take_key
from asktell.training import Training, fit


@dataclass(frozen=True)
class SingleNetwork:
    """Fits one dropout network a round and gives `MCDropout`.

    `build(number of classes)` gives an untrained network (on the device it shall run on). restart="cold" starts from a
    fresh initialisation every round, as the DBAL and BatchBALD papers do; "warm" goes on from a copy of the weights of
    the round before, with a new optimiser. Classes that have no label yet are legal. `batch`, `off` and `head` are
    handed to `MCDropout`.

    `fit` takes one key from the generator; it raises `ModelError` if the network has another number of classes than the
    round, or cannot take the weights of the round before.

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
        module = self._start(round, derive(key, "initialise"))
        check_classes(module, round)
        fit(
            module,
            round.inputs,
            round.labels,
            training=self.training,
            validation=round.validation,
            generator=derive(key, "fit"),
        )
        return self._posterior(module)

    def restore(self, classes: tuple[str, ...], weights: Mapping[str, Tensor]) -> MCDropout:
        """The posterior that had these weights. Raises `ModelError` if they do not fit."""
        return self._posterior(filled(blank(self.build, len(classes)), weights))

    def _posterior(self, module: nn.Module) -> MCDropout:
        return MCDropout(module, batch=self.batch, off=self.off, head=self.head)

    def _start(self, data: Round, generator: torch.Generator) -> nn.Module:
        with seeded(generator):
            module = self.build(len(data.classes))
        if self.restart == "warm" and data.previous is not None:
            if not isinstance(data.previous, HasWeights):
                raise ModelError(f"cannot go on from a {type(data.previous).__name__}: it has no weights; restart cold")
            put_weights(module, data.previous.weights(), "the round before")
        return module
