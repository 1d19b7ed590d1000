"""Scores of a million items against one plain pass over the same tiles: exponentiate in float64 and add up."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from asktell import scores
from asktell.randomness import derive
from asktell.rows import TensorRows, score
from benchmarks.harness import Line, timed_in_turn

N, K, C = 1_000_000, 20, 10
STRICT = {"bald": 2.5, "mean_std": 2.5}
LOOSE = 6.0
NAMES = (
    "least_confident", "margin", "entropy", "expected_entropy", "bald", "mc_variation_ratio", "mean_std",
    "vote_entropy", "max_kl",
)  # fmt: skip


def plain(log_probs: Tensor) -> Tensor:
    """What any score has to do at least."""
    return log_probs.double().exp().sum((1, 2))


def predictions(n: int) -> Tensor:
    """Log-probabilities [n, K, C], float32."""
    return torch.randn(n, K, C, generator=derive(0, "scores")).log_softmax(-1)


def measure(quick: bool = False) -> dict[str, Any]:
    """Seconds of every score over seconds of the plain pass, one thread; medians."""
    torch.set_num_threads(1)
    n = 20_000 if quick else N
    rows = TensorRows(predictions(n))
    functions: list[Callable[[Tensor], Tensor]] = [plain, *(getattr(scores, name) for name in NAMES)]
    base, *found = timed_in_turn(*((partial(score, f, rows), 5) for f in functions))
    return {
        "input": f"n={n:,} k={K} c={C}, one thread",
        "plain_seconds": base[0],
        "ratios": {name: seconds / base[0] for name, (seconds, _) in zip(NAMES, found, strict=True)},
    }


def lines(m: dict[str, Any]) -> list[Line]:
    """One line per score."""
    return [
        Line(
            f"score {name}",
            "rows.double().exp().sum()",
            m["input"],
            f"{ratio:.2f}x its time",
            f"<= {bar:g}x",
            ratio <= bar,
        )
        for name, ratio in m["ratios"].items()
        for bar in (STRICT.get(name, LOOSE),)
    ]
