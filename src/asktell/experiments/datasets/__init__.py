"""Data sets by name: MNIST, Fashion-MNIST, scikit-learn's digits, letters, two moons; and pools made from them.

    mnist            train[5000:] as the pool (55,000 images 28x28), 10,000 to test; ids are row numbers of train
    fashion-mnist    60,000 images 28x28 of clothes in the pool, 10,000 to test
    digits           1,797 digits 8x8: 1,297 in the pool, 500 to test
    letter           15,000 capitals as 16 numbers each, 5,000 to test
    mnist-efficientnet  the first 10,000 of mnist's pool as 1,280 features of EfficientNet-Lite0, 10,000 to test
    two-moons        800 points in the plane, 200 to test

Images are float32 [n, 1, height, width] in 0..1. Normalising is the experiment's matter: `normalised`.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from asktell.errors import DataError
from asktell.experiments.datasets import digits, fashion, features, letter, mnist, moons
from asktell.experiments.datasets.dataset import Dataset, Maker, normalised, repeated

__all__ = ["Dataset", "load", "names", "normalised", "repeated"]

_MAKERS: Mapping[str, Maker] = MappingProxyType(
    {
        "digits": digits.load,
        "fashion-mnist": fashion.load,
        "letter": letter.load,
        "mnist": mnist.load,
        "mnist-efficientnet": features.load,
        "two-moons": moons.load,
    }
)


def names() -> tuple[str, ...]:
    """What `load` knows.

    >>> names()
    ('digits', 'fashion-mnist', 'letter', 'mnist', 'mnist-efficientnet', 'two-moons')
    """
    return tuple(sorted(_MAKERS))


def load(name: str, *, cache: Path | str | None = None) -> Dataset:
    """The data set `name`; what had to be downloaded is kept under `cache`.

    Without `cache` the folder is $ASKTELL_CACHE, else $XDG_CACHE_HOME/asktell, else ~/.cache/asktell.
    Raises `DataError` for an unknown name, and for data that cannot be had or is damaged.
    """
    if name not in _MAKERS:
        raise DataError(f"there is no data set {name!r}; there are {', '.join(names())}")
    return _MAKERS[name](None if cache is None else Path(cache))
