"""Functions as draws, and trees as arrays."""

import numpy as np
import pytest
import torch

from asktell.errors import ModelError
from asktell.posteriors import Committee, HasWeights, model_id
from asktell.posteriors.committee import Predict
from asktell.randomness import derive
from asktell.scores import bald

X = torch.arange(5, dtype=torch.float64).unsqueeze(1)


def constant(*p: float) -> Predict:
    return lambda x: np.tile(p, (len(x), 1))


def test_probabilities_of_zero_survive() -> None:
    committee = Committee([constant(1, 0, 0), constant(0, 1, 0)])
    values = committee.draw(2, generator=derive(0)).log_probs(X)
    assert values.exp().tolist() == [[[1, 0, 0], [0, 1, 0]]] * 5
    assert bald(values).tolist() == pytest.approx([np.log(2)] * 5)
    assert committee.predict(X).exp().tolist() == [[0.5, 0.5, 0]] * 5


def test_members_get_arrays_in_batches_and_may_spoil_them() -> None:
    seen = []

    def spoil(x: np.ndarray) -> list[list[float]]:
        seen.append(x[:, 0].tolist())
        x[:] = np.nan
        return [[0.3, 0.7]] * len(x)

    rows = X.clone()
    Committee([spoil, spoil], batch=2).predict(rows)
    assert seen == [[0, 1], [0, 1], [2, 3], [2, 3], [4], [4]]
    assert torch.equal(rows, X)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ((0.5, 0.6), r"member 1 returned no probabilities for row 3: \[0.5, 0.6\]"),
        ((-0.5, 1.5), "zero or more and sum to one"),
        ((np.nan, 1.0), "member 1 returned no probabilities for row 3"),
        ((1.0,), r"member 1 returned shape \[2, 1\] for 2 rows"),
        ((0.2, 0.3, 0.5), "member 1 has 3 classes, member 0 has 2"),
    ],
)
def test_what_are_no_probabilities(p: tuple[float, ...], words: str) -> None:
    def wrong_from_row_three(x: np.ndarray) -> np.ndarray:
        tiled: np.ndarray = np.tile(p if x[-1, 0] >= 3 else (0.5, 0.5), (len(x), 1))
        if x[-1, 0] >= 3 and x[0, 0] < 3 and len(p) == 2:
            tiled[0] = 0.5
        return tiled

    with pytest.raises(ModelError, match=words):
        Committee([constant(0.5, 0.5), wrong_from_row_three], batch=2).predict(X)


def test_committees_that_cannot_be() -> None:
    with pytest.raises(ModelError, match="one member or more"):
        Committee([])
    with pytest.raises(ModelError, match="batch must be at least 1"):
        Committee([constant(0.5, 0.5)], batch=0)
    plain = Committee([constant(0.5, 0.5)])
    assert not isinstance(plain, HasWeights)
    with pytest.raises(ModelError, match="no weights"):
        model_id(plain)
