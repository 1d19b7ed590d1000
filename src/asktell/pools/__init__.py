"""Where items come from, and what a model sees of them.

`sources` finds items in folders of images, tables of texts and files of features; `images` opens and serves them;
embedders turn them into numbers once, and `Embedded` keeps those numbers between runs.

Every name is imported when it is first used: finding and serving items needs neither torch nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asktell.pools.efficientnet import EfficientNetLite0
    from asktell.pools.embedded import Embedded
    from asktell.pools.features import Features
    from asktell.pools.found import Found
    from asktell.pools.images import image_file, open_image
    from asktell.pools.minilm import MiniLM
    from asktell.pools.pixels import Pixels
    from asktell.pools.protocols import Embedder
    from asktell.pools.sources import read_features, read_images, read_table
    from asktell.pools.tfidf import TfIdf

_HOMES = {
    "EfficientNetLite0": "efficientnet",
    "Embedded": "embedded",
    "Embedder": "protocols",
    "Features": "features",
    "Found": "found",
    "MiniLM": "minilm",
    "Pixels": "pixels",
    "TfIdf": "tfidf",
    "image_file": "images",
    "open_image": "images",
    "read_features": "sources",
    "read_images": "sources",
    "read_table": "sources",
}

__all__ = [
    "EfficientNetLite0",
    "Embedded",
    "Embedder",
    "Features",
    "Found",
    "MiniLM",
    "Pixels",
    "TfIdf",
    "image_file",
    "open_image",
    "read_features",
    "read_images",
    "read_table",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"asktell.pools.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'asktell.pools' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
