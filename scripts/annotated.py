"""The table and the figure of what `scripts/annotator.py` recorded.

    python scripts/annotated.py results/annotator

Writes README.md and curves.png beside the recorded files. Labels are answers given, those of the audit included, when
the first model that was good enough began to train: a model learns nine of ten answers.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claims import table

from asktell.experiments.curves import Curve, Outcome, RecordedCell
from asktell.experiments.figures.curves import learning_curves
from asktell.experiments.figures.saving import save
from asktell.experiments.statistics import Estimate, accuracy_by_size, crossing, difference_by_size, points
from asktell.writing import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRID = 50
TARGETS = (80, 90, 95)
HEAD = """# A simulated annotator against a served project

`python scripts/annotator.py results/annotator`, then `python scripts/annotated.py results/annotator`.

`asktell new` with all defaults (for text MiniLM, for images EfficientNet-Lite0, MC dropout on them) but the strategy,
`asktell serve` with its worker, and a client that answers one question after the other with the true label, each once
the worker has chosen it. 400 items are held out, the same for all, and measure accuracy; one tenth of the others is the
audit. Labels are answers given, those of the audit included, when a model began to train. {seeds} seeds of the project,
from which audit, networks and questions are drawn: means with 95 % intervals, differences paired by seed; for labels
the mean and the range.
"""


def main(folder: str) -> None:
    """Read, write."""
    cells = [_cell(json.loads(path.read_text())) for path in sorted(Path(folder).glob("*.json"))]
    names = sorted({cell.protocol for cell in cells})
    seeds = len({cell.seed for cell in cells})
    parts = [HEAD.format(seeds=seeds), *(section(name, [c for c in cells if c.protocol == name]) for name in names)]
    write_whole(Path(folder) / "README.md", "\n".join([*parts, "![Learning curves](curves.png)\n"]).encode())
    save(figure(cells), Path(folder) / "curves.png")


def figure(cells: Sequence[RecordedCell]) -> "Figure":
    """The learning curves, one panel per data set."""
    drawn = learning_curves([_curve(cells, *key) for key in sorted({cell.key[:2] for cell in cells})])
    for axes in drawn.axes:
        axes.set(xlabel="answers given", ylabel="held-out accuracy (%)")
    return drawn


def section(name: str, cells: Sequence[RecordedCell]) -> str:
    """The two tables of one data set."""
    names = sorted({cell.strategy for cell in cells})
    by_strategy = {strategy: [c for c in cells if c.strategy == strategy] for strategy in names}
    return "\n".join([f"## {name}\n", _labels(by_strategy), "", _accuracies(by_strategy), ""])


def _labels(by_strategy: Mapping[str, Sequence[RecordedCell]]) -> str:
    rows = [[name, *(str(crossing(cells, target)) for target in TARGETS)] for name, cells in by_strategy.items()]
    return table(["labels to", *(f"{target} %" for target in TARGETS)], rows)


def _accuracies(by_strategy: Mapping[str, Sequence[RecordedCell]]) -> str:
    curves = {name: [_on_grid(cell) for cell in cells] for name, cells in by_strategy.items()}
    accuracies = [accuracy_by_size(cells) for cells in curves.values()]
    pairs = list(combinations(curves, 2))
    differences = [difference_by_size(curves[one], curves[other]) for one, other in pairs]
    head = ["held-out accuracy, %", *curves, *(f"{one} - {other}" for one, other in pairs)]
    rows = [
        [f"{n} labels", *(_percent(a[n]) for a in accuracies), *(points(d[n]) for d in differences)]
        for n in sorted(set.intersection(*map(set, accuracies)))
    ]
    return table(head, rows)


def _percent(found: Estimate) -> str:
    mean, low, high = (f"{100 * value:.1f}" for value in (found.mean, found.low, found.high))
    return f"{mean} [{low}, {high}]"


def _curve(cells: Sequence[RecordedCell], protocol: str, strategy: str) -> Curve:
    found = [_on_grid(cell) for cell in cells if (cell.protocol, cell.strategy) == (protocol, strategy)]
    return Curve(protocol, strategy, tuple(found))


def _on_grid(cell: RecordedCell) -> RecordedCell:
    """At every multiple of `GRID` the newest model that had begun to train by then."""
    last = cell.outcomes[-1].n_labelled
    by_then = [(n, [o for o in cell.outcomes if o.n_labelled <= n]) for n in range(GRID, last + GRID, GRID)]
    outcomes = [_outcome(n, there[-1].accuracy) for n, there in by_then if there]
    return RecordedCell(cell.protocol, cell.strategy, cell.seed, tuple(outcomes))


def _cell(found: Mapping[str, Any]) -> RecordedCell:
    evaluated = [(point["answers"], point["held_out"]) for point in found["curve"]]
    outcomes = tuple(_outcome(answers, held_out["correct"] / held_out["n"]) for answers, held_out in evaluated)
    return RecordedCell(found["data"], found["strategy"], found["seed"], outcomes)


def _outcome(n: int, accuracy: float) -> Outcome:
    return Outcome(0, n, 0, accuracy, 0.0, 0.0, (), 0.0, None, {})


if __name__ == "__main__":
    main(*sys.argv[1:])
