"""Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): clothes in the format of MNIST, 28x28 and grey.

From Debian's package, which is downloaded and unpacked, not installed. The pool is the 60,000 training images, with
ids "0" to "59999".
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor

from asktell.errors import DataError
from asktell.experiments.datasets import cache as caches
from asktell.experiments.datasets import idx
from asktell.experiments.datasets.cache import Arrays
from asktell.experiments.datasets.dataset import Dataset
from asktell.experiments.datasets.mnist import FILES
from asktell.pools.fetch import Package, cache_folder, fetch

VARIABLE: Final = "ASKTELL_FASHION_MNIST_DIR"
CLASSES: Final = (
    "t-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
SHA256: Mapping[str, str] = MappingProxyType(
    {
        "images": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        "labels": "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        "test_images": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        "test_labels": "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
    }
)
"""sha256 of the decoded uint8 arrays."""

_PLACE: Final = Path("usr/share/datasets/fashion-mnist")


def _command() -> list[str]:
    program = shutil.which("apt-get")
    if program is None or shutil.which("dpkg-deb") is None:
        raise DataError("apt-get and dpkg-deb are not installed")
    return [program, "download", "--quiet", "dataset-fashion-mnist=0.0~git20200523.55506a9-1"]


DEBIAN: Final = Package(
    "Debian dataset-fashion-mnist",
    _command,
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)


def load(cache: Path | None = None) -> Dataset:
    """Fashion-MNIST from $ASKTELL_FASHION_MNIST_DIR if that is set, else from the cache, else from Debian.

    Raises `DataError` that says what was tried, why it failed, and what to do.
    """
    arrays, source = _had(cache, SHA256)
    return Dataset(
        name="fashion-mnist",
        classes=CLASSES,
        ids=tuple(str(row) for row in range(len(arrays["labels"]))),
        inputs=_images(arrays["images"]),
        labels=torch.from_numpy(arrays["labels"].astype(np.int64)),
        test_inputs=_images(arrays["test_images"]),
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        source=source,
    )


def clothes(cache: Path | None = None) -> Tensor:
    """The 10,000 images to test alone, float32 [10000, 1, 28, 28] in 0..1. Raises `DataError` as `load` does."""
    arrays, _ = _had(cache, ["test_images"])
    return _images(arrays["test_images"])


def from_folder(folder: Path, names: Collection[str] = tuple(SHA256)) -> Arrays:
    """The arrays called `names` from the idx files in `folder`, gzipped or not.

    Raises `DataError` if one is missing or damaged, or if they are not Fashion-MNIST.
    """
    return _checked({name: idx.read(folder, FILES[name]) for name in names}, f"the files in {folder}")


def download() -> tuple[Arrays, str]:
    """(arrays, source) from Debian's package. Raises `DataError` where it cannot be had."""
    with tempfile.TemporaryDirectory(prefix="asktell-") as name:
        try:
            arrays = _unpacked(fetch(DEBIAN, Path(name)), Path(name) / "unpacked")
        except DataError as error:
            raise DataError(
                f"Fashion-MNIST cannot be had. Tried: {error}. Be online on Debian or Ubuntu after apt-get update, or "
                f"put {', '.join(FILES.values())} (gzipped or not) into a folder and set {VARIABLE} to it"
            ) from error
    return arrays, DEBIAN.source


def _had(cache: Path | None, names: Collection[str]) -> tuple[Arrays, str]:
    """(arrays, source) from wherever they are."""
    if own := os.environ.get(VARIABLE):
        return from_folder(Path(own).expanduser(), names), f"files in {own}"
    path = (cache_folder() if cache is None else cache) / "fashion-mnist.npz"
    if not path.exists():
        caches.write(path, *download())
    return caches.read(path, {name: SHA256[name] for name in names})


def _unpacked(archive: Path, folder: Path) -> Arrays:
    try:
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(f"{DEBIAN.source}: {archive.name} cannot be unpacked ({error})") from error
    return from_folder(folder / _PLACE)


def _checked(arrays: Arrays, source: str) -> Arrays:
    expected = {name: SHA256[name] for name in arrays}
    if wrong := caches.differing(arrays, expected):
        raise DataError(f"{source}: not Fashion-MNIST (wrong sha256 of {', '.join(FILES[name] for name in wrong)})")
    return arrays


def _images(grey: np.ndarray) -> Tensor:
    return torch.from_numpy(grey.astype(np.float32)).unsqueeze_(1).div_(255)
