"""What every posterior of a committed run is worth, as a table in Markdown.

    python scripts/posteriors.py results/posteriors deep-ensemble

The area under the curve by strategy; the difference of its mean to that of the posterior named last, paired by seed, in
points with its 95 % interval (the range of the seeds, where they are fewer than five). Then of the last model, means
over strategies and seeds: accuracy, negative log-likelihood, calibration error, AUROC by kind of foreign inputs. Last
the seconds of a fit, median over rounds.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from claims import table

from asktell.experiments.curves import Curve, Outcome, read
from asktell.experiments.statistics import area, estimate, points

OWN = "mc-dropout"


@dataclass(frozen=True)
class Measured:
    """The finished curves of one posterior, by strategy."""

    name: str
    curves: dict[str, Curve]

    def areas(self, *strategies: str) -> dict[int, float]:
        """The area by seed, mean over the strategies, for the seeds that all have."""
        found = [{cell.seed: area(cell) for cell in self.curves[s].cells} for s in strategies or self.curves]
        return {seed: fmean(one[seed] for one in found) for seed in sorted(set.intersection(*map(set, found)))}

    def at_last(self, value: Callable[[Outcome], float]) -> float:
        """A value of the last model, mean over strategies and seeds."""
        return fmean(value(cell.outcomes[-1]) for curve in self.curves.values() for cell in curve.cells)

    def auroc(self, kind: str) -> float:
        """How well the last model tells test items from foreign inputs."""
        return self.at_last(lambda outcome: outcome.auroc[kind])

    def seconds(self) -> float:
        """Seconds of a fit: the median, for a run may share its machine for a while."""
        cells = [cell for curve in self.curves.values() for cell in curve.cells]
        return median(outcome.seconds["fit"] for cell in cells for outcome in cell.outcomes)


def by_posterior(curves: Sequence[Curve]) -> list[Measured]:
    """The curves named POSTERIOR+STRATEGY, gathered; the largest mean area first.

    A curve named STRATEGY is that of the protocol's own learner, MC dropout. What only one posterior was asked by is
    left out.
    """
    found: dict[str, dict[str, Curve]] = {}
    for curve in curves:
        posterior, _, strategy = curve.strategy.rpartition("+")
        found.setdefault(posterior or OWN, {})[strategy] = curve
    asked = Counter(strategy for strategies in found.values() for strategy in strategies)
    shared = {name: {s: c for s, c in strategies.items() if asked[s] > 1} for name, strategies in found.items()}
    measured = (Measured(name, strategies) for name, strategies in shared.items())
    return sorted(measured, key=lambda one: -fmean(one.areas().values()))


def row(one: Measured, reference: Measured, strategies: Sequence[str], foreign: Sequence[str]) -> list[str]:
    """The cells of a table's row."""
    ours, theirs = one.areas(), reference.areas()
    difference = estimate([ours[seed] - theirs[seed] for seed in ours if seed in theirs])
    return [
        one.name,
        *(f"{100 * fmean(one.areas(strategy).values()):.1f}" for strategy in strategies),
        "" if one is reference else points(difference),
        f"{100 * one.at_last(lambda outcome: outcome.accuracy):.1f}",
        f"{one.at_last(lambda outcome: outcome.nll):.2f}",
        f"{one.at_last(lambda outcome: outcome.ece):.2f}",
        *(f"{one.auroc(kind):.2f}" for kind in foreign),
        f"{one.seconds():.1f}",
    ]


def main(folder: str, against: str) -> None:
    """Print the table."""
    measured = by_posterior(read(Path(folder)).curves)
    reference = next(one for one in measured if one.name == against)
    strategies = sorted({strategy for one in measured for strategy in one.curves})
    foreign = sorted({kind for one in measured for c in one.curves.values() for kind in c.cells[0].outcomes[-1].auroc})
    last = max(c.cells[0].outcomes[-1].n_labelled for one in measured for c in one.curves.values())
    head = ["posterior", *strategies, f"to {against}", f"at {last} labels", "NLL", "ECE", *foreign, "seconds"]
    rows = [row(one, reference, strategies, foreign) for one in measured]
    print(table(head, rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
