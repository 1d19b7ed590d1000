"""EPIG equals its definition and keeps its bounds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell import scores
from asktell.errors import DegenerateWarning, EvidenceError
from asktell.selection import batchbald


def random_log_probs(n: int, k: int, c: int, seed: int, sharpness: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(n, k, c, generator=generator, dtype=torch.float64)).log_softmax(-1)


def mutual_information(x: Tensor, t: Tensor) -> float:
    """I[y; y_t] from the joint table mean_k p(y | k) p(y_t | k), cell by cell."""
    k, c = x.shape
    total = 0.0
    for a in range(c):
        for b in range(c):
            joint = sum(float(x[d, a] * t[d, b]) for d in range(k)) / k
            alone = float(x[:, a].mean() * t[:, b].mean())
            total += joint * math.log(joint / alone) if joint > 0 else 0.0
    return total


@given(seed=st.integers(0, 1000), k=st.integers(2, 5), c=st.integers(2, 4))
def test_epig_is_the_mean_information_over_targets(seed: int, k: int, c: int) -> None:
    pool, targets = random_log_probs(3, k, c, seed), random_log_probs(4, k, c, seed + 1)
    expected = [sum(mutual_information(x, t) for t in targets.exp()) / len(targets) for x in pool.exp()]
    torch.testing.assert_close(scores.epig(pool, targets), torch.tensor(expected).double(), rtol=0, atol=1e-7)


@given(seed=st.integers(0, 1000))
def test_epig_is_between_zero_and_bald(seed: int) -> None:
    pool, targets = random_log_probs(5, 4, 3, seed), random_log_probs(6, 4, 3, seed + 1)
    values = scores.epig(pool, targets)
    assert bool((values >= 0).all())
    assert bool((values <= scores.bald(pool) + 1e-12).all())


@given(seed=st.integers(0, 1000))
def test_epig_is_what_two_balds_count_twice(seed: int) -> None:
    """I(y_i; y_j) = BALD_i + BALD_j - a({i, j})."""
    pair = random_log_probs(2, 5, 3, seed)
    both = batchbald(pair, 2, saturation=0.0, generator=torch.Generator()).scores.sum()
    overlap = scores.bald(pair).sum() - both
    assert scores.epig(pair[:1], pair[1:]).item() == pytest.approx(overlap.item(), abs=1e-10)


def test_one_draw_says_nothing() -> None:
    pool = random_log_probs(3, 1, 2, 0)
    with pytest.warns(DegenerateWarning, match="single draw"):
        assert scores.epig(pool, pool).tolist() == [0, 0, 0]


@pytest.mark.usefixtures("without_shape_checks")
def test_other_draws_or_no_targets_are_refused() -> None:
    pool = random_log_probs(3, 4, 2, 0)
    with pytest.raises(EvidenceError, match="4 draws and target_log_probs 2"):
        scores.epig(pool, pool[:, :2])
    with pytest.raises(EvidenceError, match="holds no target"):
        scores.epig(pool, pool[:0])


def test_many_rows_and_targets_come_out_as_few() -> None:
    pool, targets = random_log_probs(1_300, 3, 8, 0), random_log_probs(300, 3, 8, 1)
    torch.testing.assert_close(scores.epig(pool, targets)[1_020:1_030], scores.epig(pool[1_020:1_030], targets))
