"""A number per item, higher = ask sooner: float64 [n] from log-probabilities [n, k, c]; information is in nats.

Scores of the last layer take what it says and sees in one deterministic pass, [n, c] and [n, d].
"""

from asktell.scores.committee import max_kl, mc_variation_ratio, mean_std, vote_entropy
from asktell.scores.contrast import contrastive
from asktell.scores.entropy import entropy, expected_entropy, least_confident, margin
from asktell.scores.gradient import expected_gradient_length
from asktell.scores.information import Uncertainty, bald, epig, uncertainty

__all__ = [
    "Uncertainty",
    "bald",
    "contrastive",
    "entropy",
    "epig",
    "expected_entropy",
    "expected_gradient_length",
    "least_confident",
    "margin",
    "max_kl",
    "mc_variation_ratio",
    "mean_std",
    "uncertainty",
    "vote_entropy",
]
