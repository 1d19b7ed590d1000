"""Two interleaved half circles with noise: the smallest data set on which active learning can be watched."""

from pathlib import Path

import numpy as np
import torch

from asktell.experiments.datasets.dataset import Dataset

SEED = 9


def load(cache: Path | None = None) -> Dataset:
    """800 points in the pool and 200 to test, float32 [n, 2]: make_moons(1000, noise=0.15, random_state=9).

    The split is scikit-learn's stratified 80/20 with the same seed, rows in their original order.
    """
    from sklearn.datasets import make_moons
    from sklearn.model_selection import train_test_split

    points, moon = make_moons(1000, noise=0.15, random_state=SEED)
    inputs, labels = torch.from_numpy(points.astype(np.float32)), torch.from_numpy(moon.astype(np.int64))
    split = train_test_split(np.arange(1000), test_size=200, random_state=SEED, stratify=moon)
    pool, test = (torch.from_numpy(np.sort(part)) for part in split)
    return Dataset(
        name="two-moons",
        classes=("upper", "lower"),
        ids=tuple(str(row) for row in pool.tolist()),
        inputs=inputs[pool],
        labels=labels[pool],
        test_inputs=inputs[test],
        test_labels=labels[test],
        source="scikit-learn make_moons",
    )
