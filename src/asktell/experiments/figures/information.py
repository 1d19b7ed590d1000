"""What a batch tells about the model: the sum that top-k BALD believes in, and what its labels tell together.

Real MC dropout on real data: MNIST, the network and training of the seed repository.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from asktell.arrays import LogProbs
from asktell.experiments.figures.style import GREY, KNOWN, PAGE, styled, tick
from asktell.experiments.protocols import Protocol, protocol
from asktell.experiments.split import split
from asktell.learners import Round, SingleNetwork
from asktell.randomness import derive
from asktell.rows import TensorRows
from asktell.scores import bald
from asktell.selection import batchbald, joint_information, top_k
from asktell.training import network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHOICES: Final = replace(protocol("mnist-seed"), name="information-figure", initial_per_class=8, pool_size=1_080)
DRAWS = (10, 100, 1_000)
BATCH = 50
PARTICLES = 5_000
TICKS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True, eq=False)
class Information:
    """Nats of the first 1..b picks with k draws.

    `summed`: BALD added up over the top-BALD batch; `top` and `joint`: what the labels of that batch, and of the
    BatchBALD batch, tell together, by an estimator that neither was picked with. `saturated_at`: from which pick on
    BatchBALD had nothing more to gain; None if it always had.
    """

    k: int
    summed: Tensor
    top: Tensor
    joint: Tensor
    saturated_at: int | None


def measured(log_probs: LogProbs, b: int, *, seed: int, particles: int = PARTICLES) -> Information:
    """Pick b rows by top-k BALD and by BatchBALD, and measure both batches."""
    score = bald(log_probs)
    top = top_k(score, b, generator=derive(seed, "top")).indices
    batch = batchbald(log_probs, b, generator=derive(seed, "batchbald"))

    def told(rows: Tensor) -> Tensor:
        return joint_information(log_probs[rows], particles=particles, generator=derive(seed, "referee"))

    k, summed = log_probs.shape[1], score[top].cumsum(0)
    return Information(k, summed, told(top), told(batch.indices), batch.report.saturated_at)


def predicted(k: int, *, seed: int, choices: Protocol = CHOICES) -> LogProbs:
    """What k draws of a network trained on the protocol's start predict for the rest of its pool, [n, k, c]."""
    data = split(choices, seed)
    inputs, labels = data.data.inputs, data.data.labels
    learner = SingleNetwork(network(choices.network), choices.training)
    start = Round(0, data.data.classes, TensorRows(inputs[data.start]), labels[data.start])
    posterior = learner.fit(start, generator=derive(seed, choices.name, "fit"))
    rest = data.pool[~torch.isin(data.pool, data.start)]
    return posterior.draw(k, generator=derive(seed, choices.name, "draw")).log_probs(TensorRows(inputs[rest]))


def batch_information(
    *,
    seed: int = 0,
    choices: Protocol = CHOICES,
    draws: Sequence[int] = DRAWS,
    b: int = BATCH,
    particles: int = PARTICLES,
) -> "Figure":
    """Nats by batch size: summed BALD against joint information, one panel per number of draws."""
    log_probs = predicted(max(draws), seed=seed, choices=choices)
    return drawn([measured(log_probs[:, :k], b, seed=seed, particles=particles) for k in draws])


def drawn(information: Sequence[Information]) -> "Figure":
    """One panel per number of draws, on shared logarithmic axes."""
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE, 0.38 * PAGE), layout="constrained")
        panels = figure.subplots(1, len(information), sharex=True, sharey=True, squeeze=False)[0]
        for axes, found in zip(panels, information, strict=True):
            _panel(axes, found)
        panels[0].set(xscale="log", yscale="log", ylabel="nats")
        tick(panels[0].xaxis, TICKS)
        tick(panels[0].yaxis, TICKS)
        panels[0].legend(loc="upper left", frameon=False, borderaxespad=0.2, handlelength=2.2)
    return figure


def _panel(axes: "Axes", found: Information) -> None:
    ceiling = math.log(found.k)
    axes.axhline(ceiling, color=GREY, linestyle="--", linewidth=0.8, label="ceiling, log k")
    _line(axes, found.summed, "bald", "BALD, summed", marker="", linestyle=":")
    _line(axes, found.top, "bald", "top BALD, joint")
    _line(axes, found.joint, "batchbald", "BatchBALD, joint")
    if found.saturated_at is not None:
        said = f"BatchBALD saturated\nafter {found.saturated_at} picks"
        axes.text(0.98, 0.03, said, color=KNOWN["batchbald"][0], fontsize=7, ha="right", transform=axes.transAxes)
    axes.set_title(f"k = {found.k:,} draws, log k = {ceiling:.2f}", loc="left")
    axes.set_xlabel("batch size")


def _line(axes: "Axes", nats: Tensor, strategy: str, label: str, **changes: str) -> None:
    colour, marker, line = KNOWN[strategy]
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line} | changes
    marked = [size - 1 for size in TICKS if size <= len(nats)]
    axes.plot(range(1, len(nats) + 1), nats.tolist(), label=label, markevery=marked, **look)
