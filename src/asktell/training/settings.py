"""How to train, as a value."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from asktell.errors import ProtocolError


@dataclass(frozen=True)
class Training:
    """Adam on cross-entropy. Each field says what it means; raises `ProtocolError` for a value that makes no sense.

    `decay` is as Keras and the DBAL code have it, so that Adam gets a coupled weight_decay of 2c / l.

    >>> Training(epochs=30, batch=64, samples_per_epoch=5056, patience=3).lr
    0.001
    """

    epochs: Annotated[int, "passes over the labelled set, or at most so many with `patience`"]
    batch: Annotated[int | None, "rows per step; None = all labelled rows in one step"] = 64
    lr: Annotated[float, "learning rate of Adam"] = 1e-3
    samples_per_epoch: Annotated[
        int | None, "rows of an epoch, the labelled set repeated (BatchBALD: 5,056); None = each labelled row once"
    ] = None
    decay: Annotated[float, "c of loss + (c / l) ||W||^2, l labels, over weight matrices, not biases"] = 0.0
    decay_on: Annotated[Literal["all", "linear"], "decay of all weight matrices, or of linear layers only"] = "all"
    patience: Annotated[
        int | None,
        "stop after so many epochs without a better validation accuracy (dropout off), go back to the best weights; "
        "None = all epochs, last weights",
    ] = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "samples_per_epoch", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ProtocolError(f"{name} must be at least 1, not {value}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ProtocolError(f"lr must be positive, not {self.lr}")
        if not (math.isfinite(self.decay) and self.decay >= 0):
            raise ProtocolError(f"decay must be zero or more, not {self.decay}")
        if self.decay_on not in ("all", "linear"):
            raise ProtocolError(f"decay_on must be 'all' or 'linear', not {self.decay_on!r}")


@dataclass(frozen=True)
class History:
    """What happened: mean training loss (without decay) and validation accuracy of each epoch, counted from 0.

    `best` is the epoch whose weights were kept if training could stop early, else None.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...] = ()
    best: int | None = None
