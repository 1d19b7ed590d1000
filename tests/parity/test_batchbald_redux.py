"""The same numbers as batchbald-redux 2.0.5, where that is right: BALD, and BatchBALD while the joint is exact.

It cannot take exact zeros (they become NaN) and its sampled phase is another estimator, so neither is compared.
"""

import pytest
import torch
from torch import Tensor

from asktell.randomness import derive
from asktell.scores import bald
from asktell.selection import batchbald

redux = pytest.importorskip("batchbald_redux.batchbald", reason="batchbald-redux 2.0.5 is not installed: make setup")


def log_probs(seed: int) -> Tensor:
    return (3 * torch.randn(60, 8, 4, generator=derive(seed), dtype=torch.float64)).log_softmax(-1)


@pytest.mark.parametrize("seed", range(3))
def test_bald(seed: int) -> None:
    theirs = redux.get_bald_batch(log_probs(seed), 60, dtype=torch.double, device="cpu")
    assert theirs.scores == pytest.approx(bald(log_probs(seed))[theirs.indices].tolist(), abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_batchbald_in_its_exact_phase(seed: int) -> None:
    theirs = redux.get_batchbald_batch(log_probs(seed), 4, 10_000, dtype=torch.double, device="cpu")
    ours = batchbald(log_probs(seed), 4, saturation=0.0, generator=derive(seed))
    assert ours.indices.tolist() == theirs.indices
    assert ours.scores.cumsum(0).tolist() == pytest.approx(theirs.scores, abs=1e-10)
