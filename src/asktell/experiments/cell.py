"""One cell of a grid, (protocol, strategy, seed): train, evaluate, ask, be told, through a real project.

A round is one line of the cell's file, appended after its query is recorded and before its answers are told. So at any
moment the file and the project together say where to go on: a line without answers is told first, a query
without a line is not asked again.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from asktell.errors import DataError
from asktell.evidence import Evidence, check_offered, gather
from asktell.experiments import lines, metrics
from asktell.experiments.foreign import MOST, foreign
from asktell.experiments.lines import Line
from asktell.experiments.posteriors import LEARNERS, parted
from asktell.experiments.protocols import Protocol
from asktell.experiments.soundness import DEMANDS
from asktell.experiments.split import Split, split
from asktell.learners import BestOnValidation, Learner, Restores, Round, SingleNetwork
from asktell.learners.saving import read_weights
from asktell.loop import Loop
from asktell.oracles import SimulatedOracle
from asktell.posteriors import (
    HasWeights,
    MCDropout,
    Posterior,
    load_weights,
    model_id,
    save_weights,
    seconds_of,
    told_by,
)
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.scores import uncertainty
from asktell.strategies import OfMean, Recipe, Strategy
from asktell.training import network
from asktell.types import Candidates, Query

ANNOTATOR = "simulated"


@dataclass(frozen=True)
class Cell:
    """What is run: a protocol, a strategy by name, a seed; and the folder that the results go to."""

    protocol: Protocol
    strategy: str
    seed: int
    out: Path

    @property
    def name(self) -> str:
        """PROTOCOL--STRATEGY--SEED, as the file is called."""
        return f"{self.protocol.name}--{self.strategy}--{self.seed}"

    @property
    def file(self) -> Path:
        """Where the rounds are written, one JSON line each."""
        return self.out / "cells" / f"{self.name}.jsonl"

    @property
    def work(self) -> Path:
        """Where the project and the weights lie while the cell runs."""
        return self.out / "work" / self.name

    def done(self) -> list[Line]:
        """The rounds that stay. A last round that asked nothing is done again if there are more to come."""
        written = lines.read(self.file)
        if written and not written[-1]["ids"] and len(written) <= self.protocol.rounds:
            written = written[:-1]
        return written[: self.protocol.rounds + 1]

    @property
    def finished(self) -> bool:
        """Whether every round is written."""
        return len(self.done()) > self.protocol.rounds


def run_cell(cell: Cell, *, progress: Callable[[int], None] = lambda _: None) -> None:
    """Run a cell to its end, from wherever it stands; `progress` is told how many rounds are done.

    The same cell gives the same ids, however often it was interrupted. Raises `DataError` if rounds are written
    but the project they came from is gone.
    """
    done = cell.done()
    if len(done) > cell.protocol.rounds:
        return
    lines.rewrite(cell.file, done)
    with _project(cell, bool(done)) as (project, data):
        running = _Running(cell, project, data, done)
        for number in range(len(done), cell.protocol.rounds + 1):
            progress(number)
            running.round(number)
    progress(cell.protocol.rounds + 1)


@contextmanager
def _project(cell: Cell, begun: bool) -> Iterator[tuple[Project, Split]]:
    """The cell's project, made or reopened, with its start labelled."""
    data = split(cell.protocol, cell.seed)
    if begun and not cell.work.exists():
        raise DataError(
            f"{cell.file} has rounds, but their project {cell.work} is gone; delete the file to start again"
        )
    if not (cell.work / "project.db").exists():
        Project.create(cell.work, data.pool_ids, classes=data.data.classes, seed=cell.seed).close()
    with Project.open(cell.work) as project:
        if not project.labels:
            start = data.ids(data.start)
            truth = data.truth()
            project.tell(start, [truth[item] for item in start], ANNOTATOR)
        yield project, data


@dataclass
class _Running:
    cell: Cell
    project: Project
    data: Split
    done: list[Line]
    strategy: Strategy = field(init=False)
    learner: Learner = field(init=False)
    loop: Loop = field(init=False)
    oracle: SimulatedOracle = field(init=False)
    elsewhere: dict[str, Tensor] = field(init=False)
    previous: Posterior | None = None

    def __post_init__(self) -> None:
        name, chosen = parted(self.cell.strategy)
        self.strategy = strategy_of(self.cell.protocol, chosen)
        self.learner = _learner(self.cell.protocol, name, chosen)
        check_offered(self.strategy.needs, self.learner.offers, f"protocol {self.cell.protocol.name}")
        self.loop = Loop(self.project, self.strategy, seed=self.cell.seed)
        self.oracle = SimulatedOracle(self.data.truth())
        here = self.data.data.test_inputs[:MOST]
        self.elsewhere = {kind: foreign(kind, here) for kind in self.cell.protocol.foreign}
        self._answer_what_is_written()
        self.previous = self._previous()

    def _answer_what_is_written(self) -> None:
        """Answer the query whose round is written but whose answers did not get through."""
        for query in self.loop.unanswered:
            if query.number < len(self.done):
                self._tell(query)

    def round(self, number: int) -> None:
        """Train, evaluate, ask, write the line, answer."""
        watch = _Stopwatch()
        snapshot = self.loop.candidates()
        with watch("fit"):
            posterior = self.learner.fit(self._data(number, snapshot), generator=self._generator("fit", number))
        with watch("evaluate"):
            quality = self._evaluate(posterior, number)
        query = None
        if number < self.cell.protocol.rounds:
            query = self._asked(number) or self._ask(posterior, snapshot, number, watch)
        self._keep(posterior, number)
        watch.seconds |= seconds_of(posterior)
        self._write(number, snapshot, {**quality, "told": _told(posterior, query)}, query, watch)
        if query is not None:
            self._tell(query)
        self.previous = posterior

    def _asked(self, number: int) -> Query | None:
        """The query of this round, if it was recorded before an interruption."""
        return next((query for query in self.loop.unanswered if query.number == number), None)

    def _ask(self, posterior: Posterior, snapshot: Candidates, number: int, watch: "_Stopwatch") -> Query:
        with watch("evidence"):
            evidence = self._evidence(posterior, snapshot, number)
        arrays = {name: getattr(evidence, name) for name in evidence.names()}
        model = model_id(posterior) if isinstance(posterior, HasWeights) else None
        with watch("select"):
            return self.loop.ask(snapshot, self.cell.protocol.batch, model=model, **arrays)

    def _evidence(self, posterior: Posterior, snapshot: Candidates, number: int) -> Evidence:
        return gather(
            self.strategy.needs,
            posterior,
            snapshot,
            self.data.inputs(),
            self.cell.protocol.draws,
            self._generator("evidence", number),
            targets=self.cell.protocol.targets,
        )

    def _data(self, number: int, snapshot: Candidates) -> Round:
        classes = self.data.data.classes
        labels = torch.tensor([classes.index(name) for name in snapshot.labels])
        rows = self.data.validation
        validation = (TensorRows(self.data.data.inputs[rows]), self.data.data.labels[rows]) if len(rows) else None
        inputs = self.data.inputs()
        return Round(
            number,
            classes,
            inputs(snapshot.labelled_ids),
            labels,
            validation,
            inputs(snapshot.ids),
            self.previous,
            self.cell.protocol.batch,
        )

    def _evaluate(self, posterior: Posterior, number: int) -> Line:
        log_probs = self._predicted(posterior, TensorRows(self.data.data.test_inputs), number)
        labels = self.data.data.test_labels
        return {
            "accuracy": metrics.accuracy(log_probs, labels),
            "nll": metrics.nll(log_probs, labels),
            "ece": metrics.ece(log_probs, labels),
            **self._elsewhere(posterior, number),
        }

    def _elsewhere(self, posterior: Posterior, number: int) -> Line:
        """How well epistemic uncertainty tells test items from foreign inputs, by their kind."""
        if not self.elsewhere:
            return {}
        here = self.data.data.test_inputs[:MOST]
        draws = posterior.draw(self._draws(posterior), generator=self._generator("foreign", number))
        inside, *outside = (
            uncertainty(draws.log_probs(TensorRows(inputs))).epistemic for inputs in (here, *self.elsewhere.values())
        )
        pairs = zip(self.elsewhere, outside, strict=True)
        return {"auroc": {kind: metrics.auroc(inside, scores) for kind, scores in pairs}}

    def _draws(self, posterior: Posterior) -> int:
        """As many as the protocol has, or as there are."""
        wanted = self.cell.protocol.draws
        return wanted if posterior.distinct is None else min(wanted, posterior.distinct)

    def _predicted(self, posterior: Posterior, inputs: Rows, number: int) -> Tensor:
        if self.cell.protocol.evaluate == "predict":
            return posterior.predict(inputs)
        draws = posterior.draw(self._draws(posterior), generator=self._generator("evaluate", number))
        return draws.log_probs(inputs).double().exp().mean(1).log()

    def _write(
        self, number: int, snapshot: Candidates, quality: Line, query: Query | None, watch: "_Stopwatch"
    ) -> None:
        line: Line = {
            "protocol": self.cell.protocol.name,
            "strategy": self.cell.strategy,
            "seed": self.cell.seed,
            "round": number,
            "n_labelled": len(snapshot.labelled_ids),
            "n_validation": len(self.data.validation),
            **quality,
            "ids": list(query.ids) if query else [],
            **_said(query),
            "threads": torch.get_num_threads(),
            "seconds": watch.seconds,
        }
        lines.append(self.cell.file, line)

    def _tell(self, query: Query) -> None:
        self.loop.tell(query.ids, self.oracle.answer(query.ids), annotator=ANNOTATOR)

    def _generator(self, what: str, number: int) -> torch.Generator:
        """The same for every strategy of a seed."""
        return derive(self.cell.seed, self.cell.protocol.name, what, number)

    def _weights(self, number: int) -> Path:
        return self.cell.work / f"round-{number}.safetensors"

    def _keep(self, posterior: Posterior, number: int) -> None:
        """Before a round counts as done its weights are on disk, if the next round starts from them."""
        if self.cell.protocol.restart == "warm" and isinstance(posterior, HasWeights):
            save_weights(posterior, self._weights(number))
            self._weights(number - 2).unlink(missing_ok=True)

    def _previous(self) -> Posterior | None:
        if self.cell.protocol.restart != "warm" or not self.done:
            return None
        weights = self._weights(len(self.done) - 1)
        if isinstance(self.learner, Restores):
            return self.learner.restore(self.data.data.classes, read_weights(weights))
        module = network(self.cell.protocol.network)(len(self.data.data.classes))
        load_weights(module, weights)
        return MCDropout(module)


class _Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = round(time.perf_counter() - start, 4)


def _learner(protocol: Protocol, name: str | None, chosen: Recipe) -> Learner:
    learner = _own_learner(protocol) if name is None else LEARNERS[name](network(protocol.network), protocol.training)
    return learner if chosen.wrap is None else chosen.wrap(learner)


def _own_learner(protocol: Protocol) -> Learner:
    decays = [replace(protocol.training, decay=decay) for decay in protocol.decay_grid] or [protocol.training]
    build = network(protocol.network)
    learners = tuple(SingleNetwork(build, training, restart=protocol.restart) for training in decays)
    return BestOnValidation(learners) if protocol.decay_grid else learners[0]


def strategy_of(protocol: Protocol, chosen: Recipe) -> Strategy:
    """The recipe's strategy with the protocol's choices."""
    return replace(chosen.strategy, point=protocol.point) if isinstance(chosen.strategy, OfMean) else chosen.strategy


def _told(posterior: Posterior, query: Query | None) -> dict[str, float]:
    """What training said of itself: that of the model, and that of a strategy which trains something too."""
    report = query.report if query else {}
    return told_by(posterior) | {name: float(str(report[name])) for name in DEMANDS if name in report}


def _said(query: Query | None) -> Line:
    """What the selection reported, as columns."""
    report = query.report if query else {}
    start = report.get("filled_from")
    asked = len(query.ids) if query else 0
    return {
        "fill_share": (asked - start) / asked if isinstance(start, int) else 0.0,
        "saturated_at": report.get("saturated_at"),
        "joint_information": report.get("joint_information"),
    }
