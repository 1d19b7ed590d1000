"""One number that makes predictions as sure as they should be."""

import math
from typing import Final

from jaxtyping import Int64
from torch import Tensor

from asktell.arrays import PointLogProbs
from asktell.errors import ModelError

LEAST: Final = 0.05
MOST: Final = 20.0


def temperature(log_probs: PointLogProbs, labels: Int64[Tensor, " n"]) -> float:
    """The temperature T at which log_softmax(log p / T) makes the labels most likely, between LEAST and MOST.

    Guo et al. 2017, section 4.2 (arXiv:1706.04599): above 1 for predictions that are too sure. The loss is convex in
    1 / T, so that there is one minimum; where all predictions are right it lies at LEAST. Raises `ModelError` without
    rows, for NaN, and if a label has probability zero, which no temperature can mend.

    >>> import torch
    >>> sure = torch.tensor([[0.99, 0.01]] * 10).log()
    >>> round(temperature(sure, torch.tensor([0] * 8 + [1] * 2)), 2)
    3.31
    """
    from scipy.optimize import minimize_scalar  # a third of a second of import that nothing else here needs

    if not len(labels):
        raise ModelError("a temperature needs one validation row or more")
    if not bool(log_probs.gather(1, labels[:, None]).isfinite().all()):
        raise ModelError("a validation label has probability zero or NaN, which no temperature can mend")
    logits = log_probs.double()
    found = minimize_scalar(
        lambda inverse: _loss(logits * inverse, labels),
        bounds=(1 / MOST, 1 / LEAST),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return 1 / float(found.x)


def _loss(logits: Tensor, labels: Tensor) -> float:
    loss = -logits.log_softmax(-1).gather(1, labels[:, None]).mean().item()
    assert not math.isnan(loss)
    return loss
