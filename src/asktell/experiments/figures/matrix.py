"""Every strategy against every other: a matrix of differences."""

from typing import TYPE_CHECKING

from asktell.experiments.comparison import Comparison
from asktell.experiments.figures.style import GREY, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELL = 0.33  # inches
_MARGIN = 1.7


def pairwise(comparison: Comparison) -> "Figure":
    """Row less column: mean difference of the area under the curve, in percentage points; bold where 0 is not inside.

    Rows and columns stand in the order of the comparison, the largest mean area first. Raises `DataError` without
    matplotlib.
    """
    names = comparison.strategies
    points = [[100 * _mean(comparison, one, other) for other in names] for one in names]
    largest = max(abs(value) for row in points for value in row) or 1.0
    with styled():
        from matplotlib.figure import Figure

        side = _MARGIN + _CELL * len(names)
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(points, cmap="PuOr_r", vmin=-largest, vmax=largest)
        for row, one in enumerate(names):
            for column, other in enumerate(names):
                if one != other:
                    _write(axes, column, row, points[row][column], _is_sure(comparison, one, other), largest)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _mean(comparison: Comparison, one: str, other: str) -> float:
    return comparison.differences[one, other].mean if one != other else 0.0


def _is_sure(comparison: Comparison, one: str, other: str) -> bool:
    return comparison.differences[one, other].is_win or comparison.differences[other, one].is_win


def _write(axes: "Axes", column: int, row: int, value: float, sure: bool, largest: float) -> None:
    colour = "white" if abs(value) > 0.75 * largest else "black" if sure else GREY
    axes.text(
        column, row, f"{value:+.1f}", ha="center", va="center", fontsize=5.5, color=colour,
        fontweight="bold" if sure else "normal",
    )  # fmt: skip
