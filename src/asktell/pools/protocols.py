"""What an embedder is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

Embeddings = Float32[np.ndarray, "n d"]


@runtime_checkable
class Embedder(Protocol):
    """Turns what items are into numbers, one row each."""

    @property
    def name(self) -> str:
        """Names the rows: two embedders that would give different ones have different names. Fit for a file name."""
        ...

    @property
    def width(self) -> int:
        """Numbers in a row."""
        ...

    def embed(self, values: Sequence[str], /) -> Embeddings:
        """One row per value, in the order given.

        Raises `ContentError` if the content of an item cannot be used, and another `DataError` if none can be, because
        the folder or the file that holds them is gone.
        """
        ...
