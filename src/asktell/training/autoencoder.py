"""A variational autoencoder of images or vectors, and the losses of one that has an adversary."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from asktell.errors import ModelError

LEAST_SIDE = 8
"""Images of fewer pixels on a side are refused."""
_LAST_SIDE = 7  # images are halved until they are no larger
_CHANNELS = (16, 32, 64)  # after each halving; more of them keep the last
_HIDDEN = (256, 256)

Latent = Float[Tensor, "n z"]
PerItem = Float[Tensor, " n"]


class Encoded(NamedTuple):
    """q(z | x) = N(mean, exp(log_variance)) of every row, each [n, z]."""

    mean: Latent
    log_variance: Latent

    def drawn(self, generator: torch.Generator) -> Latent:
        """One draw of z for every row; the noise is made on the CPU."""
        noise = torch.randn(self.mean.shape, generator=generator).to(self.mean)
        return self.mean + (self.log_variance / 2).exp() * noise


class Moments(NamedTuple):
    """Of a row: its mean, and its scale along the first axis: of each channel of an image, of each number of a vector.

    The scale is the root mean square difference from the mean; 1 where there is none.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, parts: Iterable[Tensor]) -> "Moments":
        """Over the rows of all parts, each [rows, ...], in float64; float32.

        >>> Moments.of([torch.tensor([[1.0, 5.0]]), torch.tensor([[3.0, 5.0]])])
        Moments(mean=tensor([2., 5.]), scale=tensor([1., 1.]))
        """
        first, total, squares, count = torch.zeros(()), torch.zeros(()), torch.zeros(()), 0
        for part in parts:
            x = part.detach().double().cpu()
            first = first if count else x[0]
            total, squares = total + (x - first).sum(0), squares + (x - first).square().sum(0)
            count += len(x)
        shift = total / count
        variance = (squares / count - shift.square()).clamp_min(0.0)
        scale = (
            variance.mean(tuple(range(1, variance.ndim)), keepdim=True).sqrt() if variance.ndim > 1 else variance.sqrt()
        )
        return cls((first + shift).float(), torch.where(scale > 0, scale, 1.0).float())


class Autoencoder(nn.Module):
    """A variational autoencoder with `latent` dimensions, for rows of one shape, which it standardises by `moments`.

    Images [c, h, w] of 8 x 8 pixels or more go through convolutions of stride 2 with 16, 32, 64, 64, ... channels
    until they are 7 x 7 or smaller, and back through transposed ones; vectors [d] through two hidden layers of 256. No
    normalisation layers: what a row gets depends on no other row. Kingma & Welling 2014 (arXiv:1312.6114); the
    architectures are our own.

    Raises `ModelError` for rows of another kind.

    >>> x = torch.rand(5, 1, 28, 28)
    >>> autoencoder = Autoencoder(Moments.of([x]), latent=32)
    >>> autoencoder.decode(autoencoder.encode(autoencoder.standardised(x)).mean).shape
    torch.Size([5, 1, 28, 28])
    """

    def __init__(self, moments: Moments, latent: int) -> None:
        super().__init__()
        shape = tuple(moments.mean.shape)
        check_shape(shape)
        self.register_buffer("mean", moments.mean)
        self.register_buffer("scale", moments.scale)
        self.encoder, self.decoder = _convolutional(shape, latent) if len(shape) == 3 else _dense(shape[0], latent)

    def standardised(self, x: Tensor) -> Tensor:
        """(x - mean) / scale, on the network's device and in its dtype."""
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        return (x.to(mean) - mean) / scale

    def encode(self, x: Tensor) -> Encoded:
        """q(z | x) of standardised rows."""
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return Encoded(mean, log_variance)

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z), standardised."""
        x: Tensor = self.decoder(z)
        return x


def squared_error(x: Tensor, reconstruction: Tensor) -> PerItem:
    """|x - reconstruction|^2 of every row: summed over its numbers.

    It is -log p(x | z) of a Gaussian of variance 1/2, but for a constant.

    >>> squared_error(torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2))
    tensor([4., 4.])
    """
    return (x - reconstruction).square().flatten(1).sum(1)


def divergence(encoded: Encoded) -> PerItem:
    """KL(q(z | x) || N(0, 1)) of every row, in nats: summed over the dimensions of z.

    Kingma & Welling 2014, appendix B (arXiv:1312.6114).

    >>> divergence(Encoded(torch.ones(1, 2), torch.zeros(1, 2)))
    tensor([1.])
    """
    mean, log_variance = encoded
    return (mean.square() + log_variance.exp() - log_variance - 1).sum(1) / 2


def variational_loss(x: Tensor, reconstruction: Tensor, encoded: Encoded, *, beta: float) -> Float[Tensor, ""]:
    """Mean over the rows of `squared_error` + beta * `divergence`, both sums within a row.

    Sinha et al. 2019, eq. 1 (arXiv:1904.00370), the part of one pool.
    """
    return (squared_error(x, reconstruction) + beta * divergence(encoded)).mean()


def adversarial_loss(labelled: Tensor, unlabelled: Tensor) -> Float[Tensor, ""]:
    """-mean log D of the labelled - mean log D of the unlabelled, from logits: small if all are taken for labelled.

    Sinha et al. 2019, eq. 2 (arXiv:1904.00370).
    """
    return -nn.functional.logsigmoid(labelled).mean() - nn.functional.logsigmoid(unlabelled).mean()


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `ModelError` unless rows of this shape are vectors [d] or images [c, h, w] of 8 x 8 pixels or more."""
    if len(shape) == 1 and shape[0] > 0:
        return
    if len(shape) == 3 and shape[0] > 0 and min(shape[1:]) >= LEAST_SIDE:
        return
    raise ModelError(
        f"the autoencoder takes vectors [d] and images [c, h, w] of {LEAST_SIDE} x {LEAST_SIDE} pixels or more, "
        f"not rows of shape {list(shape)}; reshape them"
    )


def _dense(numbers: int, latent: int) -> tuple[nn.Module, nn.Module]:
    return _layered(numbers, *_HIDDEN, 2 * latent), _layered(latent, *reversed(_HIDDEN), numbers)


def _layered(*widths: int) -> nn.Sequential:
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def _convolutional(shape: tuple[int, ...], latent: int) -> tuple[nn.Module, nn.Module]:
    """Encoder and decoder; the decoder's sizes are the encoder's, backwards."""
    channels, sides = [shape[0]], [shape[1:]]
    while max(sides[-1]) > _LAST_SIDE:
        channels.append(_CHANNELS[min(len(channels), len(_CHANNELS)) - 1])
        sides.append(tuple(-(-side // 2) for side in sides[-1]))
    flat = channels[-1] * math.prod(sides[-1])
    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = [nn.Linear(latent, flat), nn.Unflatten(1, (channels[-1], *sides[-1]))]
    for few, many in pairwise(channels):
        encoder += [nn.Conv2d(few, many, 3, stride=2, padding=1), nn.ReLU()]
    for large, small, few, many in reversed([*zip(sides, sides[1:], channels, channels[1:], strict=False)]):
        odd = large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1
        decoder += [nn.ReLU(), nn.ConvTranspose2d(many, few, 3, stride=2, padding=1, output_padding=odd)]
    return nn.Sequential(*encoder, nn.Flatten(), nn.Linear(flat, 2 * latent)), nn.Sequential(*decoder)
