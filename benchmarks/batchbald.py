"""BatchBALD against batchbald-redux 2.0.5 on the same input in the same run.

The input is real: MC dropout on 1,000 digits after training on 40 others. Both batches are scored again by one
estimator that neither used, 100,000 fresh particles.
"""

import statistics
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from asktell.experiments.datasets import load
from asktell.learners import Round, SingleNetwork
from asktell.randomness import derive
from asktell.rows import TensorRows
from asktell.selection import Selection, batchbald, joint_information
from asktell.training import Training, network
from benchmarks.harness import Line, silent, timed, timed_in_turn

N, K, C, B = 1_000, 100, 10, 10
REDUX_SAMPLES = 10_000
REFEREE_PARTICLES = 100_000
INPUTS = 5
ASKTELL_REPEATS = 5


@dataclass(frozen=True)
class Outcome:
    """One input: seconds and independently measured joint information (nats) of both batches."""

    redux_seconds: float
    asktell_seconds: float
    redux_information: float
    asktell_information: float
    picks_in_common: int

    @property
    def ratio(self) -> float:
        return self.redux_seconds / self.asktell_seconds


def pool(seed: int) -> Tensor:
    """Log-probabilities [N, K, C] of digits by a network that was trained on 40 others."""
    data = load("digits")
    order = torch.randperm(len(data), generator=derive(seed, "benchmark"))
    labelled, candidates = order[:40], order[40 : 40 + N]
    learner = SingleNetwork(network("digits-mlp"), Training(epochs=40, samples_per_epoch=640))
    round_ = Round(0, data.classes, TensorRows(data.inputs[labelled]), data.labels[labelled])
    draws = learner.fit(round_, generator=derive(seed, "fit")).draw(K, generator=derive(seed, "draw"))
    return draws.log_probs(TensorRows(data.inputs[candidates])).double().log_softmax(-1)


def referee(log_probs: Tensor, picks: Tensor, seed: int) -> float:
    """Joint information of the picks from fresh particles, nats."""
    generator = derive(seed, "referee")
    return float(joint_information(log_probs[picks], particles=REFEREE_PARTICLES, generator=generator)[-1])


def timed_redux(log_probs: Tensor) -> tuple[float, Tensor]:
    from batchbald_redux.batchbald import get_batchbald_batch

    with silent():
        seconds, batch = timed(
            lambda: get_batchbald_batch(log_probs, B, REDUX_SAMPLES, dtype=torch.double, device="cpu")
        )
    return seconds, torch.tensor(batch.indices)


def timed_asktell(log_probs: Tensor, seed: int) -> tuple[float, Tensor]:
    def select() -> Selection:
        return batchbald(log_probs, B, saturation=0.0, generator=derive(seed, "select"))

    ((seconds, selection),) = timed_in_turn((select, ASKTELL_REPEATS))
    return seconds, selection.indices


def outcome(seed: int, n: int = N) -> Outcome:
    log_probs = pool(seed)[:n]
    asktell_seconds, ours = timed_asktell(log_probs, seed)
    redux_seconds, theirs = timed_redux(log_probs)
    return Outcome(
        redux_seconds,
        asktell_seconds,
        referee(log_probs, theirs, seed),
        referee(log_probs, ours, seed),
        len(set(ours.tolist()) & set(theirs.tolist())),
    )


def measure(quick: bool = False) -> dict[str, Any]:
    """Medians over inputs; the bar is a ratio of 100 at no more than 0.02 nat less information."""
    inputs, n = (1, 50) if quick else (INPUTS, N)
    outcomes = [outcome(seed, n) for seed in range(inputs)]
    return {
        "input": f"n={n} k={K} c={C} b={B}, {inputs} inputs, {torch.get_num_threads()} threads",
        "ratio": statistics.median(o.ratio for o in outcomes),
        "redux_seconds": statistics.median(o.redux_seconds for o in outcomes),
        "asktell_seconds": statistics.median(o.asktell_seconds for o in outcomes),
        "information_gained_over_redux": statistics.median(
            o.asktell_information - o.redux_information for o in outcomes
        ),
        "outcomes": [asdict(o) for o in outcomes],
    }


def lines(m: dict[str, Any]) -> list[Line]:
    """Time, and information by an estimator that neither used."""
    ratio, gained = m["ratio"], m["information_gained_over_redux"]
    seconds = f"{m['asktell_seconds']:.3f} s against {m['redux_seconds']:.1f} s"
    peer = f"batchbald-redux 2.0.5 ({REDUX_SAMPLES:,} samples, double)"
    referee = f"the same, both by {REFEREE_PARTICLES:,} fresh particles"
    return [
        Line("batchbald", peer, m["input"], f"{ratio:.0f}x: {seconds}", "100x", ratio >= 100),
        Line(
            "its joint information",
            referee,
            "the same",
            f"ours - theirs = {gained:+.4f} nat",
            ">= -0.02 nat",
            gained >= -0.02,
        ),
    ]
