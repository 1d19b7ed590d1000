"""Labels for new data by a project's newest model, with probabilities and uncertainty."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from asktell.engine import files
from asktell.engine.embedders import embedder, embedder_name
from asktell.engine.learner import ReadsItems, own_learner
from asktell.engine.listing import Prediction
from asktell.engine.models import Model
from asktell.engine.predictions import drawn, judged
from asktell.engine.settings import Settings
from asktell.engine.standing import stored_model
from asktell.errors import ContentError, ProjectError
from asktell.pools.found import Found
from asktell.pools.founding import Origin
from asktell.pools.protocols import Embedder
from asktell.posteriors import Draws
from asktell.project import Project
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows

AT_ONCE = 256


@dataclass(frozen=True)
class Predicted:
    """One new item; without a prediction there is a `reason` why it was left out."""

    id: str
    prediction: Prediction | None
    reason: str | None = None


def predict(project: Project, origin: Origin) -> Iterator[Predicted]:
    """What the newest model says of all items of `origin`, which is data of the project's own kind, in its order.

    What cannot be read comes last, with the reason. Raises `ProjectError` without a model whose weights are kept, or
    for data of another kind; `DataError` for data that cannot be had.
    """
    model = _newest(project)
    settings = Settings.of(project)
    if origin.kind != settings.source.get("kind"):
        raise ProjectError(f"the project has items of kind {settings.source.get('kind')}, not {origin.kind}")
    reader = _reader(project, replace(settings, source=origin.to_json()), model)
    draws = drawn(model, settings.draws, derive(project.seed, "predictions"))
    found = origin.read()
    for start in range(0, len(found), AT_ONCE):
        yield from _some(found, slice(start, start + AT_ONCE), reader, draws, model)
    for where, reason in found.left_out:
        yield Predicted(where, None, reason)


class _Reader:
    """Makes rows of contents: by an embedder, or by the user's learner itself."""

    def __init__(self, source: Embedder | ReadsItems) -> None:
        self._source = source

    def rows(self, values: Sequence[str]) -> Rows:
        if isinstance(self._source, Embedder):
            return TensorRows(torch.from_numpy(np.ascontiguousarray(self._source.embed(values))))
        return self._source.inputs(tuple(values))


def _some(found: Found, part: slice, reader: _Reader, draws: Draws, model: Model) -> Iterator[Predicted]:
    ids, values = found.ids[part], found.values[part]
    try:
        yield from _judged(ids, reader.rows(values), draws, model)
    except ContentError:
        for id_, value in zip(ids, values, strict=True):
            yield _alone(id_, value, reader, draws, model)


def _alone(id_: str, value: str, reader: _Reader, draws: Draws, model: Model) -> Predicted:
    try:
        return next(_judged([id_], reader.rows([value]), draws, model))
    except ContentError as error:
        return Predicted(id_, None, error.reason)


def _judged(ids: Sequence[str], rows: Rows, draws: Draws, model: Model) -> Iterator[Predicted]:
    p, entropy, bald = judged(draws.log_probs(rows))
    for place, id_ in enumerate(ids):
        shares = dict(zip(model.classes, p[place].tolist(), strict=True))
        yield Predicted(id_, Prediction(shares, entropy[place].item(), bald[place].item()))


def _newest(project: Project) -> Model:
    training = next((one for one in reversed(project.trainings) if one.error is None), None)
    model = None if training is None else stored_model(project, training)
    if model is None:
        raise ProjectError(f"{project.folder} has no model with weights yet; run asktell worker, and answer questions")
    return model


def _reader(project: Project, settings: Settings, model: Model) -> _Reader:
    if settings.learner is not None:
        learner = own_learner(settings.learner, model.classes, {**project.settings, "source": settings.source})
        if isinstance(learner, ReadsItems):
            return _Reader(learner)
    name = embedder_name(settings.source, settings.embedder)
    return _Reader(embedder(name, settings.source, project.folder / files.EMBEDDINGS, _never_fitted))


def _never_fitted() -> list[str]:
    raise ProjectError("the tables that the model's texts were embedded with are gone; run asktell worker to fit anew")
