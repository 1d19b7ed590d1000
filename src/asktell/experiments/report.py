"""A report on a results folder: summary.json, curves.png and report.html, which holds all it needs.

Needs matplotlib and Jinja2: pip install 'asktell[report]'.
"""

import base64
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Final

from asktell.errors import DataError
from asktell.experiments import curves
from asktell.experiments.comparison import compare
from asktell.experiments.curves import Curve, Key, RecordedCell, Results
from asktell.experiments.figures.curves import INSIDE, learning_curves
from asktell.experiments.figures.matrix import pairwise
from asktell.experiments.figures.saving import rendered, write
from asktell.experiments.statistics import TARGETS, Estimate, points
from asktell.experiments.summary import REFERENCE, ProtocolSummary, as_json, summarise

if TYPE_CHECKING:
    from jinja2 import Template

LEGIBLE: Final = 11
"""Curves that one panel can show."""


@dataclass(frozen=True)
class Report:
    """What was written, and what it says: per protocol a headline and its strategies; what is still to run."""

    protocols: tuple[ProtocolSummary, ...]
    missing: tuple[Key, ...]
    unfinished: tuple[RecordedCell, ...]
    summary: Path
    figure: Path
    page: Path


def write_report(folder: Path, *, command: str) -> Report:
    """Write summary.json, curves.png and report.html into `folder` from the results there.

    With several protocols also comparison.png, every strategy against every other.

    `command` is shown as what made the results. Raises `DataError` where nothing has finished, where results are
    damaged, and without matplotlib or Jinja2.
    """
    template = _template()
    results = curves.read(folder)
    summaries = summarise(results)
    comparison = compare(results)
    pictures = {"curves.png": rendered(learning_curves([c for s in summaries for c in _drawn(s, results)]))}
    if comparison is not None:
        pictures["comparison.png"] = rendered(pairwise(comparison), dpi=150)
    page = template.render(
        command=command,
        comparison=comparison,
        matrix=_inline(pictures.get("comparison.png", b"")),
        versions=_versions(),
        sections=[_section(summary, results) for summary in summaries],
        targets=TARGETS,
        missing=results.missing,
        unfinished=results.unfinished,
    )
    content = as_json(summaries, results) | ({"comparison": comparison.as_json()} if comparison else {})
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    for name, written in {"summary.json": (text + "\n").encode(), **pictures, "report.html": page.encode()}.items():
        write(folder / name, written)
    named = (folder / name for name in ("summary.json", "curves.png", "report.html"))
    return Report(summaries, results.missing, results.unfinished, *named)


def _section(summary: ProtocolSummary, results: Results) -> dict[str, object]:
    drawn = _drawn(summary, results)
    return {
        "summary": summary,
        "picture": _inline(rendered(learning_curves(drawn), dpi=220)),
        "left_out": len(summary.strategies) - len(drawn),
        "crowded": len(drawn) > INSIDE,
        "fields": results.protocols.get(summary.protocol, {}),
        "foreign": sorted({kind for s in summary.strategies for kind in s.auroc}),
        "told": sorted({name for s in summary.strategies for name in s.told}),
        "phases": sorted({phase for s in summary.strategies for phase in s.seconds}),
    }


def _drawn(summary: ProtocolSummary, results: Results) -> list[Curve]:
    """The curves of a protocol; where they are too many to tell apart, random and those of the largest areas."""
    order = sorted(summary.strategies, key=lambda s: (s.strategy != REFERENCE, -s.area.mean))
    names = {s.strategy for s in (order if len(order) <= LEGIBLE else order[:LEGIBLE])}
    return [curve for curve in results.curves if curve.protocol == summary.protocol and curve.strategy in names]


def _inline(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def _template() -> "Template":
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise DataError("reports need Jinja2: pip install 'asktell[report]'") from None
    text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "points": points, "field": _field, "saved": _saved}
    return environment.from_string(text)


def _percent(estimate: Estimate) -> str:
    """Mean in percent, and its interval or range.

    >>> _percent(Estimate(0.9, 0.88, 0.925, 5))
    '90.0 [88.0, 92.5]'
    """
    if estimate.seeds == 1:
        return f"{100 * estimate.mean:.1f}"
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.mean:.1f} " + (
        f"[{low:.1f}, {high:.1f}]" if estimate.is_interval else f"({low:.1f} to {high:.1f})"
    )


def _saved(by_seed: Mapping[int, int | None]) -> str:
    """Labels saved: mean and range over the common seeds, or in how many of them nothing can be said.

    >>> _saved({0: 40, 1: 20}), _saved({0: 40, 1: None})
    ('+30 (+20 to +40)', 'unknown in 1 of 2 seeds')
    """
    known = [n for n in by_seed.values() if n is not None]
    if len(known) < len(by_seed):
        return f"unknown in {len(by_seed) - len(known)} of {len(by_seed)} seeds"
    if not known:
        return "no common seed"
    mean = f"{fmean(known):+.1f}".removesuffix(".0")
    return mean if min(known) == max(known) else f"{mean} ({min(known):+d} to {max(known):+d})"


def _field(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: _version(name) for name in ("torch", "numpy", "asktell")}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"
