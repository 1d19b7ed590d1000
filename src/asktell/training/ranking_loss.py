"""The loss of a guess at other losses: only their order counts."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def ranking_loss(
    predicted: Float[Tensor, " b"], losses: Float[Tensor, " b"], *, margin: float = 1.0
) -> Float[Tensor, ""]:
    """Mean over pairs of max(0, margin - s (predicted_i - predicted_j)), s = 1 if losses_i > losses_j else -1.

    The pairs of b rows are (i, b - 1 - i); an odd last row has none, and without a pair it is 0. Zero if and only if
    every pair is in its order by `margin` or more; the same for `predicted` plus a constant. `losses` get no gradient.
    Yoo and Kweon 2019, eq. 2 (arXiv:1905.03677).

    >>> ranking_loss(torch.tensor([0.0, 3.0]), torch.tensor([0.1, 0.2]))
    tensor(0.)
    >>> ranking_loss(torch.tensor([3.0, 0.0]), torch.tensor([0.1, 0.2]))
    tensor(4.)
    """
    pairs = len(predicted) // 2
    left, right = slice(0, pairs), slice(pairs, 2 * pairs)
    lead = predicted[left] - predicted[right].flip(0)
    larger = (losses.detach()[left] > losses.detach()[right].flip(0)).to(lead.dtype)
    return (margin - (2 * larger - 1) * lead).clamp_min(0).sum() / max(pairs, 1)


def rank_accuracy(predicted: Float[Tensor, " n"], losses: Float[Tensor, " n"]) -> float | None:
    """Share of the pairs of different losses whose predicted losses have the same order; one that is tied counts half.

    0 to 1, and 0.5 for a guess. None if no two losses differ.

    >>> round(rank_accuracy(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([0.1, 0.3, 0.2])), 2)
    0.67
    """
    from scipy.stats import kendalltau  # a third of a second of import that nothing else here needs

    different, told_apart = _different(losses), _different(predicted)
    if not different:
        return None
    if not told_apart:
        return 0.5
    tau = float(kendalltau(predicted.numpy(), losses.numpy()).statistic)
    agreeing = round(tau * math.sqrt(different * told_apart))  # less those that do not agree
    return (1 + agreeing / different) / 2


def _different(values: Tensor) -> int:
    """How many pairs differ."""
    same = torch.unique(values, return_counts=True)[1]
    return (len(values) ** 2 - int((same**2).sum())) // 2
