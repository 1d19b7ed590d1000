"""A number per item, higher = ask sooner: float64 [n] from log-probabilities [n, k, c]; information is in nats."""

from asktell.scores.committee import max_kl, mc_variation_ratio, mean_std, vote_entropy
from asktell.scores.entropy import entropy, expected_entropy, least_confident, margin
from asktell.scores.information import Uncertainty, bald, epig, uncertainty

__all__ = [
    "Uncertainty",
    "bald",
    "entropy",
    "epig",
    "expected_entropy",
    "least_confident",
    "margin",
    "max_kl",
    "mc_variation_ratio",
    "mean_std",
    "uncertainty",
    "vote_entropy",
]
