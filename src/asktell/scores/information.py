"""Information that a label gives, about the model (BALD) or about predictions (EPIG)."""

from typing import NamedTuple

import torch
from torch import Tensor

from asktell.arrays import LogProbs, Scores, TargetLogProbs, check_draws, entropies, probabilities
from asktell.errors import EvidenceError
from asktell.rows import per_tile
from asktell.scores.entropy import entropy, expected_entropy
from asktell.scores.formula import applied_to_committee, nonnegative, warn_single_draw

_JOINT_BYTES = 2**25  # of one [rows, c, t, c] block of joint distributions


class Uncertainty(NamedTuple):
    """total = aleatoric + epistemic, each in nats, float64 [n]."""

    total: Tensor
    aleatoric: Tensor
    epistemic: Tensor


def bald(log_probs: LogProbs) -> Scores:
    """Mutual information between label and model, I[y; w | x], in nats.

    Zero where the draws agree, at most log c where each is sure of a different class, and at most log k. The
    estimate from few draws is too low, by O(1/k): compare at equal k. Houlsby et al. 2011, eq. 2 (arXiv:1112.5745).

    >>> clash = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()
    >>> bald(clash)
    tensor([0.6931], dtype=torch.float64)
    """
    return applied_to_committee(_bald, log_probs)


def uncertainty(log_probs: LogProbs) -> Uncertainty:
    """Total uncertainty of the mean prediction, split into aleatoric and epistemic (which is `bald`).

    Depeweg et al. 2018, eq. 4 (arXiv:1710.07283).

    >>> total, aleatoric, epistemic = uncertainty(torch.tensor([[[0.9, 0.1], [0.5, 0.5]]]).log())
    >>> bool((total - aleatoric - epistemic).abs().max() < 1e-12)
    True
    """
    return Uncertainty(entropy(log_probs), expected_entropy(log_probs), bald(log_probs))


def epig(log_probs: LogProbs, target_log_probs: TargetLogProbs) -> Scores:
    """Expected information about the predictions on the targets, mean_t I[y; y_t | x, x_t], in nats.

    Between 0 and `bald`. Items and targets must come from the same k draws. Bickford Smith et al. 2023, eq. 5
    (arXiv:2304.08151).

    >>> clash = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()
    >>> epig(clash, clash)
    tensor([0.6931], dtype=torch.float64)
    """
    check_draws(log_probs)
    check_draws(target_log_probs, "target_log_probs")
    _check_targets(log_probs, target_log_probs)
    targets = _Targets(*probabilities(target_log_probs, "target_log_probs"))
    if log_probs.shape[1] == 1:
        warn_single_draw()
    return per_tile(targets.information, log_probs)


class _Targets:
    """The targets' side of EPIG: their probabilities as one matrix, their mean entropy."""

    def __init__(self, p: Tensor, _: Tensor) -> None:
        t, k, c = p.shape
        self.matrix_ktc = p.transpose(0, 1).reshape(k, t * c) / k
        self.entropy = entropies(p.mean(1)).mean()
        self.t, self.c = t, c

    def information(self, log_probs: Tensor) -> Tensor:
        p, _ = probabilities(log_probs)
        step = max(1, _JOINT_BYTES // (8 * p.shape[-1] * self.t * self.c))
        return torch.cat([self._block(rows) for rows in torch.split(p, step)])

    def _block(self, p: Tensor) -> Tensor:
        """H[y] + mean_t H[y_t] - mean_t H[y, y_t]."""
        if p.shape[1] == 1:
            return p.new_zeros(len(p))
        joint = p.transpose(1, 2).reshape(-1, p.shape[1]) @ self.matrix_ktc
        joint_entropy = entropies(joint.reshape(len(p), -1)) / self.t
        return nonnegative(entropies(p.mean(1)) + self.entropy - joint_entropy)


def _bald(p: Tensor, log_p: Tensor) -> Tensor:
    expected = -torch.linalg.vecdot(p.flatten(1), log_p.flatten(1)) / p.shape[1]
    return nonnegative(entropies(p.mean(1)) - expected)


def _check_targets(log_probs: Tensor, target_log_probs: Tensor) -> None:
    if len(target_log_probs) == 0:
        raise EvidenceError("target_log_probs holds no target; pass log-probabilities of inputs that matter")
    if log_probs.shape[1] != target_log_probs.shape[1]:
        raise EvidenceError(
            f"log_probs has {log_probs.shape[1]} draws and target_log_probs {target_log_probs.shape[1]}; "
            "both must come from the same draws of one posterior"
        )
