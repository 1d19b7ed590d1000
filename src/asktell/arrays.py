"""The shape alphabet, and what makes log-probabilities valid.

n items, k draws, c classes, d features, b picks, l labelled, t targets, m particles.
The types are checked at run time under pytest and cost nothing in production.
"""

import math

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from asktell.errors import EvidenceError, RowError

LogProbs = Float[Tensor, "n k c"]
"""log p(class | item, draw): normalised over c; -inf is legal."""
PointLogProbs = Float[Tensor, "n c"]
"""log p(class | item) of one deterministic pass."""
TargetLogProbs = Float[Tensor, "t k c"]
PendingLogProbs = Float[Tensor, "g k c"]
Features = Float[Tensor, "n d"]
Scores = Float64[Tensor, " n"]
"""A number per item, higher = ask sooner."""
Picks = Int64[Tensor, " b"]
PickScores = Float64[Tensor, " b"]

_LEAST = math.log(5e-324)  # log of the smallest float64: where p is 0, p * _LEAST is 0 too
_HALF_SUM_TOLERANCE = {torch.float16: 4e-3, torch.bfloat16: 3e-2}


def is_half(log_probs: Tensor) -> bool:
    """Whether rows are stored in float16 or bfloat16 and will be renormalised in float64."""
    return log_probs.dtype in _HALF_SUM_TOLERANCE


def probabilities(log_probs: Tensor, name: str = "log_probs") -> tuple[Tensor, Tensor]:
    """(p, log p) in float64, checked; log p is finite, so that p * log p is 0 where p is 0.

    Raises `RowError` for a row that holds NaN or +inf, a log-probability above 1e-6 (0.03 in half types), or
    that does not sum to one within 1e-4 (float16 4e-3, bfloat16 3e-2). Half types are renormalised.

    >>> p, log_p = probabilities(torch.tensor([[[0.0, -torch.inf]]]))
    >>> (p * log_p).sum().item()
    0.0
    """
    if not log_probs.is_floating_point() or 0 in log_probs.shape[1:]:
        raise EvidenceError(
            f"{name} must be floating point with at least one draw and one class, "
            f"not {log_probs.dtype} of shape {list(log_probs.shape)}"
        )
    log_p = log_probs.detach().double()
    p = log_p.exp()
    total = p.sum(-1, keepdim=True)
    _check_rows(log_probs, p, total, name)
    if is_half(log_probs):
        p, log_p = p / total, log_p - total.log()
    return p, log_p.clamp_min(_LEAST)


def entropies(p: Tensor, log_p: Tensor | None = None) -> Tensor:
    """H(p) over the last axis, in nats, of float64 probabilities; 0 log 0 is 0."""
    if log_p is None:
        log_p = p.clamp_min(5e-324).log_()
    return -(p * log_p).sum(-1)


def check_draws(log_probs: Tensor, name: str = "log_probs") -> None:
    """Raise unless `log_probs` is [n, k, c]."""
    if log_probs.ndim != 3:
        raise EvidenceError(
            f"{name} must have shape [items, draws, classes], not {list(log_probs.shape)}; "
            "for one deterministic pass add the axis of draws: log_probs[:, None, :]"
        )


def _check_rows(log_probs: Tensor, p: Tensor, total: Tensor, name: str) -> None:
    half = is_half(log_probs)
    tolerance = _HALF_SUM_TOLERANCE.get(log_probs.dtype, 1e-4)
    ceiling = math.exp(0.03 if half else 1e-6)
    off = (total - 1).abs_()
    if off.numel() == 0 or (bool(off.amax() <= tolerance) and bool(p.amax() <= ceiling)):
        return
    bad = ~(off.squeeze(-1) <= tolerance) | ~(p.amax(-1) <= ceiling)
    row = int(bad.flatten(1).any(1).nonzero()[0]) if bad.ndim > 1 else int(bad.nonzero()[0])
    raise RowError(name, row, _reason(log_probs[row]))


def _reason(row: Tensor) -> str:
    if bool(row.isnan().any()):
        return "holds NaN; find out which input or which draw of the model gives it"
    if bool((row > 0).any()):
        return "holds a log-probability above zero; pass log_softmax(logits), not logits or probabilities"
    worst = row.double().exp().sum(-1).flatten()
    worst = worst[(worst - 1).abs().argmax()]
    return f"probabilities sum to {worst:.6g}, not 1; pass log_softmax(logits, -1), classes on the last axis"
