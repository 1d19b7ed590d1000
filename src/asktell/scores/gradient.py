"""How far a label is expected to move the model: the length of the gradient that it would cause."""

import torch
from torch import Tensor

from asktell.arrays import Features, PointLogProbs, Scores, probabilities
from asktell.errors import EvidenceError, RowError
from asktell.rows import per_tile


def expected_gradient_length(
    point_log_probs: PointLogProbs, features: Features, *, bias: bool = True, normalise: bool = False
) -> Scores:
    """sum_y p_y |gradient of the loss in the last layer, were y the label|, in units of the features.

    The gradient for y is (p - onehot(y)) x h, and p - onehot(y) for the bias, so that the sum has the closed form
    sqrt(|h|^2 + 1) sum_y p_y sqrt(1 - 2 p_y + sum_j p_j^2); without `bias` the 1 falls away. 0 where the prediction is
    certain. Long rows of features score higher; `normalise` divides each by its length first. Both arrays come from one
    deterministic pass. Settles, Craven & Ray 2007, for the last layer alone; |.| is the Euclidean length.

    Raises `EvidenceError` for arrays of different lengths, `RowError` for a row that is no log-probabilities or not
    finite.

    >>> expected_gradient_length(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[3.0, 4.0]]), bias=False)
    tensor([3.5355], dtype=torch.float64)
    """
    if len(point_log_probs) != len(features):
        raise EvidenceError(
            f"there are {len(point_log_probs)} rows of point_log_probs and {len(features)} of features; "
            "both must come from one pass over the same items"
        )
    inputs = per_tile(lambda rows: input_length(rows, bias=bias, normalise=normalise), features)
    return per_tile(residual_length, point_log_probs) * inputs


def residual_length(point_log_probs: Tensor) -> Tensor:
    """sum_y p_y |p - onehot(y)| of each row, float64: between 0 and sqrt(1 - 1/c), the factor that classes give.

    |p - onehot(y)|^2 = (1 - p_y)^2 + sum_{j != y} p_j^2, whose parts do not cancel; the largest p is left out of the
    sum by name, since near certainty the others would drown in it.
    """
    p, log_p = probabilities(point_log_probs, "point_log_probs")
    first = p.argmax(-1, keepdim=True)
    largest = p.gather(-1, first)
    rest = p.scatter(-1, first, 0.0).square().sum(-1, keepdim=True)
    others = (largest.square() + rest - p.square()).clamp_min_(0.0).scatter_(-1, first, rest)
    return (p * (log_p.expm1().square() + others).sqrt()).sum(-1)


def input_length(features: Tensor, *, bias: bool, normalise: bool) -> Tensor:
    """sqrt(|h|^2 + 1) of each row, float64, the factor that features give; |h| without `bias`."""
    lengths = torch.linalg.vector_norm(features.detach().double(), dim=1)
    bad = ~lengths.isfinite()
    if bool(bad.any()):
        reason = "holds NaN, infinity or a number too large to square; find out which input gives it"
        raise RowError("features", int(bad.nonzero()[0]), reason)
    if normalise:
        lengths = (features != 0).any(1).double()
    return torch.hypot(lengths, torch.ones_like(lengths)) if bias else lengths
