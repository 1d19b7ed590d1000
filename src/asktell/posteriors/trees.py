"""Decision trees as plain arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asktell.errors import ModelError
from asktell.posteriors.committee import Committee


@dataclass(frozen=True)
class Tree:
    """A binary tree: at node i go left if x[feature] <= threshold, at a leaf (left is -1) give its probabilities.

    `left`, `right` and `feature` are int64 [nodes], `threshold` float64 [nodes], `values` float64 [nodes, c].
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    values: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities [rows, c]; inputs are flattened and compared as float32, as scikit-learn does.

        Raises `ModelError` for NaN, which scikit-learn may send either way.
        """
        flat = x.reshape(len(x), -1).astype(np.float32)
        if np.isnan(flat).any():
            raise ModelError("the inputs hold NaN; fill in what is missing before a tree sees it")
        node = np.zeros(len(flat), dtype=np.int64)
        rows = np.arange(len(flat))
        while (inner := self.left[node] >= 0).any():
            goes_left = flat[rows, np.maximum(self.feature[node], 0)] <= self.threshold[node]
            node = np.where(inner, np.where(goes_left, self.left[node], self.right[node]), node)
        leaves: np.ndarray = self.values[node]
        return leaves


class Forest(Committee):
    """A committee of trees. Breiman 2001. Trees are arrays, so that it has weights and is saved without a pickle.

    >>> stump = Tree(*map(np.array, ([1, -1, -1], [2, -1, -1], [0, -2, -2], [0.5, 0, 0], [[0.5, 0.5], [1, 0], [0, 1]])))
    >>> Forest([stump]).predict(torch.tensor([[0.0], [1.0]])).exp()
    tensor([[1., 0.],
            [0., 1.]], dtype=torch.float64)
    """

    def __init__(self, trees: Sequence[Tree], *, batch: int = 4096) -> None:
        super().__init__(trees, batch=batch)
        self.trees = tuple(trees)

    def weights(self) -> dict[str, Tensor]:
        """The arrays of all trees end to end, and where each tree ends."""
        ends = np.cumsum([len(tree.left) for tree in self.trees])
        joined = {name: np.concatenate([getattr(tree, name) for tree in self.trees]) for name in Tree.__annotations__}
        return {name: torch.from_numpy(array) for name, array in (joined | {"ends": ends}).items()}

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], *, batch: int = 4096) -> "Forest":
        """The forest that had these weights."""
        ends = weights["ends"].tolist()
        starts = [0, *ends[:-1]]
        arrays = {name: weights[name].numpy() for name in Tree.__annotations__}
        parts = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
        return cls([Tree(**{name: array[part] for name, array in arrays.items()}) for part in parts], batch=batch)
