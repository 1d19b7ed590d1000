"""Results as they lie in a folder: DIR/cells/PROTOCOL--STRATEGY--SEED.jsonl, one JSON object a round.

A last line that was cut off, so that it has no newline, is left out; any other damage is an error that names file
and line. DIR/plan.json, [[protocol, strategy, seed], ...], says which cells there should be; DIR/protocol.json,
{protocol: {field: value}}, how they were run. Both may be missing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asktell.errors import DataError
from asktell.experiments import lines

Key = tuple[str, str, int]
"""(protocol, strategy, seed): which cell."""


@dataclass(frozen=True)
class Outcome:
    """One round: a model trained on `n_labelled` items, how good it is, and what was asked then.

    `accuracy` is a fraction. `fill_share` is the share of `ids` that were fill, `saturated_at` the pick from which
    on a batch method had nothing more to say. `seconds` by phase. `auroc` by kind of foreign inputs, where there are
    some: how well epistemic uncertainty tells them from test items. `told`: what training said of itself, by name.
    """

    round: int
    n_labelled: int
    n_validation: int
    accuracy: float
    nll: float
    ece: float
    ids: tuple[str, ...]
    fill_share: float
    saturated_at: int | None
    seconds: Mapping[str, float]
    auroc: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedCell:
    """One run of one strategy from one seed, round by round."""

    protocol: str
    strategy: str
    seed: int
    outcomes: tuple[Outcome, ...]

    @property
    def key(self) -> Key:
        """Which cell this is."""
        return self.protocol, self.strategy, self.seed

    @property
    def finished(self) -> bool:
        """Whether it ran to its end: nothing was asked in its last round."""
        return not self.outcomes[-1].ids

    @property
    def accuracies(self) -> dict[int, float]:
        """Accuracy by training-set size; of several rounds with as many labels the last."""
        return {outcome.n_labelled: outcome.accuracy for outcome in self.outcomes}


@dataclass(frozen=True)
class Curve:
    """The finished cells of one strategy under one protocol, by seed."""

    protocol: str
    strategy: str
    cells: tuple[RecordedCell, ...]


@dataclass(frozen=True)
class Results:
    """What a results folder holds, sorted; `planned` and `protocols` are empty where they were not recorded."""

    cells: tuple[RecordedCell, ...]
    planned: tuple[Key, ...]
    protocols: Mapping[str, Mapping[str, object]]

    @property
    def missing(self) -> tuple[Key, ...]:
        """Planned cells without a single finished round."""
        return tuple(sorted(set(self.planned) - {cell.key for cell in self.cells}))

    @property
    def unfinished(self) -> tuple[RecordedCell, ...]:
        """Cells that have not come to their end; no curve holds them."""
        return tuple(cell for cell in self.cells if not cell.finished)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """One curve per protocol and strategy with a finished cell."""
        finished = [cell for cell in self.cells if cell.finished]
        keys = sorted({(cell.protocol, cell.strategy) for cell in finished})
        return tuple(
            Curve(*key, tuple(cell for cell in finished if (cell.protocol, cell.strategy) == key)) for key in keys
        )


def read(folder: Path) -> Results:
    """The results in `folder`. Raises `DataError` where there are none, or where they are damaged."""
    paths = sorted((folder / "cells").glob("*.jsonl"))
    cells = [cell for cell in map(read_cell, paths) if cell is not None]
    _check_unique(cells, folder)
    planned = _json(folder / "plan.json", [])
    protocols = _json(folder / "protocol.json", {})
    if not cells and not planned:
        raise DataError(f"{folder} holds no results: there is no finished round under {folder / 'cells'}")
    return Results(
        tuple(sorted(cells, key=lambda cell: cell.key)), _plan(planned, folder), _protocols(protocols, folder)
    )


def read_cell(path: Path) -> RecordedCell | None:
    """The cell in one file, None without a finished round. Raises `DataError` naming the damaged line."""
    rows = [(f"{path}, line {number}", row) for number, row in enumerate(lines.read(path), 1)]
    if not rows:
        return None
    keys = {_key(row, where) for where, row in rows}
    if len(keys) > 1:
        raise DataError(f"{path} mixes several cells: {', '.join(map(str, sorted(keys)))}")
    outcomes = tuple(_outcome(row, where) for where, row in rows)
    _check_order(outcomes, [where for where, _ in rows])
    return RecordedCell(*keys.pop(), outcomes)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from error


def _key(row: Mapping[str, object], where: str) -> Key:
    return _text(row, "protocol", where), _text(row, "strategy", where), _whole(row, "seed", where)


def _outcome(row: Mapping[str, object], where: str) -> Outcome:
    ids = row.get("ids")
    if not isinstance(ids, list):
        raise DataError(f"{where}: 'ids' must be a list")
    accuracy = _number(row, "accuracy", where)
    if not 0 <= accuracy <= 1:
        raise DataError(f"{where}: 'accuracy' must be a fraction in 0..1, not {accuracy}")
    return Outcome(
        round=_whole(row, "round", where),
        n_labelled=_whole(row, "n_labelled", where),
        n_validation=_whole(row, "n_validation", where),
        accuracy=accuracy,
        nll=_number(row, "nll", where),
        ece=_number(row, "ece", where),
        ids=tuple(map(str, ids)),
        fill_share=0.0 if row.get("fill_share") is None else _number(row, "fill_share", where),
        saturated_at=None if row.get("saturated_at") is None else _whole(row, "saturated_at", where),
        seconds=_numbers(row.get("seconds"), "seconds", where),
        auroc=_numbers(row.get("auroc", {}), "auroc", where),
        told=_numbers(row.get("told", {}), "told", where),
    )


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} must be text, not {value!r}")
    return value


def _whole(row: Mapping[str, object], name: str, where: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: {name!r} must be a whole number, not {value!r}")
    return value


def _number(row: Mapping[str, object], name: str, where: str) -> float:
    value = row.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise DataError(f"{where}: {name!r} must be a number, not {value!r}")
    return float(value)


def _numbers(found: object, name: str, where: str) -> dict[str, float]:
    if not isinstance(found, dict):
        raise DataError(f"{where}: {name!r} must be an object")
    return {str(key): _number(found, key, where) for key in sorted(found)}


def _check_order(outcomes: Sequence[Outcome], places: Sequence[str]) -> None:
    for before, after, where in zip(outcomes[:-1], outcomes[1:], places[1:], strict=True):
        if after.round != before.round + 1 or after.n_labelled < before.n_labelled:
            raise DataError(
                f"{where}: round {after.round} with {after.n_labelled} labels cannot follow "
                f"round {before.round} with {before.n_labelled}"
            )


def _check_unique(cells: Sequence[RecordedCell], folder: Path) -> None:
    keys = [cell.key for cell in cells]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise DataError(f"{folder}: two files hold the cell {twice[0]}; keep one of them")


def _json(path: Path, default: object) -> object:
    if not path.exists():
        return default
    try:
        return json.loads(_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error})") from error


def _plan(planned: object, folder: Path) -> tuple[Key, ...]:
    if not isinstance(planned, list):
        raise DataError(f"{folder / 'plan.json'} must be a list of [protocol, strategy, seed]")
    return tuple(_planned(entry, folder / "plan.json") for entry in planned)


def _planned(entry: object, path: Path) -> Key:
    match entry:
        case [str(protocol), str(strategy), int(seed)]:
            return protocol, strategy, seed
    raise DataError(f"{path} must be a list of [protocol, strategy, seed], and holds {entry!r}")


def _protocols(protocols: object, folder: Path) -> Mapping[str, Mapping[str, object]]:
    if isinstance(protocols, dict) and all(isinstance(value, dict) for value in protocols.values()):
        return protocols
    raise DataError(f"{folder / 'protocol.json'} must be an object of objects: protocol, then field")
