"""A learner that also learns to tell labelled from unlabelled items: variational adversarial active learning."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from asktell.arrays import Scores
from asktell.errors import EvidenceError, ModelError, ProtocolError
from asktell.learners.protocols import Learner, Round
from asktell.posteriors import HasWeights, Posterior, WithUtility, with_utility
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows
from asktell.selection.farthest import check_finite
from asktell.training.autoencoder import (
    Autoencoder,
    Moments,
    adversarial_loss,
    check_shape,
    squared_error,
    variational_loss,
)
from asktell.training.discriminator import MOST, balanced_accuracy, discriminator, discriminator_loss, held_out

_HIDDEN = (512, 512)
_VAE_STEPS = 2  # for each one of the discriminator
_READ_AT_ONCE = 256


@dataclass(frozen=True)
class VAAL:
    """A learner whose posteriors also offer, as `utility`, how sure a discriminator is that an item is unlabelled.

    Sinha, Ebrahimi & Darrell 2019 (arXiv:1904.00370), algorithms 1 and 2. After `learner`, which is fitted as ever,
    from the same random numbers, a beta-VAE learns to reconstruct labelled and unlabelled inputs and to have a
    discriminator D of its latent mean take them all for labelled; D (512 - 512 - 1) learns to tell them apart. `steps`
    times: two steps of the VAE, each on `batch` labelled and `batch` unlabelled rows drawn with replacement, and one of
    D on the last of these. The VAE makes reconstruction + `beta` KL + `adversarial` times the adversary's loss small,
    where reconstruction and KL are sums within an item and means over the batch. Adam with rate `lr`. Everything starts
    afresh in every round, on the device of the learner's network. Inputs are vectors [n, d] or images [n, c, h, w] of
    8 x 8 pixels or more.

    utility = 1 - D(mean of q(z | x)), 0 to 1. A tenth of the unlabelled rows, at most 500, and a tenth of the labelled
    ones are held out of this training. `told` says `vae_error_share`, the squared error on the held-out unlabelled
    rows, reconstructed from the latent mean, over that of the mean input; `discriminator_accuracy`, balanced, of the
    held-out rows; and `discriminator_train_accuracy`, of rows that D saw. Of fewer than ten rows none is held out, and
    what they would have measured is not told. When the pool is used up, with no unlabelled row left, only `learner` is
    fitted, and `utility` raises `EvidenceError`.

    Raises `ModelError` for a round without labelled rows, for one that does not say what is unlabelled, for rows of
    another kind, and if the loss is no longer finite; `RowError` for an input that is not.

    >>> from asktell.learners import SingleNetwork
    >>> from asktell.rows import as_rows
    >>> from asktell.training import Training, two_moons_mlp
    >>> learner = VAAL(SingleNetwork(two_moons_mlp, Training(epochs=2)), steps=2)
    >>> x = as_rows(torch.randn(40, 2))
    >>> round = Round(0, ("low", "high"), as_rows(torch.zeros(2, 2)), torch.tensor([0, 1]), unlabelled=x)
    >>> learner.fit(round, generator=torch.Generator()).utility(x).shape
    torch.Size([40])
    """

    learner: Learner
    steps: int = 600
    batch: int = 64
    latent: int = 32
    beta: float = 1.0
    adversarial: float = 1.0
    lr: float = 5e-4

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "latent"):
            if getattr(self, name) < 1:
                raise ProtocolError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("beta", "adversarial"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ProtocolError(f"{name} must be zero or more, not {getattr(self, name)}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ProtocolError(f"lr must be positive, not {self.lr}")

    @property
    def offers(self) -> frozenset[str]:
        """What the learner offers, and `utility`."""
        return self.learner.offers | {"utility"}

    def fit(self, round: Round, *, generator: torch.Generator) -> WithUtility:  # noqa: A002
        """Fit the learner on the labelled rows, then VAE and discriminator on all."""
        unlabelled = _checked(round)
        posterior = self.learner.fit(round, generator=generator)
        if not len(unlabelled):
            return with_utility(posterior, _used_up)
        key = take_key(generator)
        sides = _Side.of("labelled inputs", round.inputs, key), _Side.of("unlabelled inputs", unlabelled, key)
        game = _Game(self, sides[0], sides[1], _device(posterior), key)
        game.play()
        return with_utility(posterior, game.judge(), told=game.told())


class Judge:
    """1 - D(latent mean) of rows: the probability of being unlabelled, float64 [n], 0 to 1.

    Copies tie whatever they are read with: the logit, of float64, is rounded to single precision, and the sigmoid taken
    of as many numbers always, since its last bit depends on its place among them.
    """

    def __init__(self, autoencoder: Autoencoder, discriminator: nn.Module) -> None:
        self._autoencoder = copy.deepcopy(autoencoder).double().eval().requires_grad_(False)
        self._discriminator = copy.deepcopy(discriminator).double().eval().requires_grad_(False)

    def __call__(self, rows: Rows) -> Scores:
        """The probability of each row."""
        parts = [self._part(rows[at : at + _READ_AT_ONCE]) for at in range(0, len(rows), _READ_AT_ONCE)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.float64)

    def _part(self, rows: Tensor) -> Scores:
        x = self._autoencoder.standardised(rows.detach())
        logits: Tensor = self._discriminator(self._autoencoder.encode(x).mean)
        padded = nn.functional.pad(logits.float().double(), (0, _READ_AT_ONCE - len(rows)))
        return (-padded).sigmoid()[: len(rows)].cpu()


@dataclass(frozen=True)
class _Side:
    """Labelled or unlabelled rows: the numbers of those to train on, and of those held out."""

    name: str
    rows: Rows
    kept: Tensor
    held: Tensor

    @classmethod
    def of(cls, name: str, rows: Rows, key: int) -> "_Side":
        """With a tenth held out."""
        kept, held = held_out(len(rows), derive(key, name))
        return cls(name, rows, kept, held)

    def read(self) -> Iterator[Tensor]:
        """All rows, a few at a time, checked."""
        for start in range(0, len(self.rows), _READ_AT_ONCE):
            part = self.rows[start : start + _READ_AT_ONCE].detach()
            check_finite(part.double().flatten(1).sum(1), self.name, start)
            yield part

    def batch(self, count: int, generator: torch.Generator) -> Tensor:
        """As many rows to train on, drawn with replacement."""
        chosen = self.kept[torch.randint(len(self.kept), (count,), generator=generator)]
        return self.rows.take(chosen.sort().values).detach()

    def seen(self, generator: torch.Generator) -> Tensor:
        """The numbers of some of the rows to train on."""
        return self.kept[torch.randperm(len(self.kept), generator=generator)[:MOST]].sort().values


@dataclass
class _Game:
    """VAE and discriminator, while they are trained against each other."""

    settings: VAAL
    labelled: _Side
    unlabelled: _Side
    device: torch.device
    key: int
    autoencoder: Autoencoder = field(init=False)
    discriminator: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        moments = Moments.of(part for side in (self.labelled, self.unlabelled) for part in side.read())
        with seeded(derive(self.key, "initialise")):
            self.autoencoder = Autoencoder(moments, self.settings.latent).to(self.device)
            self.discriminator = discriminator(self.settings.latent, *_HIDDEN).to(self.device)

    def play(self) -> None:
        """Train both."""
        draws, noise = derive(self.key, "batches"), derive(self.key, "noise")
        of_vae, of_discriminator = (
            torch.optim.Adam(module.parameters(), self.settings.lr) for module in (self.autoencoder, self.discriminator)
        )
        for number in range(self.settings.steps):
            for _ in range(_VAE_STEPS):
                labelled, unlabelled = self._batch(self.labelled, draws), self._batch(self.unlabelled, draws)
                _step(of_vae, self._vae_loss(labelled, unlabelled, noise), number)
            _step(of_discriminator, self._discriminator_loss(labelled, unlabelled), number)
        self.autoencoder.eval()

    def judge(self) -> Judge:
        """What they have come to."""
        return Judge(self.autoencoder, self.discriminator)

    def told(self) -> dict[str, float]:
        """How good they are."""
        seen, held = derive(self.key, "seen"), (self.labelled.held, self.unlabelled.held)
        told = {"discriminator_train_accuracy": self._accuracy(self.labelled.seen(seen), self.unlabelled.seen(seen))}
        if len(held[0]) and len(held[1]):
            told["discriminator_accuracy"] = self._accuracy(*held)
        errors = [self._errors(rows) for rows in torch.split(held[1], _READ_AT_ONCE)]
        ours, plain = (math.fsum(pair[at] for pair in errors) for at in (0, 1))
        return told | ({"vae_error_share": ours / plain} if plain > 0 else {})

    def _batch(self, side: _Side, draws: torch.Generator) -> Tensor:
        return self.autoencoder.standardised(side.batch(self.settings.batch, draws))

    def _vae_loss(self, labelled: Tensor, unlabelled: Tensor, noise: torch.Generator) -> Tensor:
        """What both pools lose, and what the adversary adds."""
        means, losses = [], []
        for x in (labelled, unlabelled):
            encoded = self.autoencoder.encode(x)
            reconstruction = self.autoencoder.decode(encoded.drawn(noise))
            losses.append(variational_loss(x, reconstruction, encoded, beta=self.settings.beta))
            means.append(encoded.mean)
        adversary = adversarial_loss(self.discriminator(means[0]), self.discriminator(means[1]))
        return losses[0] + losses[1] + self.settings.adversarial * adversary

    def _discriminator_loss(self, labelled: Tensor, unlabelled: Tensor) -> Tensor:
        with torch.no_grad():
            means = [self.autoencoder.encode(x).mean for x in (labelled, unlabelled)]
        return discriminator_loss(self.discriminator(means[0]), self.discriminator(means[1]))

    def _accuracy(self, labelled: Tensor, unlabelled: Tensor) -> float:
        """Balanced, of these rows of the two sides."""
        return balanced_accuracy(self._logits(self.labelled, labelled), self._logits(self.unlabelled, unlabelled))

    def _logits(self, side: _Side, rows: Tensor) -> Tensor:
        """Of these rows of a side."""
        with torch.no_grad():
            parts = [self._standardised(side, some) for some in torch.split(rows, _READ_AT_ONCE)]
            return torch.cat([self.discriminator(self.autoencoder.encode(x).mean) for x in parts])

    def _errors(self, rows: Tensor) -> tuple[float, float]:
        """Squared errors of these unlabelled rows, summed: of what the latent mean gives, and of the mean input."""
        x = self._standardised(self.unlabelled, rows)
        with torch.no_grad():
            found = self.autoencoder.decode(self.autoencoder.encode(x).mean)
            return float(squared_error(x, found).double().sum()), float(x.double().square().sum())

    def _standardised(self, side: _Side, rows: Tensor) -> Tensor:
        return self.autoencoder.standardised(side.rows.take(rows).detach())


def _step(optimiser: torch.optim.Optimizer, loss: Tensor, number: int) -> None:
    if not math.isfinite(float(loss.detach())):
        raise ModelError(f"the loss of vaal is {float(loss.detach())} in step {number}; lower lr")
    optimiser.zero_grad()
    own = [weight for group in optimiser.param_groups for weight in group["params"]]
    loss.backward(inputs=own)  # type: ignore[no-untyped-call]
    optimiser.step()


def _checked(data: Round) -> Rows:
    """The unlabelled rows; raises unless the round has them and a labelled one, of a kind that it can reconstruct."""
    unlabelled = data.unlabelled
    if unlabelled is None:
        raise ModelError("vaal tells labelled from unlabelled items and needs both: pass Round(..., unlabelled=...)")
    if not len(data.inputs):
        raise ModelError(f"vaal needs a labelled item; the round has 0 labelled and {len(unlabelled)} unlabelled ones")
    first, other = data.inputs[0:1], unlabelled[0:1]
    if len(unlabelled) and first.shape != other.shape:
        raise ModelError(
            f"labelled rows have shape {list(first.shape[1:])}, unlabelled ones {list(other.shape[1:])}; "
            "take both from one source"
        )
    if not (first.is_floating_point() or first.dtype == torch.uint8):
        raise ModelError(f"vaal reconstructs its inputs, which must be floating point or uint8, not {first.dtype}")
    check_shape(tuple(first.shape[1:]))
    return unlabelled


def _used_up(rows: Rows) -> Scores:
    raise EvidenceError(
        f"nothing was unlabelled when vaal was fitted: it cannot say which of {len(rows)} items are unlike the others"
    )


def _device(posterior: Posterior) -> torch.device:
    """Where the posterior's weights are; the CPU if it has none."""
    weights = posterior.weights().values() if isinstance(posterior, HasWeights) else ()
    return next((weight.device for weight in weights), torch.device("cpu"))
