"""What a results folder says, in numbers and in one sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from asktell.experiments import soundness
from asktell.experiments.curves import Curve, Outcome, Results
from asktell.experiments.soundness import Span
from asktell.experiments.statistics import (
    TARGETS,
    Crossing,
    Estimate,
    accuracy_by_size,
    area,
    crossing,
    difference_by_size,
    estimate,
    fill_share,
    labels_saved,
    plain,
    saturated_share,
    seconds_by_phase,
)

REFERENCE = "random"
HEADLINE_TARGETS = (97, 95, 90, 85, 80)


@dataclass(frozen=True)
class StrategySummary:
    """One strategy under one protocol. `difference` and `saved` are against random, paired by seed; empty without."""

    strategy: str
    seeds: tuple[int, ...]
    accuracy: Mapping[int, Estimate]
    difference: Mapping[int, Estimate]
    crossings: tuple[Crossing, ...]
    saved: Mapping[int, Mapping[int, int | None]]
    area: Estimate
    nll: Estimate
    ece: Estimate
    fill_share: float
    saturated_share: float
    seconds: Mapping[str, float]
    auroc: Mapping[str, Estimate]
    told: Mapping[str, Span]

    @property
    def faults(self) -> tuple[str, ...]:
        """What of the model does not work, in words."""
        return soundness.faults(self.told)


@dataclass(frozen=True)
class ProtocolSummary:
    """One protocol: its strategies, random first, and what they say in one sentence.

    Areas run up to `until`, the largest training set that every curve reaches.
    """

    protocol: str
    headline: str
    n_validation: int
    until: int
    strategies: tuple[StrategySummary, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every training-set size at which a model was evaluated."""
        return tuple(sorted({n for strategy in self.strategies for n in strategy.accuracy}))


def summarise(results: Results) -> tuple[ProtocolSummary, ...]:
    """One summary per protocol that has a finished cell."""
    protocols = sorted({curve.protocol for curve in results.curves})
    return tuple(_protocol([c for c in results.curves if c.protocol == name]) for name in protocols)


def headline(curves: Sequence[Curve]) -> str:
    """One sentence on the labels that the best strategy saved against random.

    The target is the highest of 80, 85, 90, 95, 97 % that random reached in every seed.
    """
    random = _reference(curves)
    others = [curve for curve in curves if curve is not random]
    if random is None:
        return "There is no finished run of random to compare with, so no saving can be stated."
    target = next((t for t in HEADLINE_TARGETS if crossing(random.cells, t).everywhere), None)
    if target is None:
        best = 100 * max(outcome.accuracy for cell in random.cells for outcome in cell.outcomes)
        return (
            f"random did not reach {HEADLINE_TARGETS[-1]} % in every seed (its best was {plain(best)} %), "
            "so no saving can be stated."
        )
    return _compared(random, others, target)


def as_json(protocols: Sequence[ProtocolSummary], results: Results) -> dict[str, object]:
    """The same as plain JSON values; what is not finite is null."""
    return {
        "protocols": {summary.protocol: _protocol_json(summary) for summary in protocols},
        "missing": [list(key) for key in results.missing],
        "unfinished": [list(cell.key) for cell in results.unfinished],
    }


def _protocol(curves: Sequence[Curve]) -> ProtocolSummary:
    random = _reference(curves)
    cells = [cell for curve in curves for cell in curve.cells]
    until = min(cell.outcomes[-1].n_labelled for cell in cells)
    until = max(until, *(cell.outcomes[0].n_labelled for cell in cells))
    ordered = sorted(curves, key=lambda curve: (curve.strategy != REFERENCE, curve.strategy))
    return ProtocolSummary(
        protocol=curves[0].protocol,
        headline=headline(curves),
        n_validation=max(outcome.n_validation for cell in cells for outcome in cell.outcomes),
        until=until,
        strategies=tuple(_strategy(curve, random, until) for curve in ordered),
    )


def _strategy(curve: Curve, random: Curve | None, until: int) -> StrategySummary:
    compare = () if random is None or random is curve else random.cells
    last = [cell.outcomes[-1] for cell in curve.cells]
    return StrategySummary(
        strategy=curve.strategy,
        seeds=tuple(cell.seed for cell in curve.cells),
        accuracy=accuracy_by_size(curve.cells),
        difference=difference_by_size(curve.cells, compare),
        crossings=tuple(crossing(curve.cells, target) for target in TARGETS),
        saved={target: labels_saved(curve.cells, compare, target) for target in TARGETS} if compare else {},
        area=estimate([area(cell, until=until) for cell in curve.cells]),
        nll=estimate([outcome.nll for outcome in last]),
        ece=estimate([outcome.ece for outcome in last]),
        fill_share=fill_share(curve.cells),
        saturated_share=saturated_share(curve.cells),
        seconds=seconds_by_phase(curve.cells),
        auroc={kind: estimate([outcome.auroc[kind] for outcome in last]) for kind in _kinds(last)},
        told=soundness.spans(curve.cells),
    )


def _kinds(outcomes: Sequence[Outcome]) -> list[str]:
    """Foreign inputs that all outcomes were evaluated on."""
    return sorted(set.intersection(*(set(outcome.auroc) for outcome in outcomes)))


def _reference(curves: Sequence[Curve]) -> Curve | None:
    return next((curve for curve in curves if curve.strategy == REFERENCE), None)


def _compared(random: Curve, others: Sequence[Curve], target: int) -> str:
    needed = f"random reached {target} % with {_mean_labels(random, target)} labels"
    if not others:
        return f"{needed} (mean of {_seeds(len(random.cells))}); no other strategy has a finished run to compare."
    saved = {c.strategy: labels_saved(c.cells, random.cells, target) for c in others}
    complete = {
        name: [n for n in by_seed.values() if n is not None]
        for name, by_seed in saved.items()
        if by_seed and None not in by_seed.values()
    }
    if not complete:
        return f"No saving: {needed}, and no other strategy reached it in every seed."
    best = min(complete, key=lambda name: (-fmean(complete[name]), name))
    return _sentence(random, next(c for c in others if c.strategy == best), complete[best], target, len(others))


def _sentence(random: Curve, best: Curve, saved: Sequence[int], target: int, compared: int) -> str:
    seeds = {cell.seed for cell in random.cells} & {cell.seed for cell in best.cells}
    ours, theirs = (_mean_labels(curve, target, seeds) for curve in (best, random))
    note = f"mean of {_seeds(len(seeds))}{_interval(saved)}" + (
        f"; best of {compared} strategies" if compared > 1 else ""
    )
    if fmean(saved) <= 0:
        return f"No labels saved: random reached {target} % with {theirs} labels, {best.strategy} with {ours} ({note})."
    return (
        f"{best.strategy} reached {target} % with {ours} labels where random needed {theirs}: "
        f"{plain(fmean(saved))} labels saved ({note})."
    )


def _mean_labels(curve: Curve, target: int, seeds: set[int] | None = None) -> str:
    cells = [cell for cell in curve.cells if seeds is None or cell.seed in seeds]
    return plain(fmean(crossing(cells, target).reached))


def _interval(saved: Sequence[int]) -> str:
    e = estimate([float(n) for n in saved])
    return f", 95 % interval of the saving {plain(e.low)} to {plain(e.high)}" if e.is_interval else ""


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _protocol_json(summary: ProtocolSummary) -> dict[str, object]:
    return {
        "headline": summary.headline,
        "n_validation": summary.n_validation,
        "area_until": summary.until,
        "strategies": {s.strategy: _finite(_strategy_json(s)) for s in summary.strategies},
    }


def _strategy_json(s: StrategySummary) -> dict[str, object]:
    return {
        "seeds": list(s.seeds),
        "accuracy": {n: asdict(e) for n, e in s.accuracy.items()},
        "difference_to_random": {n: asdict(e) for n, e in s.difference.items()},
        "labels_to": {c.target: {"mean": c.mean, "by_seed": dict(c.by_seed)} for c in s.crossings},
        "labels_saved": {target: dict(by_seed) for target, by_seed in s.saved.items()},
        "area": asdict(s.area),
        "final_nll": asdict(s.nll),
        "final_ece": asdict(s.ece),
        "fill_share": s.fill_share,
        "saturated_share": s.saturated_share,
        "seconds": dict(s.seconds),
        **({"told": {name: asdict(span) for name, span in s.told.items()}, "faults": list(s.faults)} if s.told else {}),
        **({"final_auroc": {kind: asdict(e) for kind, e in s.auroc.items()}} if s.auroc else {}),
    }


def _finite(value: object) -> object:
    """JSON knows text keys only, and neither infinity nor NaN."""
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
