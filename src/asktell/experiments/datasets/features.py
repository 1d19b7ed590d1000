"""MNIST as a network trained on ImageNet sees it: what is left to learn is a small head.

EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) on the digits enlarged to 96 x 96 pixels, 1,280 numbers each.
They are computed once, in some minutes, and kept in the cache.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from asktell.experiments.datasets import cache as caches
from asktell.experiments.datasets import mnist
from asktell.experiments.datasets.dataset import Dataset
from asktell.pools.efficientnet import features, pretrained
from asktell.pools.fetch import cache_folder

POOL: Final = 10_000
NAME: Final = "mnist-efficientnet"
SIZE: Final = 96
_BATCH: Final = 32


def load(cache: Path | None = None) -> Dataset:
    """The first 10,000 digits of MNIST's pool, and all 10,000 to test, float32 [n, 1280]; ids are MNIST's.

    Raises `DataError` where MNIST or the network's weights cannot be had.
    """
    digits = mnist.load(cache)
    path = (cache_folder() if cache is None else cache) / f"{NAME}.npz"
    if not path.exists():
        caches.write(path, _computed(digits), f"EfficientNet-Lite0 at 96 pixels on MNIST from {digits.source}")
    arrays, source = caches.made(path, ("features", "test_features"))
    return Dataset(
        name=NAME,
        classes=digits.classes,
        ids=digits.ids[:POOL],
        inputs=torch.from_numpy(arrays["features"]),
        labels=digits.labels[:POOL],
        test_inputs=torch.from_numpy(arrays["test_features"]),
        test_labels=digits.test_labels,
        source=source,
    )


def _computed(digits: Dataset) -> caches.Arrays:
    from rich.progress import track

    network = pretrained()
    pool, test = digits.inputs[:POOL], digits.test_inputs
    parts = [images for rows in (pool, test) for images in torch.split(rows, _BATCH)]
    found = np.concatenate([features(network, _levels(images)) for images in track(parts, NAME)])
    return {"features": found[: len(pool)], "test_features": found[len(pool) :]}


def _levels(images: Tensor) -> np.ndarray:
    """Grey images [n, 1, height, width] in 0..1 as uint8 [n, 3, 96, 96], by bicubic interpolation."""
    from PIL import Image

    grey = (images[:, 0] * 255).round().byte().numpy()
    large = [np.asarray(Image.fromarray(one).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for one in grey]
    return np.repeat(np.stack(large)[:, None], 3, axis=1)
