"""One training: what there is to learn, by whom, and what came out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from asktell.engine import models
from asktell.engine.due import Lesson
from asktell.engine.items import Items
from asktell.engine.learner import described
from asktell.engine.models import Model, class_numbers
from asktell.engine.settings import Settings
from asktell.errors import ModelError
from asktell.learners import Learner, Round
from asktell.posteriors import HasWeights, Posterior, model_id
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows
from asktell.strategies import to_json
from asktell.types import Training

IN_MEMORY = 2**30
"""Bytes of labelled rows that are read once before training; more are read as they are needed."""
ASKED = 500
"""Answers on which the model before is judged, at most."""


@dataclass(frozen=True)
class Trainer:
    """Fits, stores and records models of one project."""

    project: Project
    items: Items
    settings: Settings

    def train(self, lesson: Lesson, reason: str, previous: Model | None) -> Model:
        """Fit on the labels of `lesson`; the model is on disk when the training is recorded.

        A training that fails is recorded with its error, and the error goes on.
        """
        number, started, begun = len(self.project.trainings), now(), time.perf_counter()
        about = {"created": started, **self.items.about, "strategy": to_json(self.settings.strategy), "reason": reason}
        try:
            learner = self.items.learner(lesson.classes)
            posterior = self._fitted(learner, number, lesson, previous)
            card = {**about, "network": described(learner, self.settings.learner)}
            model = Model(_named(posterior, number), posterior, lesson, number, card)
            seconds = time.perf_counter() - begun
            models.save(self.project.folder, model)
        except Exception as error:
            self._record(number, None, lesson, started, time.perf_counter() - begun, about, _told(error))
            raise
        selected = self._selected(lesson, previous)
        self._record(number, model.id, lesson, started, seconds, {**about, **selected})
        return model

    def _fitted(self, learner: Learner, number: int, lesson: Lesson, previous: Model | None) -> Posterior:
        round_ = Round(
            number,
            lesson.classes,
            _held(self.items.inputs(tuple(lesson.labels))),
            class_numbers(lesson.labels.values(), lesson.classes),
            None,
            self.items.inputs(self.items.usable(self.project.candidates()).ids),
            previous.posterior if previous is not None and previous.classes == lesson.classes else None,
        )
        posterior = learner.fit(round_, generator=derive(self.project.seed, "training"))
        _check_classes(posterior, round_, learner)
        return posterior

    def _selected(self, lesson: Lesson, previous: Model | None) -> dict[str, object]:
        """How the model before did on the answers that came since to what was asked by a strategy."""
        if previous is None or previous.classes != lesson.classes:
            return {}
        new = sorted(lesson.labels.keys() - previous.lesson.labels.keys() - previous.lesson.reserved)
        asked = tuple(id_ for id_ in new[:ASKED] if self.project.question(id_) is not None)
        if not asked:
            return {}
        predicted = previous.posterior.predict(self.items.inputs(asked)).argmax(1)
        truth = class_numbers([lesson.labels[id_] for id_ in asked], lesson.classes)
        return {"selected": {"n": len(asked), "correct": int((predicted == truth).sum())}}

    def _record(
        self,
        number: int,
        model: str | None,
        lesson: Lesson,
        started: str,
        seconds: float,
        report: Mapping[str, object],
        error: str | None = None,
    ) -> None:
        told = {**report, "seconds": {"fit": round(seconds, 3)}, "classes": list(lesson.classes)}
        self.project.record_training(Training(number, model, len(lesson.labels), started, seconds, told, error))


def _named(posterior: Posterior, number: int) -> str:
    """sha256 of the weights; a model without weights has the number of its training for a name."""
    return model_id(posterior) if isinstance(posterior, HasWeights) else f"training-{number}"


def _held(rows: Rows) -> Rows:
    """In memory, unless that is a lot."""
    probe = rows[0:1]
    size = len(rows) * probe.numel() * probe.element_size()
    return TensorRows(rows[0 : len(rows)]) if size <= IN_MEMORY else rows


def _check_classes(posterior: Posterior, data: Round, learner: Learner) -> None:
    classes = posterior.predict(TensorRows(data.inputs[0:1])).shape[1]
    if classes != len(data.classes):
        raise ModelError(
            f"{type(learner).__name__} gave a model of {classes} classes for a project of {len(data.classes)}: "
            "it must heed round.classes"
        )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def now() -> str:
    """The time, as it is written down."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
