"""How good a model's predictions are: accuracy, negative log-likelihood, calibration error."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from asktell.arrays import PointLogProbs
from asktell.errors import EvidenceError

Labels = Int64[Tensor, " n"]
Confidence = Float[Tensor, " n"]
Correct = Bool[Tensor, " n"]


def accuracy(log_probs: PointLogProbs, labels: Labels) -> float:
    """Share of rows whose most probable class is the label, 0..1.

    >>> accuracy(torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log(), torch.tensor([0, 0]))
    0.5
    """
    return _correct(log_probs, labels).double().mean().item()


def nll(log_probs: PointLogProbs, labels: Labels) -> float:
    """Mean negative log-likelihood of the labels, in nats; infinite if one had probability zero.

    >>> round(nll(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1])), 4)
    0.6931
    """
    _some(labels)
    return -log_probs.double().gather(1, labels.unsqueeze(1)).mean().item()


def ece(log_probs: PointLogProbs, labels: Labels, *, bins: int = 15) -> float:
    """Expected calibration error of the most probable class, 0..1: see `calibration_error`."""
    return calibration_error(log_probs.double().amax(1).exp().clamp_max(1), _correct(log_probs, labels), bins=bins)


def calibration_error(confidence: Confidence, correct: Correct, *, bins: int = 15) -> float:
    """Mean over rows of |accuracy - mean confidence| of the row's bin; bins are ((i-1)/bins, i/bins], 0 in the first.

    Guo et al. 2017, eq. 3 (arXiv:1706.04599). Raises `EvidenceError` for no rows and for confidence outside 0..1.

    >>> calibration_error(torch.tensor([0.75, 0.75, 0.75, 0.75]), torch.tensor([True, True, False, False]))
    0.25
    """
    _some(confidence)
    p = confidence.double()
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise EvidenceError("confidence must be between 0 and 1: the probability of the predicted class")
    row_bins = ((p * bins).ceil().long() - 1).clamp(0, bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, row_bins, correct.double() - p)
    return (gaps.abs().sum() / len(p)).item()


def _correct(log_probs: Tensor, labels: Tensor) -> Tensor:
    _some(labels)
    return log_probs.argmax(1) == labels


def _some(rows: Tensor) -> None:
    if not len(rows):
        raise EvidenceError("there are no rows to evaluate on")
