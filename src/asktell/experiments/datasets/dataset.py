"""What a data set is, and pools made from one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from asktell.errors import DataError
from asktell.randomness import derive

PoolInputs = Float32[Tensor, "n *shape"]
PoolLabels = Int64[Tensor, " n"]
TestInputs = Float32[Tensor, "t *shape"]
TestLabels = Int64[Tensor, " t"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A pool with its true labels, and a test set.

    `ids` are row numbers in the original files, as text; labels are numbers of `classes`; `source` says where
    the data came from.
    """

    name: str
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    inputs: PoolInputs
    labels: PoolLabels
    test_inputs: TestInputs
    test_labels: TestLabels
    source: str

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.inputs) == len(self.labels):
            raise DataError(
                f"{self.name}: {len(self.ids)} ids, {len(self.inputs)} inputs and {len(self.labels)} labels "
                "must be as many"
            )

    def __len__(self) -> int:
        """How many items the pool has."""
        return len(self.ids)


Maker = Callable[[Path | None], Dataset]
"""A data set from its cache folder (None: the user's)."""


def normalised(dataset: Dataset, *, mean: float, std: float) -> Dataset:
    """`dataset` with (inputs - mean) / std, in the pool and in the test set. For MNIST: 0.1307 and 0.3081.

    Raises `DataError` unless `std` is positive.
    """
    if not std > 0:
        raise DataError(f"{dataset.name}: std must be positive, not {std}")
    return replace(dataset, inputs=(dataset.inputs - mean) / std, test_inputs=(dataset.test_inputs - mean) / std)


def repeated(dataset: Dataset, *, copies: int, noise: float, seed: int) -> Dataset:
    """The pool `copies` times over, each copy (the first too) with its own fixed N(0, noise) noise.

    With MNIST normalised first and noise 0.1 this is RepeatedMNIST (Kirsch et al. 2019, arXiv:1906.08158).
    The noise of a copy depends on (seed, copy) only. Copy j of item "17" is "17#j"; the test set stays.
    Raises `DataError` for fewer than one copy or negative noise.
    """
    if copies < 1 or not noise >= 0:
        raise DataError(f"a repeated pool needs copies >= 1 and noise >= 0, not {copies} and {noise}")
    return replace(
        dataset,
        name=f"{dataset.name} x{copies}",
        ids=tuple(f"{item}#{copy}" for copy in range(copies) for item in dataset.ids),
        inputs=torch.cat([_noisy(dataset.inputs, noise, seed, copy) for copy in range(copies)]),
        labels=dataset.labels.repeat(copies),
    )


def _noisy(inputs: Tensor, noise: float, seed: int, copy: int) -> Tensor:
    generator = derive(seed, "repeated", copy)
    return inputs + noise * torch.randn(inputs.shape, generator=generator)
