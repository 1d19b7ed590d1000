"""Telling labelled from unlabelled rows: the loss by its definition, balance, and what is held out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from asktell.randomness import derive, seeded
from asktell.training.discriminator import balanced_accuracy, discriminator, discriminator_loss, held_out

LOGITS = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


def column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(LOGITS, LOGITS)
def test_the_loss_is_its_definition(labelled: list[float], unlabelled: list[float]) -> None:
    right = [1 / (1 + math.exp(-one)) for one in labelled]
    wrong = [1 / (1 + math.exp(one)) for one in unlabelled]
    expected = -sum(map(math.log, right)) / len(right) - sum(map(math.log, wrong)) / len(wrong)
    assert float(discriminator_loss(column(labelled), column(unlabelled))) == pytest.approx(expected, rel=1e-9)


@given(LOGITS, LOGITS, st.integers(2, 5))
def test_each_side_counts_the_same_however_large(labelled: list[float], unlabelled: list[float], times: int) -> None:
    plain = column(labelled), column(unlabelled)
    repeated = column(labelled * times), column(unlabelled)
    assert float(discriminator_loss(*repeated)) == pytest.approx(float(discriminator_loss(*plain)))
    assert balanced_accuracy(*repeated) == pytest.approx(balanced_accuracy(*plain))


@given(LOGITS, LOGITS)
def test_accuracy_is_the_mean_of_two_shares(labelled: list[float], unlabelled: list[float]) -> None:
    shares = sum(one > 0 for one in labelled) / len(labelled), sum(one <= 0 for one in unlabelled) / len(unlabelled)
    assert balanced_accuracy(column(labelled), column(unlabelled)) == pytest.approx(sum(shares) / 2)


@pytest.mark.parametrize("constant", [-1.0, 0.0, 2.0])
def test_a_constant_is_right_half_the_time(constant: float) -> None:
    assert balanced_accuracy(torch.full((3,), constant), torch.full((700,), constant)) == 0.5


def test_it_learns_to_separate_two_gaussians() -> None:
    generator = derive(0, "Gaussians")
    sides = [torch.randn(400, 5, generator=generator) + shift for shift in (-1.0, 1.0)]
    with seeded(derive(0)):
        module = discriminator(5, 32, 32)
    optimiser = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        discriminator_loss(*(module(side[:300]) for side in sides)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    best = balanced_accuracy(*(-side[300:].sum(1) for side in sides))  # Bayes: the sign of the sum
    assert best > 0.97
    assert balanced_accuracy(*(module(side[300:]) for side in sides)) > best - 0.03


def test_it_is_a_network_of_the_widths_it_was_given() -> None:
    module = discriminator(32, 512, 512)
    assert [w.shape[1] for w in module.parameters() if w.ndim == 2] == [32, 512, 512]
    assert module(torch.zeros(7, 32)).shape == (7,)
    assert sum(isinstance(layer, nn.ReLU) for layer in module) == 2


@pytest.mark.parametrize(("rows", "count"), [(0, 0), (9, 0), (10, 1), (25, 2), (5_000, 500), (20_000, 500)])
def test_a_tenth_is_held_out_up_to_500(rows: int, count: int) -> None:
    kept, held = held_out(rows, derive(1))
    assert len(held) == count
    assert torch.equal(torch.cat([kept, held]).sort().values, torch.arange(rows))
    assert torch.equal(kept, kept.sort().values)
    assert torch.equal(held, held_out(rows, derive(1))[1])


def test_which_rows_are_held_out_depends_on_the_seed() -> None:
    assert len({tuple(held_out(40, derive(seed))[1].tolist()) for seed in range(5)}) > 1
