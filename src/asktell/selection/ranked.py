"""Batches from one score per row: the best, or a sample without replacement that favours the best.

Sampling perturbs log-weights by Gumbel noise and keeps the b largest, which is sampling without replacement with
these weights. Kirsch et al. 2023, "Stochastic Batch Acquisition" (arXiv:2106.12059), section 3.
"""

import math

import torch
from torch import Tensor

from asktell.arrays import Scores
from asktell.errors import EvidenceError, SelectionError
from asktell.selection.result import Report, Selection, check_batch, empty_selection


def top_k(scores: Scores, b: int, *, generator: torch.Generator) -> Selection:
    """The b highest scores, highest first; ties in random order.

    Raises `EvidenceError` if a score is NaN, `SelectionError` if b < 0 or b > n.

    >>> top_k(torch.tensor([0.1, 0.9, 0.5]).double(), 2, generator=torch.Generator()).indices
    tensor([1, 2])
    """
    scores = _checked(scores)
    check_batch(b, len(scores))
    picks = _descending(scores, generator)[:b]
    return Selection(picks, scores[picks])


def power_sample(scores: Scores, b: int, *, beta: float = 1.0, generator: torch.Generator) -> Selection:
    """Sample without replacement with weights score ** beta; beta = 0 is uniform, beta -> inf is `top_k`.

    Rows with a score <= 0 have weight 0. When no positive row is left the batch is filled uniformly, and
    `report.filled_from` says from which pick on. Kirsch et al. 2023, section 3 ("power").

    >>> power_sample(torch.tensor([0.0, 2.0]).double(), 1, generator=torch.Generator()).indices
    tensor([1])
    """
    scores = _checked(scores, finite=True)
    log_weights = torch.zeros_like(scores) if beta == 0 else beta * scores.clamp_min(0.0).log()
    return _gumbel_sample(scores, log_weights, b, beta, generator)


def softmax_sample(scores: Scores, b: int, *, beta: float = 1.0, generator: torch.Generator) -> Selection:
    """Sample without replacement with weights exp(beta * score). Kirsch et al. 2023, section 3 ("softmax")."""
    scores = _checked(scores, finite=True)
    return _gumbel_sample(scores, beta * scores, b, beta, generator)


def softrank_sample(scores: Scores, b: int, *, beta: float = 1.0, generator: torch.Generator) -> Selection:
    """Sample without replacement with weights rank ** -beta; rank 1 is the highest score, ties rank at random.

    Kirsch et al. 2023, section 3 ("softrank").
    """
    scores = _checked(scores)
    ranks = torch.empty_like(scores)
    ranks[_descending(scores, generator)] = torch.arange(1, len(scores) + 1, dtype=scores.dtype)
    return _gumbel_sample(scores, -beta * ranks.log(), b, beta, generator)


def _gumbel_sample(scores: Tensor, log_weights: Tensor, b: int, beta: float, generator: torch.Generator) -> Selection:
    if not (math.isfinite(beta) and beta >= 0):
        raise SelectionError(f"beta must be finite and at least 0, not {beta}; for beta = inf use top_k")
    check_batch(b, len(scores))
    if b == 0:
        return empty_selection()
    order = _perturbed_order(log_weights, generator)
    probabilities, positive = _sequential_probabilities(log_weights[order])
    report = Report(filled_from=positive if positive < b else None)
    return Selection(order[:b], scores[order[:b]], probabilities[:b], report)


def _perturbed_order(log_weights: Tensor, generator: torch.Generator) -> Tensor:
    """All rows in the order in which they are drawn; rows of weight 0 follow in random order."""
    uniform = torch.rand(len(log_weights), dtype=torch.float64, generator=generator).clamp_min(1e-300)
    gumbel = -(-uniform.log()).clamp_min(1e-300).log()
    return _descending(log_weights + gumbel, generator)


def _sequential_probabilities(log_weights: Tensor) -> tuple[Tensor, int]:
    """Of each row given the ones before it, in drawing order; and how many rows have weight."""
    left = torch.arange(len(log_weights), 0, -1, dtype=torch.float64)
    positive = int(log_weights.isfinite().sum())
    log_left = log_weights[:positive].flip(0).logcumsumexp(0).flip(0)
    probabilities = 1 / left
    probabilities[:positive] = (log_weights[:positive] - log_left).exp().clamp_max(1.0)
    return probabilities, positive


def _descending(values: Tensor, generator: torch.Generator) -> Tensor:
    """Rows from the largest value to the smallest, ties in random order."""
    shuffled = torch.randperm(len(values), generator=generator)
    return shuffled[values[shuffled].sort(descending=True, stable=True).indices]


def _checked(scores: Tensor, finite: bool = False) -> Tensor:
    """The scores on the CPU, where ties and samples are drawn."""
    scores = scores.detach().cpu()
    bad = ~scores.isfinite() if finite else scores.isnan()
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise EvidenceError(f"the score of row {row} is {scores[row].item()}; scores must be numbers")
    return scores
