"""Two moons asked round by round through a real project, as the seed repository's first two figures do.

1,000 points with noise 0.1, 10 labels at the start, 5 rounds of 5; the network and its training are those of the
protocol two-moons.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from asktell.experiments.datasets.moons import SEED
from asktell.experiments.protocols import Protocol, protocol
from asktell.learners import Round, SingleNetwork
from asktell.loop import Loop
from asktell.oracles import SimulatedOracle
from asktell.posteriors import Draws
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import TensorRows
from asktell.strategies import recipe
from asktell.training import network
from asktell.types import Candidates

POINTS, NOISE = 1_000, 0.1
CLASSES = ("upper", "lower")
CHOICES: Final = replace(protocol("two-moons"), name="two-moons-figure", rounds=5)


@dataclass(frozen=True, eq=False)
class Moons:
    """The pool."""

    points: Tensor
    labels: Tensor

    @classmethod
    def made(cls) -> "Moons":
        """The same 1,000 points every time."""
        from sklearn.datasets import make_moons

        points, moon = make_moons(POINTS, noise=NOISE, random_state=SEED)
        return cls(torch.from_numpy(points).float(), torch.from_numpy(moon).long())

    @property
    def truth(self) -> dict[str, str]:
        """Id, which is the row number, to class name."""
        return {str(row): CLASSES[label] for row, label in enumerate(self.labels.tolist())}

    def start(self, per_class: int, seed: int) -> list[str]:
        """Ids of as many points of each class, at random."""
        order = torch.randperm(len(self.labels), generator=derive(seed, "two-moons", "start"))
        chosen = [order[self.labels[order] == number][:per_class] for number in range(len(CLASSES))]
        return [str(row) for row in torch.cat(chosen).tolist()]


@dataclass(frozen=True, eq=False)
class Stage:
    """One round: labelled points [l, 2], their classes, the round that asked each (0 = start), and the draws."""

    points: Tensor
    labels: Tensor
    asked: tuple[int, ...]
    draws: Draws


def stages(strategy: str, folder: Path, *, seed: int = 0, choices: Protocol = CHOICES) -> list[Stage]:
    """The strategy's rounds, the last of which asks nothing, through a project that is made in `folder`."""
    moons = Moons.made()
    truth = moons.truth
    with Project.create(folder, truth, classes=CLASSES, seed=seed) as project:
        running = _Running(Loop(project, recipe(strategy).strategy), moons, SimulatedOracle(truth), choices, seed)
        running.tell(moons.start(choices.initial_per_class, seed))
        return list(running.rounds())


@dataclass(frozen=True, eq=False)
class _Running:
    loop: Loop
    moons: Moons
    oracle: SimulatedOracle
    choices: Protocol
    seed: int

    def rounds(self) -> Iterator[Stage]:
        for number in range(self.choices.rounds + 1):
            snapshot = self.loop.candidates()
            stage = self._stage(number, snapshot)
            yield stage
            if number < self.choices.rounds:
                log_probs = stage.draws.log_probs(TensorRows(self._of(snapshot.ids)))
                self.tell(self.loop.ask(snapshot, self.choices.batch, log_probs=log_probs).ids)

    def tell(self, ids: Sequence[str]) -> None:
        self.loop.tell(ids, self.oracle.answer(ids), annotator="simulated")

    def _stage(self, number: int, snapshot: Candidates) -> Stage:
        points, labels = self._of(snapshot.labelled_ids), torch.tensor([CLASSES.index(c) for c in snapshot.labels])
        learner = SingleNetwork(network(self.choices.network), self.choices.training)
        posterior = learner.fit(
            Round(number, CLASSES, TensorRows(points), labels), generator=self._generator("fit", number)
        )
        draws = posterior.draw(self.choices.draws, generator=self._generator("evidence", number))
        asked = {item: query.number + 1 for query in self.loop.project.queries for item in query.ids}
        return Stage(points, labels, tuple(asked.get(item, 0) for item in snapshot.labelled_ids), draws)

    def _of(self, ids: Sequence[str]) -> Tensor:
        return self.moons.points[[int(item) for item in ids]]

    def _generator(self, what: str, number: int) -> torch.Generator:
        """The same for every strategy of a seed."""
        return derive(self.seed, self.choices.name, what, number)
