"""Dropout masks that depend on (key, layer, call, draw) and on nothing else."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.randomness import counter

_FORWARD = {kind.forward for kind in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)}
_LEAST_AXES = {nn.Dropout1d: 3, nn.Dropout2d: 3, nn.Dropout3d: 5}  # with fewer, torch takes items for channels

Layers = Mapping[str, _DropoutNd]
"""Dropout modules by qualified name."""


def active_dropouts(module: nn.Module, off: Collection[str]) -> dict[str, _DropoutNd]:
    """Every dropout module with p > 0 that is not off, by qualified name.

    Raises `ModelError` if there is no dropout module at all, or one that is no plain dropout.
    """
    found = {name: m for name, m in module.named_modules() if isinstance(m, _DropoutNd)}
    strange = [name for name, m in found.items() if type(m).forward not in _FORWARD and name not in off]
    if strange:
        kinds = ", ".join(f"{name!r} ({type(found[name]).__name__})" for name in strange)
        raise ModelError(
            f"cannot hold masks of {kinds} fixed; use nn.Dropout or nn.Dropout1d/2d/3d, or off={tuple(strange)!r}"
        )
    if not found:
        raise ModelError(
            "the network has no dropout module, so that all draws would be equal; use Deterministic(module)"
        )
    return {name: m for name, m in found.items() if m.p > 0 and name not in off}


class Place(NamedTuple):
    """One call of a dropout layer: the shape of its mask, and that of the item its mask is spread over.

    Units are computed by the `multiple`: those kept, and a few of those dropped.
    """

    name: str
    call: int
    shape: tuple[int, ...]
    spread: tuple[int, ...]
    multiple: int = 1

    @property
    def units(self) -> int | None:
        """How many entries of the second axis the mask keeps or drops as a whole; None if it drops parts of them."""
        return self.shape[0] if self.shape and all(extent == 1 for extent in self.shape[1:]) else None


class Masks:
    """The masks of `k` draws. What is kept is booleans, made on the CPU when a layer is first met, and indices."""

    def __init__(self, key: int, k: int, layers: Layers) -> None:
        self._key, self._k, self._layers = key, k, layers
        self._kept: dict[tuple[str, int], Tensor] = {}
        self._units: dict[tuple[Place, int, torch.dtype], tuple[Tensor, Tensor]] = {}

    def draw(self, number: int, rows: int) -> "Draw":
        """The masks of draw `number`, for batches of `rows` items."""
        return Draw(self, number, rows)

    def mask(self, name: str, call: int, draw: int, x: Tensor, rows: int) -> Tensor:
        """[1, ...] with 0 where a unit of `x` is dropped and 1 / (1 - p) elsewhere."""
        shape = item_shape(name, self._layers[name], x.shape, rows)
        kept = self._booleans(name, call, shape, x.device)
        return kept[draw : draw + 1].to(x.dtype) * self._scale(name)

    def units(self, place: Place, draw: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the units to compute at `place`, spread and flattened, at least one, and the mask there."""
        if (place, draw, like.dtype) not in self._units:
            kept = self._booleans(place.name, place.call, place.shape, like.device)[draw]
            indices = _computed(kept, place.multiple).expand(place.spread).flatten().nonzero()[:, 0]
            mask = kept.expand(place.spread).flatten()[indices].to(like.dtype) * self._scale(place.name)
            self._units[place, draw, like.dtype] = indices, mask
        return self._units[place, draw, like.dtype]

    def _scale(self, name: str) -> float:
        rate = self._layers[name].p
        return 1 / (1 - rate) if rate < 1 else 0.0

    def _booleans(self, name: str, call: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
        """[k, ...]: whether a unit is kept."""
        if (name, call) not in self._kept:
            self._kept[name, call] = self._make(name, call, shape).to(device)
        kept = self._kept[name, call]
        if kept.shape[1:] != shape:
            raise ModelError(f"dropout {name!r} met items of shape {list(shape)} after {list(kept.shape[1:])}")
        return kept

    def _make(self, name: str, call: int, shape: tuple[int, ...]) -> Tensor:
        streams = (counter(self._key, name, call, draw) for draw in range(self._k))
        return torch.from_numpy(np.stack([stream.random(shape) >= self._layers[name].p for stream in streams]))


@dataclass(frozen=True)
class Draw:
    """The masks of one draw, for a batch of `rows` items."""

    masks: Masks
    number: int
    rows: int

    @contextmanager
    def applied(self, layers: Layers) -> Iterator[None]:
        """Inside, the dropout modules `layers` (in eval mode) multiply in their masks."""
        calls: Counter[str] = Counter()

        def hook(name: str, _: nn.Module, __: object, x: Tensor) -> Tensor:
            calls[name] += 1
            return self.masked(x, name, calls[name] - 1)

        handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def masked(self, x: Tensor, name: str, call: int) -> Tensor:
        """`x` times the mask of that call of that layer."""
        return x * self.masks.mask(name, call, self.number, x, self.rows)

    def units(self, place: Place, like: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the units to compute at `place`, and the mask there."""
        return self.masks.units(place, self.number, like)

    def restored(self, x: Tensor, place: Place) -> Tensor:
        """`x`, whose second axis holds the units to compute at `place` alone, masked; zeros for the others."""
        indices, mask = self.units(place, x)
        whole = x.new_zeros(len(x), place.shape[0], *x.shape[2:])
        return whole.index_copy_(1, indices, x * mask.view(-1, *[1] * (x.ndim - 2)))


def _computed(kept: Tensor, multiple: int) -> Tensor:
    """True where `kept` is, and at the first other units that make their number a multiple, or all there are."""
    number = -(-max(int(kept.sum()), 1) // multiple) * multiple
    first = kept.flatten().byte().argsort(descending=True, stable=True)[:number]
    return torch.zeros_like(kept).flatten().index_fill_(0, first, True).view_as(kept)


def item_shape(name: str, layer: nn.Module, shape: Sequence[int], rows: int) -> tuple[int, ...]:
    """The shape of one item's mask: all of it, or one number per channel. Items must be the first axis."""
    channelwise = next((axes for kind, axes in _LEAST_AXES.items() if isinstance(layer, kind)), None)
    if len(shape) < (channelwise or 1) or shape[0] != rows:
        raise ModelError(
            f"dropout {name!r} ({type(layer).__name__}) met shape {list(shape)} in a batch of {rows}; the first axis "
            "must be the items, the second (for Dropout1d/2d/3d) the channels; or keep it switched off: "
            f"off=({name!r},)"
        )
    return tuple(shape[1:]) if channelwise is None else (shape[1], *[1] * (len(shape) - 2))
