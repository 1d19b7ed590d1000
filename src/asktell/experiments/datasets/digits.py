"""scikit-learn's 1,797 digits of 8x8 grey levels, split once and for all."""

from pathlib import Path

import numpy as np
import torch

from asktell.experiments.datasets.dataset import Dataset

TEST_SIZE = 500
SPLIT_SEED = 0


def load(cache: Path | None = None) -> Dataset:
    """1,297 digits in the pool and 500 to test, float32 [n, 1, 8, 8] in 0..1.

    The split is scikit-learn's stratified one with seed 0, rows in their original order.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    inputs = torch.from_numpy(digits.images.astype(np.float32) / 16).unsqueeze(1)
    labels = torch.from_numpy(digits.target.astype(np.int64))
    rows = np.arange(len(labels))
    split = train_test_split(rows, test_size=TEST_SIZE, random_state=SPLIT_SEED, stratify=digits.target)
    pool, test = (torch.from_numpy(np.sort(part)) for part in split)
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        ids=tuple(str(row) for row in pool.tolist()),
        inputs=inputs[pool],
        labels=labels[pool],
        test_inputs=inputs[test],
        test_labels=labels[test],
        source="scikit-learn load_digits",
    )
