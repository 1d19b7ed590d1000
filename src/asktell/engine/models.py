"""Trained models on disk: weights as safetensors, and beside them what they are, as JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from asktell.engine import files
from asktell.engine.due import Lesson
from asktell.errors import ModelError
from asktell.posteriors import HasWeights, Posterior, save_weights
from asktell.writing import write_whole

KEPT: Final = 5
"""The newest models that stay on disk."""


@dataclass(frozen=True)
class Model:
    """A posterior with its id (sha256 of its weights), what it learnt, and what its learner was told."""

    id: str
    posterior: Posterior
    lesson: Lesson
    number: int
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes, by number."""
        return self.lesson.classes


def weights_file(folder: Path, model: str) -> Path:
    """Where the weights of a model lie."""
    return folder / files.MODELS / f"{model}.safetensors"


def card_file(folder: Path, model: str) -> Path:
    """Where it is written what a model is."""
    return folder / files.MODELS / f"{model}.json"


def save(folder: Path, model: Model) -> None:
    """Write a model that has weights; others live in memory only. Older ones make room."""
    if not isinstance(model.posterior, HasWeights):
        return
    (folder / files.MODELS).mkdir(exist_ok=True)
    save_weights(model.posterior, weights_file(folder, model.id))
    lesson = model.lesson
    card = {
        "model": model.id,
        "training": model.number,
        "classes": list(lesson.classes),
        **model.about,
        "how": lesson.how,
        "labels": dict(lesson.labels),
        "reserved": sorted(lesson.reserved),
    }
    write_whole(card_file(folder, model.id), json.dumps(card, ensure_ascii=False).encode())
    _make_room(folder)


def read_card(folder: Path, model: str) -> dict[str, object] | None:
    """What is written about a model; None if its files are gone or damaged."""
    try:
        card = json.loads(card_file(folder, model).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) and card.get("model") == model else None


def read_weights(folder: Path, model: str) -> dict[str, Tensor]:
    """The weights of a model. Raises `ModelError` if the file is gone or damaged."""
    path = weights_file(folder, model)
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}); the worker trains a new model") from error


def lesson_of(card: Mapping[str, object]) -> Lesson:
    """What the model learnt, as its card says."""
    labels, classes, reserved = card["labels"], card["classes"], card["reserved"]
    if not (isinstance(labels, dict) and isinstance(classes, list) and isinstance(reserved, list)):
        raise ModelError(f"the card of model {card.get('model')} is damaged; the worker trains a new model")
    return Lesson(labels, tuple(classes), str(card["how"]), frozenset(reserved))


def class_numbers(labels: Iterable[str], classes: tuple[str, ...]) -> Tensor:
    """Class names as numbers, int64. Raises `ModelError` for a class that is newer than `classes`."""
    numbers = {name: number for number, name in enumerate(classes)}
    try:
        return torch.tensor([numbers[label] for label in labels], dtype=torch.int64)
    except KeyError as error:
        raise ModelError(f"class {error} is newer than the model; the next training learns it") from None


def _make_room(folder: Path) -> None:
    """Only the newest stay, and nothing that a kill left half done."""
    cards = sorted((folder / files.MODELS).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    kept = {card.stem for card in cards[-KEPT:]}
    for file in (folder / files.MODELS).iterdir():
        if file.stem not in kept:
            file.unlink(missing_ok=True)
