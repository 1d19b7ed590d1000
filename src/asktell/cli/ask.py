"""`asktell ask`: one query from a file of evidence. This is where the command line meets torch."""

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import typer

from asktell.cli.arrays import open_arrays
from asktell.cli.evidence import Lookup
from asktell.cli.parameters import with_settings
from asktell.errors import EvidenceError
from asktell.loop import Loop
from asktell.project import Project
from asktell.randomness import derive
from asktell.strategies import Strategy, recipe
from asktell.types import Query

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Asking:
    """What the words of `asktell ask` said. `memory` is in bytes."""

    strategy: str
    b: int
    settings: Sequence[str] = ()
    evidence: Path | None = None
    seed: int | None = None
    model: str | None = None
    memory: int | None = None
    draws: int | None = None
    verbose: bool = False


def ask(folder: Path, asking: Asking, as_json: bool) -> None:
    """Ask, record, and print what was asked: the best item first."""
    strategy = with_settings(recipe(asking.strategy).strategy, asking.settings)
    with Project.open(folder) as project, _plans_on_stderr() if asking.verbose else nullcontext():
        query = _asked(project, strategy, asking)
    if as_json:
        typer.echo(json.dumps(_document(query), ensure_ascii=False))
        return
    for id_, score in zip(query.ids, query.scores, strict=True):
        typer.echo(f"{id_}\t{score:.6g}")
    filled = query.report.get("filled_from")
    if filled is not None:
        typer.echo(f"asktell: the strategy had no more to say after {filled} picks; the rest is its fill", err=True)


def size(text: str) -> int:
    """Bytes: a number with kB, MB, GB (powers of 1,000), KiB, MiB, GiB (powers of 1,024), or alone.

    Raises `ValueError`.

    >>> size("2GB"), size("0.5 MiB"), size("800")
    (2000000000, 524288, 800)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip().lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError(f"{text!r} is no size; write one like 2GB or 512MiB")
    return int(float(found[1]) * _UNITS[found[2]])


@contextmanager
def _plans_on_stderr() -> Iterator[None]:
    """How rows are read and what memory that takes, said before they are."""
    log, handler = logging.getLogger("asktell.rows"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("asktell: reading %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)


def _asked(project: Project, strategy: Strategy, asking: Asking) -> Query:
    loop = Loop(project, strategy, seed=asking.seed)
    snapshot = loop.candidates()
    if asking.evidence is None:
        if strategy.needs:
            raise EvidenceError(
                f"{asking.strategy} needs {_listed(strategy)}; hand a file over with --evidence FILE.npz"
            )
        return loop.ask(snapshot, asking.b, model=asking.model)
    targets = derive(loop.seed, "query", project.next_query, "targets")
    lookup = Lookup(open_arrays(asking.evidence, draws=asking.draws), snapshot, project.classes, targets)
    evidence = lookup.find(strategy.needs)
    with lookup.naming_items():
        return loop.ask(snapshot, asking.b, model=asking.model, memory=asking.memory, **evidence)


def _listed(strategy: Strategy) -> str:
    return ", ".join(sorted(strategy.needs))


def _document(query: Query) -> dict[str, object]:
    """The query as JSON; a score that is infinite is null, which JSON cannot say otherwise."""
    chances = query.probabilities
    return {
        "number": query.number,
        "ids": query.ids,
        "scores": [score if isfinite(score) else None for score in query.scores],
        "probabilities": chances,
        "strategy": query.strategy,
        "seed": query.seed,
        "model": query.model,
        "report": query.report,
        "created": query.created,
    }
