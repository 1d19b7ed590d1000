"""All strategies against all others over several protocols: areas under the learning curve, paired by seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import fmean, variance

from scipy.special import stdtrit

from asktell.experiments.curves import Curve, Results
from asktell.experiments.statistics import Estimate, area, estimate

Areas = Mapping[str, Mapping[int, float]]
"""Area under the curve by protocol and seed."""


@dataclass(frozen=True)
class Difference:
    """How much larger one area is than another: the mean over protocols of the mean over seeds, paired by seed.

    `low` and `high` bound its 95 % interval: the protocols are fixed, their seeds are drawn, each protocol has its own
    variance (Welch 1947, for the degrees of freedom). `sets` is in how many protocols the mean is above zero.
    """

    mean: float
    low: float
    high: float
    sets: int

    @property
    def is_win(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0


@dataclass(frozen=True)
class Comparison:
    """The strategies that finished everywhere, the largest mean area first, and their differences by (one, other)."""

    protocols: tuple[str, ...]
    strategies: tuple[str, ...]
    areas: Mapping[tuple[str, str], Estimate]
    differences: Mapping[tuple[str, str], Difference]

    def wins(self, strategy: str) -> int:
        """How many others it beats."""
        return sum(found.is_win for (one, _), found in self.differences.items() if one == strategy)

    def losses(self, strategy: str) -> int:
        """How many others beat it."""
        return sum(found.is_win for (_, other), found in self.differences.items() if other == strategy)

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "protocols": list(self.protocols),
            "strategies": {
                name: {
                    "area": {protocol: self.areas[name, protocol].mean for protocol in self.protocols},
                    "wins": self.wins(name),
                    "losses": self.losses(name),
                    "against": {o: [d.mean, d.low, d.high] for (one, o), d in self.differences.items() if one == name},
                }
                for name in self.strategies
            },
        }


def compare(results: Results) -> Comparison | None:
    """The comparison of the strategies that finished the same seeds, two or more, in every protocol.

    None with fewer than two protocols or two such strategies.
    """
    curves = results.curves
    protocols = tuple(dict.fromkeys(curve.protocol for curve in curves))
    areas = {name: _areas(curves, name) for name in dict.fromkeys(curve.strategy for curve in curves)}
    complete = {name: found for name, found in areas.items() if _seeds(found) == _most(protocols, curves)}
    if len(protocols) < 2 or len(complete) < 2:
        return None
    order = sorted(complete, key=lambda name: (-_mean(complete[name]), name))
    return Comparison(
        protocols,
        tuple(order),
        {(name, p): estimate(list(complete[name][p].values())) for name in order for p in protocols},
        {(one, other): difference(complete[one], complete[other]) for one, other in permutations(order, 2)},
    )


def difference(ours: Areas, theirs: Areas) -> Difference:
    """`ours` minus `theirs`: the same protocols, and in each the same seeds, at least two.

    >>> difference({"a": {0: 0.5, 1: 0.7}}, {"a": {0: 0.4, 1: 0.6}}).is_win
    True
    """
    pairs = [[ours[p][seed] - theirs[p][seed] for seed in ours[p]] for p in ours]
    means, noise = [fmean(one) for one in pairs], [variance(one) / len(one) for one in pairs]
    mean, total = fmean(means), math.fsum(noise)
    half = 0.0
    if total > 0:
        freedom = total**2 / math.fsum(v**2 / (len(one) - 1) for v, one in zip(noise, pairs, strict=True))
        half = float(stdtrit(freedom, 0.975)) * math.sqrt(total) / len(pairs)
    return Difference(mean, mean - half, mean + half, sum(one > 0 for one in means))


def _areas(curves: Sequence[Curve], strategy: str) -> Areas:
    return {c.protocol: {cell.seed: area(cell) for cell in c.cells} for c in curves if c.strategy == strategy}


def _seeds(areas: Areas) -> dict[str, frozenset[int]]:
    return {protocol: frozenset(by_seed) for protocol, by_seed in areas.items()}


def _most(protocols: Sequence[str], curves: Sequence[Curve]) -> dict[str, frozenset[int]]:
    """The seeds that any strategy finished, by protocol, where they are two or more."""
    every = {p: frozenset(cell.seed for c in curves if c.protocol == p for cell in c.cells) for p in protocols}
    return {protocol: seeds for protocol, seeds in every.items() if len(seeds) > 1}


def _mean(areas: Areas) -> float:
    return fmean(fmean(by_seed.values()) for by_seed in areas.values())
