"""How to train, as a value."""

import math
from dataclasses import dataclass
from typing import Literal

from asktell.errors import ProtocolError


@dataclass(frozen=True)
class Training:
    """Adam on cross-entropy.

    epochs: how many, or at most how many if `patience` is set.
    batch: rows per step; None = all labelled rows in one step.
    samples_per_epoch: None = the labelled set once; else that many rows, the labelled set repeated (BatchBALD: 5,056).
    decay: c of loss + (c / l) ||W||^2, l labels, over weight matrices and not biases. As Keras and the DBAL code have
        it, so Adam gets a coupled weight_decay of 2c / l.
    decay_on: "all" weight matrices and kernels, or those of "linear" layers only (DBAL code).
    patience: None = all epochs, last weights; else stop after that many epochs without a better validation
        accuracy (dropout off) and go back to the best weights.

    Raises `ProtocolError` for a value that makes no sense.

    >>> Training(epochs=30, batch=64, samples_per_epoch=5056, patience=3).lr
    0.001
    """

    epochs: int
    batch: int | None = 64
    lr: float = 1e-3
    samples_per_epoch: int | None = None
    decay: float = 0.0
    decay_on: Literal["all", "linear"] = "all"
    patience: int | None = None

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
