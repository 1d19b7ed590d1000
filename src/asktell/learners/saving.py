"""A finished posterior on disk: its tensors as safetensors, and beside them what it is, as JSON."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import safetensors
import safetensors.torch
from torch import Tensor

from asktell.errors import ModelError
from asktell.learners.protocols import Restores
from asktell.posteriors import HasWeights, Posterior, model_id, save_weights
from asktell.writing import write_whole

WEIGHTS: Final = "weights.safetensors"
CARD: Final = "posterior.json"


def save(posterior: Posterior, classes: tuple[str, ...], folder: str | os.PathLike[str]) -> None:
    """Write a posterior into a folder of its own: WEIGHTS, then CARD with its kind, classes and model id.

    Raises `ModelError` for a posterior without weights; what fits it from the same seed gives it again.
    """
    if not isinstance(posterior, HasWeights):
        raise ModelError(f"{type(posterior).__name__} has no weights to save; fit it again from the same seed")
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    save_weights(posterior, where / WEIGHTS)
    card = {"kind": type(posterior).__name__, "classes": list(classes), "model": model_id(posterior)}
    write_whole(where / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())


def load(learner: Restores, folder: str | os.PathLike[str]) -> tuple[Posterior, tuple[str, ...]]:
    """What `save` wrote, and its classes. `learner` is one made like the one that fitted it.

    Raises `ModelError` if a file is missing or damaged, if the two do not belong together, or if the weights do not
    fit what the learner builds.
    """
    where = Path(folder)
    card = _card(where / CARD)
    classes = tuple(str(name) for name in card["classes"])  # type: ignore[attr-defined]
    posterior = learner.restore(classes, read_weights(where / WEIGHTS))
    if (type(posterior).__name__, model_id(posterior)) != (card["kind"], card["model"]):
        raise ModelError(
            f"{where / CARD} speaks of a {card['kind']} with other weights than {WEIGHTS} beside it holds, or than "
            f"{type(learner).__name__} restores; load with the learner that fitted it, from files saved together"
        )
    return posterior, classes


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Tensors by name; `ModelError` if the file is missing or damaged."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error


def _card(path: Path) -> dict[str, object]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not (
        isinstance(card, dict) and {"kind", "classes", "model"} <= card.keys() and isinstance(card["classes"], list)
    ):
        raise ModelError(f"{path} does not say kind, classes and model of a posterior")
    return card
