"""How figures look: colours that colour-blind readers can tell apart, the same for a strategy everywhere.

Needs matplotlib: pip install 'asktell[figures]'.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

from asktell.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axis import Axis

COLUMN, PAGE = 3.4, 7.0
"""Inches: one column of a paper, and both."""

Style = tuple[str, str, str]
"""Colour, marker, line."""

# Okabe and Ito 2008, without the yellow, which vanishes on white.
_BLACK, _ORANGE, _SKY, _GREEN, _BLUE, _RED, _PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#666666"
KNOWN: dict[str, Style] = {
    "random": (GREY, "o", "--"),
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
    "badge": (_GREEN, "p", "-."),
    "kmeans-margin": (_PINK, "h", "-."),
    "core-set": (_BLUE, "p", "-."),
    "core-set-robust": (_BLUE, "h", ":"),
    "typiclust": (_RED, ">", "-."),
    "probcover": (_ORANGE, "p", "-."),
    "facility-location": (_BLUE, "*", "-"),
    "suggestive-annotation": (_GREEN, "h", ":"),
    "cal": (_SKY, ">", "-."),
    "bait": (_SKY, "*", "-"),
    "egl": (_ORANGE, "h", ":"),
    "egl-full": (_ORANGE, "*", "-"),
    "loss-prediction": (_BLACK, "p", "-."),
    "vaal": (_PINK, ">", ":"),
    "discriminative": (_GREEN, ">", "--"),
    "label-dispersion": (_BLACK, "h", "--"),
    "ceal": (_RED, "*", ":"),
    "svp": (_RED, "h", "--"),
}
POSTERIORS: dict[str, tuple[str, str]] = {
    "mc-dropout": (_BLACK, "o"),
    "deep-ensemble": (_BLUE, "s"),
    "snapshot-ensemble": (_ORANGE, "v"),
    "diverse-ensemble": (_GREEN, "s"),
    "split-head": (_RED, "^"),
    "stochastic-ensemble": (_PINK, "P"),
    "bayes-by-backprop": (_SKY, "X"),
    "laplace": (_SKY, "<"),
    "bagging": (_GREEN, "d"),
    "random-forest": (_ORANGE, "<"),
    "gradient-boosting": (_RED, "p"),
}
"""Colour and marker of a posterior, whatever it is asked by."""
LINES: dict[str, str] = {"bald": "-", "random": "--", "entropy": ":", "mc-variation-ratio": "-."}
"""How a posterior's curve is drawn that was asked by these."""
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
    "svg.fonttype": "none",
    "svg.hashsalt": "asktell",
    "pdf.fonttype": 42,
}


def styles(strategies: Sequence[str]) -> dict[str, Style]:
    """Colour, marker and line of each strategy: fixed for the known ones, from the name for others, never twice.

    >>> styles(["bald"])["bald"] == styles(["random", "bald"])["bald"]
    True
    """
    chosen = {name: style for name in strategies if (style := _known(name)) is not None}
    for name in sorted(set(strategies) - set(chosen)):
        start = int(hashlib.sha256(name.encode()).hexdigest(), 16)
        turns = (_OTHERS[(start + step) % len(_OTHERS)] for step in range(len(_OTHERS)))
        chosen[name] = next((style for style in turns if style not in chosen.values()), _OTHERS[0])
    return chosen


def _known(name: str) -> Style | None:
    """The style of a known strategy, also of one by a known posterior: POSTERIOR+STRATEGY."""
    posterior, _, strategy = name.rpartition("+")
    if posterior in POSTERIORS and strategy in LINES:
        return *POSTERIORS[posterior], LINES[strategy]
    return KNOWN.get(name)


def check_matplotlib() -> None:
    """Raise `DataError` unless matplotlib is there."""
    if importlib.util.find_spec("matplotlib") is None:
        raise DataError("figures need matplotlib: pip install 'asktell[figures]'")


@contextmanager
def styled() -> Iterator[None]:
    """What is drawn and saved inside looks like ours. Raises `DataError` without matplotlib."""
    check_matplotlib()
    from matplotlib import rc_context

    with rc_context(_SETTINGS):
        yield


def tick(axis: "Axis", places: Sequence[int]) -> None:
    """Plain numbers at these places and nowhere else."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(places))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
