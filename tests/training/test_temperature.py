"""One number that makes predictions as sure as they should be."""

import pytest
import torch
from torch import Tensor

from asktell.errors import ModelError
from asktell.posteriors.scaled import scaled
from asktell.randomness import derive
from asktell.training.temperature import LEAST, temperature


def drawn(n: int = 4000) -> tuple[Tensor, Tensor]:
    """Calibrated log-probabilities, and labels drawn from them."""
    log_probs = (2 * torch.randn(n, 3, generator=derive(0))).double().log_softmax(1)
    return log_probs, torch.multinomial(log_probs.exp(), 1, generator=derive(1))[:, 0]


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_it_undoes_what_was_done_to_calibrated_predictions(factor: float) -> None:
    log_probs, labels = drawn()
    found = temperature((log_probs * factor).log_softmax(1), labels)
    assert found == pytest.approx(factor * temperature(log_probs, labels), rel=1e-3)
    assert found == pytest.approx(factor, rel=0.1)


def test_no_other_temperature_is_better() -> None:
    log_probs, labels = drawn(200)
    best = temperature(log_probs * 2, labels)
    losses = [
        float(torch.nn.functional.nll_loss(scaled(log_probs * 2, best * factor), labels)) for factor in (0.99, 1, 1.01)
    ]
    assert losses[1] == min(losses)


def test_where_all_are_right_it_is_as_sure_as_it_may_be() -> None:
    assert temperature(torch.tensor([[0.6, 0.4]]).log(), torch.tensor([0])) == pytest.approx(LEAST, rel=1e-3)


def test_exact_zeros_elsewhere_are_legal() -> None:
    log_probs = torch.tensor([[0.7, 0.3, 0.0]] * 10).log()
    assert temperature(log_probs, torch.tensor([0] * 7 + [1] * 3)) == pytest.approx(1, rel=1e-3)


def test_validation_sets_that_cannot_serve() -> None:
    with pytest.raises(ModelError, match="one validation row or more"):
        temperature(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    for p in (0.0, torch.nan):
        with pytest.raises(ModelError, match="probability zero or NaN"):
            temperature(torch.tensor([[p, 1.0]]).log(), torch.tensor([0]))
