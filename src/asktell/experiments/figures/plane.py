"""Figures over the plane of the two moons: decision boundaries, the terms of BALD, what posteriors do not know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from asktell.arrays import LogProbs
from asktell.experiments.figures.moons import CHOICES, CLASSES, Moons, Stage, stages
from asktell.experiments.figures.style import GREY, PAGE, styled
from asktell.experiments.posteriors import LEARNERS
from asktell.experiments.protocols import Protocol
from asktell.learners import Round
from asktell.randomness import derive
from asktell.rows import TensorRows
from asktell.scores import uncertainty
from asktell.training import network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

STRATEGIES = ("random", "margin", "entropy", "bald")
SIDE = 120
"""Points of the grid along each side of a panel."""
POSTERIOR_POINTS = 8
"""Labelled points of each class that posteriors are compared on."""
_LEFT, _RIGHT, _LOW, _HIGH = -1.5, 2.5, -1.0, 1.5
_DISCS = ("#8C4A00", "#432371")
_NOTE = "Numbers: the round that asked for the label; 0 = labelled at the start."


@dataclass(frozen=True)
class Scale:
    """What the colours from 0 to `highest` mean; `part` of matplotlib's colours is used, `pool` is the points' own."""

    label: str
    highest: float
    colours: str
    part: tuple[float, float]
    pool: str


PROBABILITY: Final = Scale("P(class 1)", 1.0, "PuOr", (0.27, 0.73), "black")


def nats(highest: float) -> Scale:
    """Information."""
    return Scale("nats", highest, "cividis", (0.0, 1.0), "white")


@dataclass(frozen=True, eq=False)
class Row:
    """One row of panels: its name, its scale, the stages, and a value per point of the grid for each."""

    name: str
    scale: Scale
    stages: Sequence[Stage]
    values: Sequence[Tensor]


def boundaries(
    *, seed: int = 0, choices: Protocol = CHOICES, strategies: Sequence[str] = STRATEGIES, side: int = SIDE
) -> "Figure":
    """P(class 1), the mean of the draws, by strategy and number of labels, with the points that were asked."""
    with TemporaryDirectory() as folder:
        asked = {name: stages(name, Path(folder) / name, seed=seed, choices=choices) for name in strategies}
    return _drawn(
        [
            Row(name, PROBABILITY, own, [probability(on_grid(stage, side)) for stage in own])
            for name, own in asked.items()
        ]
    )


def bald_terms(*, seed: int = 0, choices: Protocol = CHOICES, side: int = SIDE) -> "Figure":
    """BALD, the two entropies whose difference it is, and P(class 1), by number of labels; asked by BALD."""
    with TemporaryDirectory() as folder:
        asked = stages("bald", Path(folder), seed=seed, choices=choices)
    predicted = [on_grid(stage, side) for stage in asked]
    total, aleatoric, epistemic = zip(*map(uncertainty, predicted), strict=True)
    highest = max(float(values.max()) for values in epistemic)
    return _drawn(
        [
            Row("BALD", nats(highest), asked, epistemic),
            Row("entropy of\nthe mean", nats(math.log(2)), asked, total),
            Row("mean of the\nentropies", nats(math.log(2)), asked, aleatoric),
            Row("mean\nprediction", PROBABILITY, asked, [probability(log_probs) for log_probs in predicted]),
        ]
    )


def posteriors(
    *, seed: int = 0, choices: Protocol = CHOICES, names: Sequence[str] = tuple(LEARNERS), side: int = SIDE
) -> "Figure":
    """Epistemic uncertainty over the plane by posterior, all fitted on the same points, which are drawn."""
    moons = Moons.made()
    rows = [int(row) for row in moons.start(POSTERIOR_POINTS, seed)]
    data = Round(0, CLASSES, TensorRows(moons.points[rows]), moons.labels[rows])
    epistemic = {name: _epistemic(name, data, choices, seed, side) for name in names}
    with styled():
        return _gallery(epistemic, data, nats(max(float(values.max()) for values in epistemic.values())))


def _gallery(values: Mapping[str, Tensor], data: Round, scale: Scale) -> "Figure":
    """A panel per name, four in a row, on one scale."""
    from matplotlib.figure import Figure

    across, points = min(4, len(values)), data.inputs[0 : len(data.labels)].tolist()
    down = -(-len(values) // across)
    figure = Figure(figsize=(PAGE, 0.3 + 1.25 * down), layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).ravel())
    for axes, (name, shown) in zip(panels, values.items(), strict=False):
        image = _background(axes, shown, scale)
        axes.set_title(name)
        for (x, y), label in zip(points, data.labels.tolist(), strict=True):
            axes.plot(x, y, "o", ms=3.2, color=_DISCS[label], mec="white", mew=0.4)
    for axes in panels[len(values) :]:
        axes.set_axis_off()
    bar = figure.colorbar(image, ax=panels, label=scale.label, aspect=18 * down, pad=0.01)
    bar.outline.set_visible(False)
    figure.supxlabel("Discs: the labelled points that every posterior was fitted on.", fontsize=7, color=GREY)
    return figure


def _epistemic(name: str, data: Round, choices: Protocol, seed: int, side: int) -> Tensor:
    """BALD on the grid."""
    learner = LEARNERS[name](network(choices.network), choices.training)
    posterior = learner.fit(data, generator=derive(seed, "posteriors", "fit", name))
    k = choices.draws if posterior.distinct is None else min(choices.draws, posterior.distinct)
    draws = posterior.draw(k, generator=derive(seed, "posteriors", "draw", name))
    return uncertainty(draws.log_probs(TensorRows(grid(side)))).epistemic


def grid(side: int) -> Tensor:
    """side x side points that fill a panel, [side * side, 2], row by row from below."""
    y, x = torch.meshgrid(torch.linspace(_LOW, _HIGH, side), torch.linspace(_LEFT, _RIGHT, side), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def on_grid(stage: Stage, side: int) -> LogProbs:
    """What the draws of a stage predict on the grid."""
    return stage.draws.log_probs(TensorRows(grid(side)))


def probability(log_probs: LogProbs) -> Tensor:
    """P(class 1), the mean of the draws."""
    return log_probs.double().exp().mean(1)[:, 1]


def _drawn(rows: Sequence[Row]) -> "Figure":
    """A panel per row and stage; rows on the same scale, one below the other, share a colour bar."""
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE, 0.35 + 1.1 * len(rows)), layout="constrained")
        spaces = {"wspace": 0.03, "hspace": 0.03}
        panels = figure.subplots(len(rows), len(rows[0].stages), squeeze=False, gridspec_kw=spaces)
        images = [_row(own, row) for own, row in zip(panels, rows, strict=True)]
        for axes, stage in zip(panels[0], rows[0].stages, strict=True):
            axes.set_title(f"n = {len(stage.points)}")
        for scale, numbered in groupby(range(len(rows)), key=lambda number: rows[number].scale):
            own = list(numbered)
            bar = figure.colorbar(images[own[0]], ax=panels[own], label=scale.label, aspect=18 * len(own), pad=0.01)
            bar.outline.set_visible(False)
        figure.supxlabel(_NOTE, fontsize=7, color=GREY)
    return figure


def _row(panels: "Sequence[Axes]", row: Row) -> "AxesImage":
    panels[0].set_ylabel(row.name)
    for axes, stage, values in zip(panels, row.stages, row.values, strict=True):
        image = _background(axes, values, row.scale)
        _mark(axes, stage)
    return image


def _background(axes: "Axes", values: Tensor, scale: Scale) -> "AxesImage":
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    side = math.isqrt(len(values))
    image = axes.imshow(
        values.reshape(side, side).numpy(),
        origin="lower", extent=(_LEFT, _RIGHT, _LOW, _HIGH), aspect="auto", interpolation="none",
        cmap=ListedColormap(colormaps[scale.colours](np.linspace(*scale.part, 256))), vmin=0.0, vmax=scale.highest,
    )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    x, y = Moons.made().points.T
    axes.scatter(x, y, s=0.7, color=scale.pool, alpha=0.22, linewidths=0, rasterized=True, gid="pool")
    return image


def _mark(axes: "Axes", stage: Stage) -> None:
    """A disc in the colour of the class, and on it the round that asked; later rounds on top."""
    for (x, y), label, asked in zip(stage.points.tolist(), stage.labels.tolist(), stage.asked, strict=True):
        place = 3 + asked
        axes.plot(x, y, "o", ms=5.2, color=_DISCS[label], mec="white", mew=0.4, zorder=place)
        axes.text(x, y, str(asked), size=4.2, color="white", ha="center", va="center_baseline", zorder=place)
