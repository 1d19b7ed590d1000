"""The tables of docs/claims.md: what others report beside what the committed cells say, read from results/."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from asktell.experiments import curves
from asktell.experiments.curves import RecordedCell
from asktell.experiments.statistics import Estimate, accuracy_by_size, crossing, difference_by_size, fill_share

RESULTS = Path(__file__).parents[1] / "results"
NOT_RUN = "not run yet"


@dataclass(frozen=True)
class Run:
    """The finished cells of one protocol."""

    name: str

    def cells(self, strategy: str) -> tuple[RecordedCell, ...]:
        """One finished cell per seed."""
        folder = RESULTS / self.name
        found = curves.read(folder).curves if folder.exists() else ()
        return next((c.cells for c in found if (c.protocol, c.strategy) == (self.name, strategy)), ())

    def labels(self, strategy: str, target: int) -> str:
        """Labels to a test accuracy of `target` %."""
        cells = self.cells(strategy)
        return str(crossing(cells, target)) if cells else NOT_RUN

    def accuracy(self, strategy: str, n: int) -> str:
        """Test accuracy after training on `n` labels, %: mean, and the range or interval of the seeds."""
        found = accuracy_by_size(self.cells(strategy))
        return _percent(found[n]) if n in found else NOT_RUN

    def difference(self, strategy: str, reference: str, n: int) -> str:
        """Accuracy minus the reference's, in points, paired by seed."""
        found = difference_by_size(self.cells(strategy), self.cells(reference))
        return _percent(found[n], "+") if n in found else NOT_RUN

    def saturated(self, strategy: str) -> str:
        """The pick from which on a batch said nothing more, and the share of picks that were fill."""
        cells = self.cells(strategy)
        picks = [o.saturated_at for cell in cells for o in cell.outcomes if o.saturated_at is not None]
        if not cells:
            return NOT_RUN
        filled = f"{100 * fill_share(cells):.0f} % of the picks are fill"
        return f"after {_span(min(picks), max(picks))} picks; {filled}" if picks else "in no round"

    def seconds(self, strategy: str, *phases: str) -> str:
        """Seconds of a round, mean over rounds and seeds."""
        cells = self.cells(strategy)
        rounds = [sum(o.seconds.get(phase, 0.0) for phase in phases) for c in cells for o in c.outcomes if o.ids]
        return f"{fmean(rounds):.1f}" if rounds else NOT_RUN


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _percent(found: Estimate, sign: str = "") -> str:
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in (found.mean, found.low, found.high))
    return f"{mean} ({low} to {high})" if found.seeds > 1 else f"{mean} (one seed)"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def seed_curves() -> str:
    """The seed repository's learning curves: its stored numbers beside ours."""
    run = Run("mnist-seed")
    theirs = {
        "random": ("310", "670", "not reached", "95.7"),
        "margin": ("190", "320", "580", "97.8"),
        "entropy": ("260", "460", "730", "97.5"),
        "bald": ("220", "400", "670", "97.8"),
        "batchbald": ("not stored",) * 4,
    }
    rows = [
        [name, *(f"{stored}<br>**{ours}**" for stored, ours in zip(stored, _reached(run, name), strict=True))]
        for name, stored in theirs.items()
    ]
    return table(["strategy", "labels to 90 %", "95 %", "97 %", "accuracy at 1,000 (ours 1,020), %"], rows)


def _reached(run: Run, strategy: str) -> list[str]:
    return [*(run.labels(strategy, target) for target in (90, 95, 97)), run.accuracy(strategy, 1020)]


def seed_batches() -> str:
    """BatchBALD against BALD at a hundred labels a round, by draws."""
    rows = []
    for name, k in (("mnist-seed", 10), ("mnist-seed-k100", 100)):
        run = Run(name)
        differences = [run.difference("batchbald", "bald", n) for n in (120, 320, 520, 1020)]
        rows.append([str(k), run.saturated("batchbald"), *differences, run.seconds("batchbald", "evidence", "select")])
    head = [
        "draws",
        "BatchBALD saturates",
        "at 120 labels",
        "320",
        "520",
        "1,020",
        "seconds a round to score and select",
    ]
    return table(head, rows)


def small_batches() -> str:
    """BatchBALD minus BALD at four labels a round."""
    run = Run("mnist-small-batch-small")
    sizes = (40, 60, 80, 100)
    rows = [
        ["batchbald - bald", *(run.difference("batchbald", "bald", n) for n in sizes)],
        *([name, *(run.accuracy(name, n) for n in sizes)] for name in ("random", "bald", "batchbald")),
    ]
    return table(["", *(f"{n} labels" for n in sizes)], rows)


def batchbald() -> str:
    """MNIST, ten labels a round: Kirsch et al. 2019."""
    paper = {
        "bald": ("130 / 130 / 180", "260 / 260 / > 300", "85.7 ± 1.3"),
        "batchbald": ("80 / 100 / 120", "200 / 210 / 240", "89.2 ± 1.8"),
    }
    return _compared("mnist-batchbald-small", paper, 100)


def repeated() -> str:
    """RepeatedMNIST, ten labels a round: Kirsch et al. 2019."""
    paper = {
        "random": ("190 / 200 / 230 (5 a round)", "not reached", "80.1 ± 2.7"),
        "bald": ("270 / 290 / > 300", "not reached", "75.9 ± 4.5"),
        "batchbald": ("130 / 130 / 140", "270 / 270 / 290", "88.4 ± 0.7"),
    }
    return _compared("repeated-mnist-small", paper, 100)


def _compared(name: str, paper: Mapping[str, Sequence[str]], n: int) -> str:
    run = Run(name)
    rows = []
    for strategy in ("random", "margin", "bald", "batchbald", "power-bald"):
        theirs = paper.get(strategy, ("-",) * 3)
        ours = (run.labels(strategy, 90), run.labels(strategy, 95), run.accuracy(strategy, n))
        cells = [f"{a}<br>**{b}**" for a, b in zip(theirs, ours, strict=True)]
        rows.append([strategy, *cells, run.accuracy(strategy, 200), run.saturated(strategy)])
    head = ["strategy", "labels to 90 %", "95 %", f"accuracy at {n}, %", "at 200, %", "saturates"]
    return table(head, rows)


def dbal() -> str:
    """Images to a test error: Gal et al. 2017, table 1."""
    paper = {
        "bald": ("145", "335"),
        "mc-variation-ratio": ("120", "295"),
        "entropy": ("165", "355"),
        "mean-std": ("230", "695"),
        "random": ("255", "835"),
    }
    run = Run("mnist-dbal-small")
    rows = []
    for strategy, theirs in paper.items():
        ours = *(run.labels(strategy, t) for t in (80, 85, 90)), *(run.accuracy(strategy, n) for n in (100, 170))
        rows.append([strategy, *theirs, *(f"**{value}**" for value in ours)])
    head = ["strategy", "paper: 10 % error", "5 %", "ours: 20 %", "15 %", "10 %", "accuracy at 100, %", "at 170, %"]
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "seed-curves": seed_curves,
    "seed-batches": seed_batches,
    "small-batches": small_batches,
    "batchbald": batchbald,
    "repeated": repeated,
    "dbal": dbal,
}
"""The tables by the name that the page has for their place."""
