"""Weights: their name, and their way to disk and back."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors.protocols import Posterior
from asktell.writing import write_whole


@runtime_checkable
class HasWeights(Protocol):
    """A posterior that is made of weights."""

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        ...


def model_id(posterior: Posterior) -> str:
    """sha256 of the weights: names, shapes, dtypes and bytes, in order of names.

    Raises `ModelError` if the posterior has no weights.

    >>> from asktell.posteriors import Deterministic
    >>> zero = nn.Linear(2, 2)
    >>> _ = zero.load_state_dict({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)})
    >>> model_id(Deterministic(zero))[:12]
    '21894abf19cc'
    """
    if not isinstance(posterior, HasWeights):
        raise ModelError(f"{type(posterior).__name__} has no weights; give the model's id as a string of your own")
    digest = hashlib.sha256()
    for name, weight in sorted(posterior.weights().items()):
        digest.update(f"{name} {weight.dtype} {list(weight.shape)}\n".encode())
        digest.update(_packed(weight).flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name; `ModelError` if the module's state holds anything else."""
    state = module.state_dict()
    strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if strange:
        raise ModelError(f"the module's state holds {strange}, which are no tensors")
    return dict(state)


def save_weights(source: nn.Module | HasWeights, path: str | os.PathLike[str]) -> None:
    """Write the weights of a module or a posterior as safetensors; `path` holds the old file or the new one."""
    weights = weights_of(source) if isinstance(source, nn.Module) else source.weights()
    tensors = {name: _packed(weight) for name, weight in weights.items()}
    write_whole(Path(path), safetensors.torch.save(tensors))


def load_weights(module: nn.Module, path: str | os.PathLike[str]) -> None:
    """Read weights that `save_weights` wrote; `ModelError` if the file is damaged or of another network."""
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is not a readable safetensors file: {error}") from error
    put_weights(module, tensors, str(path))


def put_weights(module: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Copy weights into a module; `ModelError` naming what does not fit."""
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ModelError(f"weights from {origin} do not fit the network: {error}") from error


def _packed(weight: Tensor) -> Tensor:
    """A copy on the CPU with its numbers in order, one beside the other.

    `contiguous` is not enough: it leaves an axis of length 1 its stride, which is 0 after `expand`.
    """
    return weight.detach().cpu().clone(memory_format=torch.contiguous_format)
