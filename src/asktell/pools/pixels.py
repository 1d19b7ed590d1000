"""Images as they are, made small: for a small network that is trained from scratch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from asktell.errors import DataError
from asktell.pools.images import folder, open_image
from asktell.pools.protocols import Embeddings

Colours = Literal["grey", "rgb"]
_SIZE: int = 28


class Pixels:
    """Images of `size` x `size` pixels as rows of numbers in 0..1, channel by channel, each row by row.

    An image that has this size already keeps its levels exactly; others are resized, whatever their proportions.
    `values` are paths relative to `root`. Raises `DataError` for a size below 1 or other colours.
    """

    def __init__(self, root: Path | str, *, size: int = _SIZE, colours: Colours = "grey") -> None:
        if size < 1 or colours not in ("grey", "rgb"):
            raise DataError(f"pixels need a size of 1 or more and 'grey' or 'rgb', not {size} and {colours!r}")
        self.root, self.size, self.colours = Path(root), size, colours
        self.shape = (1 if colours == "grey" else 3, size, size)
        self.width = self.shape[0] * size * size

    @property
    def name(self) -> str:
        """With what differs from 28 pixels of grey."""
        return "-".join(["pixels", *["rgb"] * (self.colours == "rgb"), *[str(self.size)] * (self.size != _SIZE)])

    def embed(self, values: Sequence[str], /) -> Embeddings:
        """The images' pixels."""
        root = folder(self.root)
        found = np.empty((len(values), *self.shape), np.float32)
        for place, value in enumerate(values):
            found[place] = resized(root, value, self.size, self.colours) / np.float32(255)
        return found.reshape(len(values), self.width)


def resized(root: Path, value: str, size: int, colours: Colours) -> np.ndarray:
    """An image as uint8 [channels, size, size], by bicubic interpolation. Raises `ContentError`."""
    from PIL import Image

    image = open_image(root, value)
    if colours == "grey":
        image = image.convert("L")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    levels = np.asarray(image)
    return levels[None] if colours == "grey" else levels.transpose(2, 0, 1)
