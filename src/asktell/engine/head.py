"""The learners that need no code: a Bayesian head on embeddings, and a small network for small images.

Both are one dropout network, fitted for a fixed number of steps from the same start every time, so that two models of
one project differ by what their labels differ. They give `MCDropout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from asktell.errors import ModelError
from asktell.learners import Round, SingleNetwork
from asktell.posteriors import MCDropout
from asktell.posteriors.weights import put_weights
from asktell.rows import Reading, Rows
from asktell.training import Training

OWN_UNITS: Final = 30.0
_LEAST_SD: Final = 1e-6


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each channel of a row, over all items that there were.

    A row of an embedding has as many channels as numbers; one of an image has its channels one after the other.
    """

    mean: Tensor
    sd: Tensor

    @classmethod
    def unit(cls, channels: int) -> "Scale":
        """Which changes nothing."""
        return cls(torch.zeros(channels), torch.ones(channels))

    @classmethod
    def of(cls, rows: Tensor | Rows, channels: int) -> "Scale":
        """Measured in one pass, in float64.

        All channels share one standard deviation, the root of their mean variance: what varies little in an embedding
        is mostly noise, and is not to be blown up. Where the largest is `OWN_UNITS` times the median one they have
        units of their own, as columns of a table have, and each keeps its own; 1 if it never changes.

        >>> Scale.of(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), 2).mean
        tensor([1., 1.])
        """
        total = square = torch.zeros((), dtype=torch.float64)
        for _, tile in Reading(rows).tiles():
            x = tile.double().flatten(1)
            total, square = total + x.sum(0), square + (x * x).sum(0)
        mean, power = (sums.reshape(channels, -1).mean(1) / len(rows) for sums in (total, square))
        return cls(mean.float(), _sd((power - mean * mean).clamp_min(0.0)).float())


def _sd(variance: Tensor) -> Tensor:
    own = variance.sqrt()
    varies = own > _LEAST_SD
    if not bool(varies.any()):
        return torch.ones_like(own)
    if own.max() > OWN_UNITS * own[varies].median():
        return torch.where(varies, own, 1.0)
    return variance.mean().sqrt().expand_as(own)


class Standardised(nn.Module):
    """x less the mean, divided by the standard deviation, channel by channel: x is [n, channels, ...]."""

    def __init__(self, scale: Scale, *, axes: int = 0) -> None:
        super().__init__()
        shape = (-1,) + (1,) * axes
        self.mean, self.sd = nn.Buffer(scale.mean.view(shape)), nn.Buffer(scale.sd.view(shape))

    def forward(self, x: Any) -> Any:
        """Standardised; torch.fx must be able to trace this, so that x need not be a tensor."""
        return (x - self.mean) / self.sd


@dataclass(frozen=True)
class Head:
    """One hidden layer with dropout on standardised embeddings.

    embedding, standardised, FC `hidden`, ReLU, dropout, FC. The weights are decayed as a Gaussian prior has it: less,
    the more labels there are. Too little decay keeps what the first weights happened to be in all directions that the
    labels do not speak of. `steps` steps of `batch` rows, or `passes` over the labels if that is more. There is no
    early stopping: that would take labels away from learning.
    """

    scale: Scale
    evaluated_at_once: ClassVar[int] = 1024
    hidden: int = 256
    dropout: float = 0.5
    steps: int = 300
    passes: int = 10
    batch: int = 64
    lr: float = 1e-3
    decay: float = 0.5

    @property
    def offers(self) -> frozenset[str]:
        """What `MCDropout` offers."""
        return MCDropout.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        """Fit on the labelled rows; takes one key. Raises `ModelError`."""
        return _fitted(self, round, generator)

    def network(self, classes: int) -> nn.Module:
        """Untrained."""
        width = len(self.scale.mean)
        return nn.Sequential(
            Standardised(self.scale),
            nn.Linear(width, self.hidden),
            nn.ReLU(),
            nn.Dropout(self.dropout),
            nn.Linear(self.hidden, classes),
        )


@dataclass(frozen=True)
class SmallImages:
    """The network of deep Bayesian active learning (Gal et al. 2017) for images of any size and number of channels.

    A row holds an image as channels x size x size numbers. conv4x4x32, ReLU, conv4x4x32, ReLU, maxpool2, dropout .25,
    FC128, ReLU, dropout .5, FC. Raises `ModelError` for images below 10 x 10.
    """

    scale: Scale
    size: int
    evaluated_at_once: ClassVar[int] = 256
    steps: int = 150
    passes: int = 10
    batch: int = 32
    lr: float = 2e-3
    decay: float = 0.5

    def __post_init__(self) -> None:
        if self.size < 10:
            raise ModelError(f"images of {self.size} x {self.size} are too small for this network, which takes 10 x 10")

    @property
    def offers(self) -> frozenset[str]:
        """What `MCDropout` offers."""
        return MCDropout.offers

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        """Fit on the labelled rows; takes one key. Raises `ModelError`."""
        return _fitted(self, round, generator)

    def network(self, classes: int) -> nn.Module:
        """Untrained."""
        channels, left = len(self.scale.mean), (self.size - 6) // 2
        network = nn.Sequential(
            nn.Unflatten(1, (channels, self.size, self.size)),
            Standardised(self.scale, axes=2),
            nn.Conv2d(channels, 32, 4),
            nn.ReLU(),
            nn.Conv2d(32, 32, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(32 * left * left, 128),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(128, classes),
        )
        return convert_conv2d_weight_memory_format(network, torch.channels_last)


def _fitted(learner: "Head | SmallImages", data: Round, generator: torch.Generator) -> MCDropout:
    samples = max(learner.steps * learner.batch, learner.passes * len(data.labels))
    training = Training(epochs=1, batch=learner.batch, samples_per_epoch=samples, lr=learner.lr, decay=learner.decay)
    single = SingleNetwork(learner.network, training, batch=learner.evaluated_at_once)
    return single.fit(data, generator=generator)


KINDS: Final[Mapping[str, type[Head] | type[SmallImages]]] = {"head": Head, "small-images": SmallImages}
"""Our own learners by the names that models give them."""


def described(learner: Head | SmallImages) -> dict[str, object]:
    """Kind, number of channels and parameters: with the weights, all that its models are.

    >>> described(Head(Scale.unit(384)))["kind"], described(Head(Scale.unit(384)))["channels"]
    ('head', 384)
    """
    kind = next(name for name, made in KINDS.items() if isinstance(learner, made))
    parameters = {f.name: getattr(learner, f.name) for f in fields(learner) if f.name != "scale"}
    return {"kind": kind, "channels": len(learner.scale.mean), **parameters}


def restored(description: Mapping[str, object], classes: int, weights: Mapping[str, Tensor]) -> MCDropout:
    """The posterior that had these weights; `description` as by `described`. Raises `ModelError` if they do not fit."""
    parameters = {name: value for name, value in description.items() if name not in ("kind", "channels")}
    try:
        learner = KINDS[str(description["kind"])](Scale.unit(int(str(description["channels"]))), **parameters)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the stored model says strange things about its network ({error}); train it again") from None
    network = learner.network(classes)
    put_weights(network, weights, "the stored model")
    return MCDropout(network, batch=learner.evaluated_at_once)
