"""How good a model's predictions are, and how good its account of what it does not know."""

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from asktell.arrays import PointLogProbs
from asktell.errors import EvidenceError

Labels = Int64[Tensor, " n"]
Confidence = Float[Tensor, " n"]
Correct = Bool[Tensor, " n"]
Uncertainties = Float[Tensor, " n"]
Elsewhere = Float[Tensor, " m"]
Curve = Float64[Tensor, " n"]


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


def brier(log_probs: PointLogProbs, labels: Labels) -> float:
    """Mean squared distance of the probabilities from the labels, sum_c (p_c - [y = c])^2, 0..2.

    Brier 1950, eq. 2.

    >>> round(brier(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([1])), 6)
    0.5
    """
    _some(labels)
    p = log_probs.double().exp()
    wrong = p - torch.nn.functional.one_hot(labels, p.shape[1])
    return wrong.square().sum(1).mean().item()


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


def accuracy_rejection(uncertainty: Uncertainties, correct: Correct) -> Curve:
    """Accuracy on the k rows that are least uncertain, for k = 1 to n: rejecting all others.

    Nadeem et al. 2010. Where rows are equally uncertain, the expected accuracy over the orders that they may stand in,
    so that the order of the rows does not matter. The last entry is the accuracy. Raises `EvidenceError` for no rows
    and for NaN.

    >>> accuracy_rejection(torch.tensor([0.1, 0.9, 0.5]), torch.tensor([True, False, True]))
    tensor([1.0000, 1.0000, 0.6667], dtype=torch.float64)
    """
    _some(uncertainty)
    _numbers(uncertainty)
    _, group, count = torch.unique(uncertainty, return_inverse=True, return_counts=True)
    right = torch.zeros(len(count), dtype=torch.float64).index_add_(0, group, correct.double())
    each = (right / count).repeat_interleave(count)
    curve: Tensor = each.cumsum(0) / torch.arange(1, len(each) + 1)
    return curve


def auroc(inside: Uncertainties, outside: Elsewhere) -> float:
    """Probability that an input from elsewhere has more uncertainty than one from here; a tie counts half.

    1 where uncertainty tells them apart, 0.5 where it says nothing, less where the model is surer elsewhere: the area
    under the receiver operating characteristic, Hanley and McNeil 1982. Raises `EvidenceError` for no rows and for NaN.

    >>> auroc(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.2, 0.9]))
    0.75
    """
    for part in (inside, outside):
        _some(part)
        _numbers(part)
    ordered, elsewhere = inside.double().sort().values, outside.double().contiguous()
    below, up_to = (torch.searchsorted(ordered, elsewhere, right=right).double() for right in (False, True))
    return ((below + up_to) / (2 * len(inside))).mean().item()


def _correct(log_probs: Tensor, labels: Tensor) -> Tensor:
    _some(labels)
    return log_probs.argmax(1) == labels


def _some(rows: Tensor) -> None:
    if not len(rows):
        raise EvidenceError("there are no rows to evaluate on")


def _numbers(values: Tensor) -> None:
    if bool(values.isnan().any()):
        raise EvidenceError("uncertainty holds NaN; find out which input or which draw of the model gives it")
