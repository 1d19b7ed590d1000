import math

import pytest
import torch

from asktell.errors import EvidenceError
from asktell.experiments import metrics

LOG_PROBS = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.4, 0.35, 0.25]]).log()


def test_accuracy_and_nll_by_hand() -> None:
    labels = torch.tensor([0, 2, 0])
    assert metrics.accuracy(LOG_PROBS, labels) == pytest.approx(2 / 3)
    assert metrics.nll(LOG_PROBS, labels) == pytest.approx(-math.log(0.7 * 0.3 * 0.4) / 3, rel=1e-6)


def test_a_label_of_probability_zero_costs_infinitely_much() -> None:
    assert metrics.nll(torch.tensor([[1.0, 0.0]]).log(), torch.tensor([1])) == math.inf


def test_calibration_error_by_hand() -> None:
    """Bins of two: 0..0.5 holds 0.3 (right) and 0.5 (wrong), above it 0.9 (right) and 0.7 (right)."""
    confidence = torch.tensor([0.3, 0.5, 0.9, 0.7], dtype=torch.float64)
    correct = torch.tensor([True, False, True, True])
    expected = 2 / 4 * abs(0.5 - 0.4) + 2 / 4 * abs(1.0 - 0.8)
    assert metrics.calibration_error(confidence, correct, bins=2) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(500, generator=generator, dtype=torch.float64)
    correct = torch.rand(500, generator=generator, dtype=torch.float64) < confidence**2
    total = 0.0
    for number in range(15):
        rows = [i for i in range(500) if number / 15 < confidence[i] <= (number + 1) / 15]
        if rows:
            gap = sum(float(correct[i]) for i in rows) / len(rows) - sum(float(confidence[i]) for i in rows) / len(rows)
            total += len(rows) / 500 * abs(gap)
    assert metrics.calibration_error(confidence, correct) == pytest.approx(total, abs=1e-12)


def test_the_ends_of_the_scale() -> None:
    assert metrics.calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([False, True])) == 0
    assert metrics.calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([True, False])) == 1


def test_ece_takes_the_most_probable_class() -> None:
    labels = torch.tensor([0, 2, 0])
    confidence, correct = torch.tensor([0.7, 0.6, 0.4]), torch.tensor([True, False, True])
    expected = metrics.calibration_error(confidence, correct)
    assert metrics.ece(LOG_PROBS, labels) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_what_is_no_confidence_is_refused(value: float) -> None:
    with pytest.raises(EvidenceError, match="between 0 and 1"):
        metrics.calibration_error(torch.tensor([value]), torch.tensor([True]))


def test_no_rows_are_refused() -> None:
    empty, none = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    for metric in (metrics.accuracy, metrics.nll, metrics.ece):
        with pytest.raises(EvidenceError, match="no rows"):
            metric(empty, none)
