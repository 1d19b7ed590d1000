"""What the labels of a batch tell together: equals enumeration, keeps its laws, and refuses what it cannot measure."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from asktell import scores
from asktell.errors import EvidenceError, RowError, SelectionError
from asktell.randomness import derive
from asktell.selection import batchbald
from asktell.selection.joint import joint_information


def predictions(n: int, k: int, c: int, seed: int, sharpness: float = 3.0) -> Tensor:
    generator = derive(seed, "joint")
    return (sharpness * torch.randn(n, k, c, generator=generator, dtype=torch.float64)).log_softmax(-1)


def enumerated(log_probs: Tensor) -> float:
    """H[y_1..y_n] - mean_k sum_i H[y_i | k], over every labelling, without any algebra."""
    p = log_probs.exp()
    n, k, c = p.shape
    masses = [
        sum(math.prod(float(p[i, d, y[i]]) for i in range(n)) for d in range(k)) / k
        for y in product(range(c), repeat=n)
    ]
    joint = -sum(mass * math.log(mass) for mass in masses if mass > 0)
    return joint + float(torch.xlogy(p, p).sum()) / k


@given(seed=st.integers(0, 500), k=st.integers(1, 6), c=st.integers(2, 3), sharpness=st.sampled_from([0.5, 3.0, 60.0]))
def test_it_equals_enumeration_for_every_prefix(seed: int, k: int, c: int, sharpness: float) -> None:
    log_probs = predictions(4, k, c, seed, sharpness)
    nats = joint_information(log_probs, generator=derive(0))
    assert nats.tolist() == pytest.approx([enumerated(log_probs[:i]) for i in range(1, 5)], abs=1e-10)


def test_particles_agree_with_enumeration_within_their_error() -> None:
    """Four standard errors over 40 runs of 200 particles, far too few to enumerate."""
    log_probs = predictions(6, 10, 3, 1, sharpness=1.5)
    exact = joint_information(log_probs, particles=3**6, generator=derive(0))
    runs = torch.stack([joint_information(log_probs, particles=80, generator=derive(run)) for run in range(40)])
    error = runs.std(0) / math.sqrt(len(runs))
    assert bool(((runs.mean(0) - exact).abs() <= 4 * error + 1e-12).all())
    assert float(error[-1]) > 0


@given(seed=st.integers(0, 300), particles=st.sampled_from([1, 50, 2_000]))
def test_it_is_between_zero_and_its_ceilings_and_rises(seed: int, particles: int) -> None:
    log_probs = predictions(12, 7, 4, seed)
    nats = joint_information(log_probs, particles=particles, generator=derive(seed))
    assert bool(((nats >= 0) & (nats <= math.log(7) + 1e-12)).all())
    assert nats[0].item() == pytest.approx(scores.bald(log_probs)[0].item(), abs=1e-12)
    slack = 4 * math.log(7) / math.sqrt(max(particles, 7))
    assert bool((nats <= scores.bald(log_probs).cumsum(0) + slack).all())
    assert bool((nats.diff() >= -slack).all())


def test_the_order_of_a_batch_changes_nothing_and_a_copy_adds_less_than_itself() -> None:
    log_probs = predictions(5, 6, 3, 3, sharpness=1.0)
    forth, back = (joint_information(rows, generator=derive(0)) for rows in (log_probs, log_probs.flip(0)))
    assert forth[-1].item() == pytest.approx(back[-1].item(), abs=1e-12)
    once, twice = joint_information(log_probs[[0, 0]], generator=derive(0)).tolist()
    assert once < twice < 2 * once


def test_batchbald_reports_what_is_measured_afresh() -> None:
    log_probs = predictions(200, 30, 4, 5, sharpness=1.5)
    selection = batchbald(log_probs, 8, particles=3_000, saturation=0.0, generator=derive(0))
    fresh = joint_information(log_probs[selection.indices], particles=3_000, generator=derive(1))
    assert selection.report.joint_information == pytest.approx(fresh[-1].item(), abs=0.1)
    assert selection.scores[:5].cumsum(0).tolist() == pytest.approx(fresh[:5].tolist(), abs=1e-10)


def test_nothing_tells_nothing_and_a_single_draw_has_nothing_to_learn() -> None:
    log_probs = predictions(3, 1, 4, 0)
    assert joint_information(log_probs[:0], generator=derive(0)).tolist() == []
    assert joint_information(log_probs, generator=derive(0)).tolist() == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.usefixtures("without_shape_checks")
def test_bad_input_is_refused() -> None:
    log_probs = predictions(3, 4, 2, 0)
    with pytest.raises(SelectionError, match="particles >= 1, not 0"):
        joint_information(log_probs, particles=0, generator=derive(0))
    with pytest.raises(EvidenceError, match="must have shape"):
        joint_information(log_probs[:, 0], generator=derive(0))
    with pytest.raises(RowError, match="row 1"):
        joint_information(log_probs * torch.tensor([1.0, 2.0, 1.0])[:, None, None], generator=derive(0))
