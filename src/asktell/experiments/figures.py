"""Learning curves as a figure: colours that colour-blind readers can tell apart, the same for a strategy everywhere.

Needs matplotlib: pip install 'asktell[report]'.
"""

import hashlib
import importlib.util
import warnings
from collections.abc import Sequence
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Any

from asktell.errors import DataError
from asktell.experiments.curves import Curve
from asktell.experiments.statistics import INTERVAL_SEEDS, accuracy_by_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.4
"""Inches: one column of a paper."""

Style = tuple[str, str, str]
"""Colour, marker, line."""

# Okabe and Ito 2008, without the yellow, which vanishes on white.
_BLACK, _ORANGE, _SKY, _GREEN, _BLUE, _RED, _PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
KNOWN: dict[str, Style] = {
    "random": ("#666666", "o", "--"),
    "batchbald": (_RED, "s", "-"),
    "bald": (_BLUE, "^", "-"),
    "entropy": (_GREEN, "D", "-"),
    "margin": (_PINK, "v", "-"),
    "least-confident": (_SKY, "P", "-"),
    "power-bald": (_ORANGE, "X", "-"),
    "mean-std": (_BLACK, "<", ":"),
    "epig": (_BLACK, "*", "-"),
    "mc-variation-ratio": (_SKY, "d", "--"),
    "vote-entropy": (_GREEN, "<", "--"),
    "max-kl": (_PINK, "p", "--"),
}
_OTHERS: tuple[Style, ...] = tuple(
    (colour, marker, line)
    for line, marker, colour in product(
        ("-.", ":", "-"), (">", "h", "p", "*"), (_BLUE, _RED, _GREEN, _ORANGE, _PINK, _SKY)
    )
)
_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.5,
    "path.simplify": False,
}


def styles(strategies: Sequence[str]) -> dict[str, Style]:
    """Colour, marker and line of each strategy: fixed for the known ones, from the name for others, never twice.

    >>> styles(["bald"])["bald"] == styles(["random", "bald"])["bald"]
    True
    """
    chosen = {name: KNOWN[name] for name in strategies if name in KNOWN}
    for name in sorted(set(strategies) - set(KNOWN)):
        start = int(hashlib.sha256(name.encode()).hexdigest(), 16)
        turns = (_OTHERS[(start + step) % len(_OTHERS)] for step in range(len(_OTHERS)))
        chosen[name] = next((style for style in turns if style not in chosen.values()), _OTHERS[0])
    return chosen


def learning_curves(curves: Sequence[Curve], *, width: float = WIDTH) -> "Figure":
    """Test accuracy against training-set size, one panel per protocol, one below the other.

    The line is the mean over seeds; round it a band, the 95 % t-interval, or with fewer than 5 seeds each seed's
    own curve, thin. Raises `DataError` without curves, and without matplotlib.
    """
    if not curves:
        raise DataError("there is no finished run to draw")
    _need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    protocols = sorted({curve.protocol for curve in curves})
    style = styles(sorted({curve.strategy for curve in curves}))
    with rc_context(_SETTINGS):
        figure = Figure(figsize=(width, 0.76 * width * len(protocols)), layout="constrained")
        panels = figure.subplots(len(protocols), squeeze=False)[:, 0]
        for axes, protocol in zip(panels, protocols, strict=True):
            _panel(axes, [curve for curve in curves if curve.protocol == protocol], style)
    return figure


def png(figure: "Figure", *, dpi: int = 300) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in scripts that the font lacks show as boxes
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise DataError("figures need matplotlib: pip install 'asktell[report]'")


def _panel(axes: "Axes", curves: Sequence[Curve], style: dict[str, Style]) -> None:
    ordered = sorted(curves, key=lambda curve: (curve.strategy != "random", curve.strategy))
    for place, curve in enumerate(ordered):
        _draw(axes, curve, style[curve.strategy], place)
    axes.set_title(curves[0].protocol, loc="left", parse_math=False)
    axes.set_xlabel("training-set size (labels)")
    axes.set_ylabel("test accuracy (%)")
    axes.grid(axis="y", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    _legend(axes, [curve.strategy for curve in ordered])


def _draw(axes: "Axes", curve: Curve, style: Style, place: int) -> None:
    """One strategy; `place` moves its markers along, so that they do not hide those of the others."""
    colour, marker, line = style
    means = accuracy_by_size(curve.cells)
    sizes = list(means)
    step = max(1, len(sizes) // 6)
    if len(curve.cells) >= INTERVAL_SEEDS:
        low, high = ([100 * getattr(e, end) for e in means.values()] for end in ("low", "high"))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
    elif len(curve.cells) > 1:
        for cell in curve.cells:
            axes.plot(
                list(cell.accuracies),
                [100 * y for y in cell.accuracies.values()],
                color=colour,
                alpha=0.35,
                linewidth=0.6,
            )
    axes.plot(
        sizes,
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
        loc="lower right",
        framealpha=0.9,
        edgecolor="none",
        handlelength=2.6,
    )
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
