"""What a worker holds in memory. All of it can be made again from the project and its files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asktell.engine import models, predictions
from asktell.engine.items import Items
from asktell.engine.learner import restored
from asktell.engine.models import Model
from asktell.engine.predictions import Predictions
from asktell.engine.settings import Settings
from asktell.errors import AsktellError, ModelError
from asktell.posteriors import HasWeights, model_id
from asktell.project import Project
from asktell.types import Training

_log = logging.getLogger(__name__)


@dataclass
class Standing:
    """How the project is worked on, its newest good model and training, what that predicts, and the newest advice."""

    settings: Settings
    items: Items
    model: Model | None = None
    training: Training | None = None
    predictions: Predictions | None = None

    advice: Mapping[str, object] = field(default_factory=dict)

    def has_predicted(self) -> bool:
        """Whether the predictions are those of the model, for all items that have rows."""
        kept, model = self.predictions, self.model
        return model is not None and kept is not None and (kept.model, len(kept)) == (model.id, self.items.n_usable)


def set_up(project: Project, settings: Settings) -> Standing:
    """As it was when the last worker ended. What cannot be restored is left out: it will be made again.

    Raises `DataError`, `ProjectError` or `ModelError` where the items or the learner cannot be had.
    """
    found = Standing(settings, Items(project, settings))
    good = [training for training in project.trainings if training.error is None]
    if good:
        found.training, found.advice = good[-1], _newest_advice(good)
        found.model = _restored(project, found.items, good[-1])
    if found.model is not None:
        found.predictions = _predicted(project, found.model)
    return found


def _newest_advice(good: Sequence[Training]) -> Mapping[str, object]:
    told = (training.report.get("advice") for training in reversed(good))
    return next((advice for advice in told if isinstance(advice, Mapping)), {})


def stored_model(project: Project, training: Training) -> Model | None:
    """The model that came out of a training, from its files; None if it never had any, or the learner cannot restore.

    Raises `ModelError` where they are damaged, and whatever the user's learner raises.
    """
    id_ = str(training.model)
    card = models.read_card(project.folder, id_)
    if card is None:
        return None
    lesson, weights, network = models.lesson_of(card), models.read_weights(project.folder, id_), card.get("network")
    settings = project.settings
    posterior = restored(network if isinstance(network, Mapping) else {}, lesson.classes, weights, settings)
    if posterior is None:
        return None
    if not isinstance(posterior, HasWeights) or model_id(posterior) != id_:
        raise ModelError("its weights are damaged, or the learner gives them back changed")
    return Model(id_, posterior, lesson, training.number, card)


def _restored(project: Project, items: Items, training: Training) -> Model | None:
    try:
        found = stored_model(project, training)
    except Exception as error:  # noqa: BLE001  the user's learner may raise anything, and a training makes up for it
        _log.warning("model %s cannot be restored (%s); a new one is trained", training.model, error)
        return None
    return found if found is not None and found.lesson.how == items.how else None


def _predicted(project: Project, model: Model) -> Predictions | None:
    try:
        found = predictions.read(project.folder)
    except AsktellError as error:
        _log.warning("%s", error)
        return None
    return found if found is not None and found.model == model.id else None
