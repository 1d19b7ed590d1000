import itertools
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
    for metric in (metrics.accuracy, metrics.nll, metrics.brier, metrics.ece):
        with pytest.raises(EvidenceError, match="no rows"):
            metric(empty, none)


def test_brier_by_hand() -> None:
    labels = torch.tensor([0, 2, 0])
    rows = [0.3**2 + 0.2**2 + 0.1**2, 0.1**2 + 0.6**2 + 0.7**2, 0.6**2 + 0.35**2 + 0.25**2]
    assert metrics.brier(LOG_PROBS, labels) == pytest.approx(sum(rows) / 3, rel=1e-6)
    assert metrics.brier(torch.tensor([[1.0, 0.0]]).log(), torch.tensor([1])) == 2
    assert metrics.brier(torch.tensor([[1.0, 0.0]]).log(), torch.tensor([0])) == 0


def test_accuracy_rejection_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    uncertainty, correct = torch.rand(50, generator=generator), torch.rand(50, generator=generator) < 0.7
    order = uncertainty.argsort()
    expected = [float(correct[order[:k]].double().mean()) for k in range(1, 51)]
    curve = metrics.accuracy_rejection(uncertainty, correct)
    assert curve.tolist() == pytest.approx(expected, abs=1e-12)
    shuffled = torch.randperm(50, generator=generator)
    assert torch.equal(metrics.accuracy_rejection(uncertainty[shuffled], correct[shuffled]), curve)


def test_ties_are_rejected_in_the_mean_over_all_orders() -> None:
    uncertainty, correct = torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.tensor([True, True, False, False])
    orders = [torch.tensor([0, *rest]) for rest in itertools.permutations((1, 2, 3))]
    each = torch.stack([correct[order].double().cumsum(0) / torch.arange(1, 5) for order in orders])
    assert metrics.accuracy_rejection(uncertainty, correct).tolist() == pytest.approx(each.mean(0).tolist())


def test_auroc_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    inside = torch.randint(8, (40,), generator=generator).float()
    outside = torch.randint(4, 10, (30,), generator=generator).float()
    pairs = (outside[:, None] > inside).double() + (outside[:, None] == inside).double() / 2
    assert metrics.auroc(inside, outside) == pytest.approx(float(pairs.mean()), abs=1e-12)
    assert metrics.auroc(outside, inside) == pytest.approx(1 - float(pairs.mean()), abs=1e-12)
    assert metrics.auroc(inside, inside) == pytest.approx(0.5, abs=1e-12)
    assert metrics.auroc(inside, inside + 100) == 1


def test_auroc_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(1)
    inside, outside = torch.rand(40, generator=generator), torch.rand(30, generator=generator) + 0.3
    expected = roc_auc_score([0] * 40 + [1] * 30, torch.cat([inside, outside]))
    assert metrics.auroc(inside, outside) == pytest.approx(expected, abs=1e-12)


def test_uncertainty_that_is_none_is_refused() -> None:
    with pytest.raises(EvidenceError, match="no rows"):
        metrics.auroc(torch.zeros(3), torch.zeros(0))
    with pytest.raises(EvidenceError, match="no rows"):
        metrics.accuracy_rejection(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    for refused in (
        lambda: metrics.auroc(torch.tensor([torch.nan]), torch.zeros(1)),
        lambda: metrics.accuracy_rejection(torch.tensor([torch.nan]), torch.tensor([True])),
    ):
        with pytest.raises(EvidenceError, match="NaN"):
            refused()
