"""Clusters of rows by k-means, the same whatever the order of the rows."""

import warnings

import torch
from torch import Tensor

from asktell.randomness import take_key

_FEW = 50  # up to so many clusters every row counts in every step
_SOME = 5_000  # otherwise so many rows do


def distinct_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows in an order of their own, and which of them each row is."""
    found, point = torch.unique(rows, dim=0, return_inverse=True)
    return found, point


def k_means(points: Tensor, mass: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(centres [k, d], cluster of every point [m]) of at most `count` clusters of points of these masses.

    k-means++ starts, Lloyd iterates (scikit-learn), on one thread: several would add up in no fixed order.
    """
    from sklearn.cluster import KMeans  # a second of import that the other selections do not need

    return _fitted(KMeans(min(count, len(points)), n_init=1, random_state=take_key(generator) % 2**32), points, mass)


def clustered(points: Tensor, mass: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The cluster of every point [m]; of more than 50 clusters by steps of 5,000 points, which leave some empty."""
    if count <= _FEW:
        return k_means(points, mass, count, generator)[1]
    from sklearn.cluster import MiniBatchKMeans

    seed = take_key(generator) % 2**32
    means = MiniBatchKMeans(min(count, len(points)), batch_size=_SOME, n_init=1, random_state=seed)
    return _fitted(means, points, mass)[1]


def _fitted(means: object, points: Tensor, mass: Tensor) -> tuple[Tensor, Tensor]:
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # points that differ by rounding alone
        means.fit(points.numpy(), sample_weight=mass.numpy())  # type: ignore[attr-defined]
    centres, labels = means.cluster_centers_, means.labels_  # type: ignore[attr-defined]
    return torch.from_numpy(centres), torch.from_numpy(labels).long()
