"""How good the model is, and whether to go on: from its predictions and from answers that it did not learn."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from asktell import stopping
from asktell.engine import files
from asktell.engine.models import class_numbers
from asktell.engine.predictions import Predictions
from asktell.randomness import derive
from asktell.stopping import Advice, Measures
from asktell.types import Training
from asktell.writing import write_whole

STOP_SET: Final = 2000
"""Items on which one model is compared with the next."""


def accuracy(predictions: Predictions, truth: Mapping[str, str]) -> dict[str, int] | None:
    """{"n", "correct"} over the items of `truth` that have a prediction; None if there are none."""
    rows = predictions.rows_of(truth)
    if not rows:
        return None
    predicted = predictions.predicted
    correct = sum(predictions.classes[predicted[row]] == truth[id_] for id_, row in rows.items())
    return {"n": len(rows), "correct": int(correct)}


@dataclass(frozen=True)
class StopSet:
    """The same unlabelled items through all trainings, and what the newest two models predict for them.

    `rounds`: by number of the training, id to class name. A lost file costs the next comparison, nothing else.
    """

    ids: tuple[str, ...]
    rounds: Mapping[int, Mapping[str, str]]

    @classmethod
    def read(cls, folder: Path) -> "StopSet | None":
        """As it was written; None if there is none that can be read."""
        try:
            kept = json.loads((folder / files.STOP_SET).read_text(encoding="utf-8"))
            return cls(tuple(kept["ids"]), {int(number): dict(told) for number, told in kept["rounds"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    @classmethod
    def chosen(cls, ids: Sequence[str], seed: int) -> "StopSet":
        """A seeded choice of unlabelled items."""
        rows = torch.randperm(len(ids), generator=derive(seed, "stop set"))[:STOP_SET]
        return cls(tuple(ids[row] for row in rows.sort().values.tolist()), {})

    def after(self, number: int, predictions: Predictions) -> "StopSet":
        """With what the model of training `number` predicts; only the round before it stays beside."""
        predicted = predictions.predicted
        told = {id_: predictions.classes[predicted[row]] for id_, row in predictions.rows_of(self.ids).items()}
        before = sorted(other for other in self.rounds if other < number)[-1:]
        return StopSet(self.ids, {**{other: self.rounds[other] for other in before}, number: told})

    def write(self, folder: Path) -> None:
        """For the next training."""
        content = {"ids": self.ids, "rounds": self.rounds}
        write_whole(folder / files.STOP_SET, json.dumps(content, ensure_ascii=False).encode())

    def pair(self, classes: tuple[str, ...]) -> tuple[Tensor, Tensor] | None:
        """What the two models predict, as numbers; None unless there are two, of the same classes."""
        if len(self.rounds) < 2:
            return None
        before, now = (self.rounds[number] for number in sorted(self.rounds))
        both = [id_ for id_ in now if id_ in before]
        if not both or not set(before.values()) <= set(classes):
            return None
        return class_numbers([before[i] for i in both], classes), class_numbers([now[i] for i in both], classes)


def measures(
    stop_set: StopSet, predictions: Predictions, unlabelled: Collection[str], selected: Mapping[str, int] | None
) -> Measures:
    """The newest round in numbers. `selected`: {"n", "correct"} of the model before on the answers since."""
    c, pair = len(predictions.classes), stop_set.pair(predictions.classes)
    fixed = _entropies(predictions, stop_set.ids)
    rows = list(predictions.rows_of(unlabelled).values())
    return Measures(
        kappa=None if pair is None else stopping.kappa(*pair),
        change=None if pair is None else stopping.change(*pair),
        overall=stopping.overall_uncertainty(fixed, c) if len(fixed) else None,
        largest=stopping.max_uncertainty(torch.from_numpy(predictions.entropy[rows]), c) if rows else None,
        information=stopping.max_information(torch.from_numpy(predictions.bald[rows])) if rows else None,
        selected=selected["correct"] / selected["n"] if selected else None,
        selected_count=selected["n"] if selected else 0,
    )


def advice(trainings: Iterable[Training], newest: int, found: Measures) -> Advice:
    """What the measures of all trainings up to the newest say together."""
    told = [training.report.get("measures") for training in trainings if training.number < newest]
    before = [Measures.from_json(document) for document in told if isinstance(document, Mapping)]
    return stopping.advise([*before, found])


def _entropies(predictions: Predictions, ids: Collection[str]) -> Tensor:
    return torch.from_numpy(predictions.entropy[list(predictions.rows_of(ids).values())])
