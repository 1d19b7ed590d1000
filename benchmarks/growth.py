"""How the batch methods grow: seconds and passes against the number of items and of picks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from asktell.experiments.figures.saving import rendered
from asktell.experiments.figures.style import PAGE, styled
from asktell.randomness import derive
from asktell.selection import Selection, batchbald, k_center, kmeans_pp
from benchmarks import scale
from benchmarks.harness import timed

D = 64
ITEMS, PICKS = (10_000, 100_000, 1_000_000), (10, 100, 1_000)
FEW, MANY = 100, 60_000
LOOK = {"k_center": ("#0072B2", "o", "-"), "kmeans_pp": ("#D55E00", "s", "--"), "batchbald": ("#009E73", "^", ":")}


def features(n: int) -> Tensor:
    """[n, D] in a hundred clusters, float32."""
    generator = derive(0, "growth", n)
    centres = 3 * torch.randn(100, D, generator=generator)
    return centres[torch.randint(100, (n,), generator=generator)] + torch.randn(n, D, generator=generator)


KERNELS: dict[str, tuple[Callable[[int], Tensor], Callable[..., Selection], int]] = {
    "k_center": (features, k_center, 10**9),
    "kmeans_pp": (features, kmeans_pp, 10**9),
    "batchbald": (scale.predictions, batchbald, 100_000),  # a million is measured from disk
}
"""Input, method, most items."""


def measure(quick: bool = False) -> dict[str, Any]:
    """By kernel and axis: {n or b: seconds and passes}."""
    items, picks, many = ((1_000, 2_000), (5, 10), 2_000) if quick else (ITEMS, PICKS, MANY)
    few = 5 if quick else FEW
    return {
        name: {
            "items": {n: once(make(n), method, few) for n in items if n <= most},
            "picks": {b: once(make(many), method, b) for b in picks},
        }
        for name, (make, method, most) in KERNELS.items()
    }


def once(points: Tensor, method: Callable[..., Selection], b: int) -> dict[str, object]:
    """One run."""
    seconds, selection = timed(lambda: method(points, b, generator=derive(0, "growth")))
    return {"seconds": seconds, "passes": selection.report.passes, "rows_read": selection.report.rows_read}


def picture(m: dict[str, Any]) -> bytes:
    """Four panels: seconds and passes, against n and against b."""
    with styled():
        from matplotlib.figure import Figure
        from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

        figure = Figure(figsize=(PAGE, 0.62 * PAGE), layout="constrained")
        panels = figure.subplots(2, 2, sharex="col", sharey="row")
        given = {"items": f"items (b = {FEW})", "picks": f"picks (n = {MANY:,})"}
        for row, what in zip(panels, ("seconds", "rows_read"), strict=True):
            for axes, (axis, label) in zip(row, given.items(), strict=True):
                _panel(axes, m, axis, what)
                axes.set_xlabel(label if what == "rows_read" else "")
        panels[0, 0].set_ylabel("seconds")
        panels[1, 0].set_ylabel("passes over the pool\n(rows read / items)")
        panels[0, 1].legend(frameon=False, loc="center left", bbox_to_anchor=(0.3, 0.72))
        for axes in panels[1]:
            axes.set_ylim(0.9, 4.4)
            axes.yaxis.set_major_locator(FixedLocator([1, 2, 3, 4]))
            axes.yaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_locator(NullLocator())
        return rendered(figure, dpi=200)


def _panel(axes: Any, m: dict[str, Any], axis: str, what: str) -> None:
    for name, (colour, marker, line) in LOOK.items():
        found = {int(size): run for size, run in m[name][axis].items()}
        values = [run[what] / (1 if what == "seconds" else n if axis == "items" else MANY) for n, run in found.items()]
        axes.loglog(list(found), values, color=colour, marker=marker, linestyle=line, label=name)
    axes.grid(color="#dddddd", linewidth=0.5)
