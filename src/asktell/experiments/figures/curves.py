"""Learning curves: test accuracy against training-set size, from recorded cells."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from asktell.errors import DataError
from asktell.experiments.curves import Curve, read
from asktell.experiments.figures.style import COLUMN, GREY, KNOWN, PAGE, Style, styled, styles, tick
from asktell.experiments.statistics import INTERVAL_SEEDS, accuracy_by_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEED_PROTOCOL = "mnist-seed"
SEED_REPOSITORY: Final[Mapping[str, Mapping[int, float]]] = MappingProxyType(
    {
        "random": {20: 45.5, 100: 78.6, 200: 86.4, 300: 89.7, 500: 93.5, 1000: 95.7},
        "margin": {100: 79.5, 200: 90.9, 300: 94.7, 500: 96.8, 1000: 97.8},
        "entropy": {100: 73.3, 200: 87.3, 300: 92.4, 500: 96.0, 1000: 97.5},
        "bald": {100: 78.3, 200: 88.5, 300: 93.4, 500: 96.2, 1000: 97.8},
    }
)
"""Test accuracy in percent by training-set size, as the seed repository stored it (mnist_dict); 20 is common to all."""
_SAID = {"batch": "b =", "draws": "k ="}
_NOTE = "Hollow markers: what the seed repository stored."
_TICKS = (30, 50, 70, 80, 90, 95, 97, 98, 99)
_LEAST_ERROR = 0.1
_PANEL_HEIGHT = 0.76 * COLUMN
INSIDE: Final = 7
"""Curves that can show their seeds and names that hide no curve; more are means alone, with the names beside them."""


@dataclass(frozen=True)
class Panel:
    """The curves of one protocol in one folder, and what the folder says of how they were run."""

    curves: tuple[Curve, ...]
    choices: Mapping[str, object]

    @property
    def protocol(self) -> str:
        """Its name."""
        return self.curves[0].protocol

    @property
    def title(self) -> str:
        """The protocol; its batch and draws where they were recorded; how many seeds there are."""
        said = [f"{word} {self.choices[name]}" for name, word in _SAID.items() if name in self.choices]
        counts = sorted({len(curve.cells) for curve in self.curves})
        seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
        return f"{self.protocol}\n{', '.join([*said, seeds])}"


def learning_curves(curves: Sequence[Curve]) -> "Figure":
    """Test accuracy against training-set size, one panel per protocol, one below the other.

    The line is the mean over seeds; round it a band, the 95 % t-interval, or with fewer than 5 seeds each seed's
    own curve, thin. With more than seven strategies only random shows that. One column of a paper wide, or both
    where a panel has so many. Raises `DataError` without curves, and without matplotlib.
    """
    if not curves:
        raise DataError("there is no finished run to draw")
    protocols = sorted({curve.protocol for curve in curves})
    style = styles(sorted({curve.strategy for curve in curves}))
    crowded = max(Counter(curve.protocol for curve in curves).values()) > INSIDE
    width, height = (PAGE, 1.2 * _PANEL_HEIGHT) if crowded else (COLUMN, _PANEL_HEIGHT)
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height * len(protocols)), layout="constrained")
        grid = figure.subplots(len(protocols), squeeze=False)[:, 0]
        for axes, protocol in zip(grid, protocols, strict=True):
            _panel(axes, [curve for curve in curves if curve.protocol == protocol], style)
            axes.set(xlabel="training-set size (labels)", ylabel="test accuracy (%)")
            axes.set_title(protocol, loc="left", parse_math=False)
    return figure


def panels(folder: Path, strategies: Sequence[str]) -> list[Panel]:
    """The finished runs of these strategies in a folder, by protocol. Raises `DataError` for damaged results."""
    results = read(folder)
    wanted = [curve for curve in results.curves if curve.strategy in strategies]
    return [
        Panel(tuple(c for c in wanted if c.protocol == name), results.protocols.get(name, {}))
        for name in sorted({curve.protocol for curve in wanted})
    ]


def mnist_curves(shown: Sequence[Panel]) -> "Figure":
    """The learning curves side by side on shared axes, and the seed repository's stored numbers over its protocol."""
    with styled():
        figure, grid = _sheet(shown, sharex=True)
        for axes, panel in zip(grid, shown, strict=True):
            if panel.protocol == SEED_PROTOCOL:
                _overlay(axes, [curve.strategy for curve in panel.curves])
                figure.supxlabel(_NOTE, fontsize=7, color=GREY)
    return figure


def bald_vs_batchbald(shown: Sequence[Panel]) -> "Figure":
    """BALD against BatchBALD, a panel per protocol, accuracies on a shared axis."""
    with styled():
        return _sheet(shown, sharex=False)[0]


def _sheet(shown: Sequence[Panel], *, sharex: bool) -> "tuple[Figure, list[Axes]]":
    """A panel each, one to three in a row; accuracies so spaced that an error halved is the same step everywhere."""
    from matplotlib.figure import Figure

    columns = len(shown) if len(shown) <= 3 else 2
    rows = math.ceil(len(shown) / columns)
    width = COLUMN if columns == 1 else PAGE
    figure = Figure(figsize=(width, rows * max(0.76 * width / columns, 2.2)), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=True).flat)
    for spare in grid[len(shown) :]:
        spare.remove()
    style = styles(sorted({curve.strategy for panel in shown for curve in panel.curves}))
    for place, (axes, panel) in enumerate(zip(grid, shown, strict=False)):
        _panel(axes, panel.curves, style)
        axes.set_title(panel.title, loc="left", parse_math=False, fontsize=7.5)
        axes.set(xlabel="training-set size (labels)", ylabel="" if place % columns else "test accuracy (%)")
    _space_by_error(grid[0])
    return figure, grid[: len(shown)]


def _space_by_error(axes: "Axes") -> None:
    axes.set_yscale("function", functions=(_height, _accuracy))
    tick(axes.yaxis, _TICKS)


def _height(accuracy: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(np.clip(100 - accuracy, _LEAST_ERROR, None)))


def _accuracy(height: np.ndarray) -> np.ndarray:
    return np.asarray(100 - np.exp(-height))


def _overlay(axes: "Axes", strategies: Sequence[str]) -> None:
    for name in strategies:
        stored = SEED_REPOSITORY.get(name, {})
        colour, marker, _ = KNOWN[name]
        axes.plot(
            list(stored), list(stored.values()),
            linestyle="none", marker=marker, ms=4.5, mfc="none", mec=colour, mew=0.8, zorder=4, gid="seed repository",
        )  # fmt: skip


def _panel(axes: "Axes", curves: Sequence[Curve], style: Mapping[str, Style]) -> None:
    ordered = sorted(curves, key=lambda curve: (curve.strategy != "random", curve.strategy))
    for place, curve in enumerate(ordered):
        if len(ordered) <= INSIDE or curve.strategy == "random":
            _spread(axes, curve, style[curve.strategy])
        _mean(axes, curve, style[curve.strategy], place)
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    _legend(axes, [curve.strategy for curve in ordered])


def _spread(axes: "Axes", curve: Curve, style: Style) -> None:
    """What the seeds of a strategy say apart from their mean: a band, or the curve of each."""
    means = accuracy_by_size(curve.cells)
    if len(curve.cells) >= INTERVAL_SEEDS:
        low, high = ([100 * getattr(e, end) for e in means.values()] for end in ("low", "high"))
        axes.fill_between(list(means), low, high, color=style[0], alpha=0.15, linewidth=0)
    elif len(curve.cells) > 1:
        for cell in curve.cells:
            accuracies = [100 * y for y in cell.accuracies.values()]
            axes.plot(list(cell.accuracies), accuracies, color=style[0], alpha=0.35, linewidth=0.6)


def _mean(axes: "Axes", curve: Curve, style: Style, place: int) -> None:
    """One strategy; `place` moves its markers along, so that they do not hide those of the others."""
    colour, marker, line = style
    means = accuracy_by_size(curve.cells)
    step = max(1, len(means) // 6)
    axes.plot(
        list(means),
        [100 * e.mean for e in means.values()],
        color=colour,
        linestyle=line,
        marker=marker,
        markevery=(place % step, step),
        gid="mean",
        zorder=3,
    )


def _legend(axes: "Axes", names: Sequence[str]) -> None:
    """Names as they are: no mathematics in a $, and an underscore in front hides nothing."""
    lines = [drawn for drawn in axes.get_lines() if drawn.get_gid() == "mean"]
    legend = axes.legend(
        lines,
        [f"line {number}" for number in range(len(lines))],
        **({"loc": "best"} if len(names) <= INSIDE else {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}),
        framealpha=0.9,
        edgecolor="none",
        handlelength=2.6,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
