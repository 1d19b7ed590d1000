"""How a formula for a few rows becomes a score of any number of rows."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from asktell.arrays import LogProbs, Scores, check_draws, probabilities
from asktell.errors import DegenerateWarning, EvidenceError
from asktell.rows import per_tile

Formula = Callable[[Tensor, Tensor], Tensor]
"""(p, log p), float64 [rows, k, c] -> [rows]."""


def applied(formula: Formula, log_probs: LogProbs) -> Scores:
    """The formula of every row, tile by tile, from checked float64 probabilities."""
    check_draws(log_probs)
    return per_tile(lambda tile: formula(*probabilities(tile)), log_probs)


def applied_to_committee(formula: Formula, log_probs: LogProbs) -> Scores:
    """The same for a score that measures how draws differ: exactly 0, with a warning, where there is only one."""
    scores = applied(formula, log_probs)
    if log_probs.shape[1] > 1:
        return scores
    warn_single_draw()
    return torch.zeros_like(scores)


def warn_single_draw() -> None:
    """Say that one draw cannot disagree with itself."""
    warnings.warn(
        "there is a single draw, so every disagreement score is 0 and the order is random; draw k > 1 functions",
        DegenerateWarning,
        stacklevel=3,
    )


def nonnegative(information: Tensor, rounding: float = 1e-9) -> Tensor:
    """Mutual information with what `rounding` put below zero set to 0."""
    if information.numel() and not bool(information.amin() > -rounding):
        raise EvidenceError(f"mutual information came out as {information.amin().item()}: please report this bug")
    return information.clamp_min(0.0).abs_()  # abs: no -0.0
