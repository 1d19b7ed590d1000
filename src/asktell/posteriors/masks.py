"""Dropout masks that depend on (key, layer, call, draw) and on nothing else."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.randomness import counter

_FORWARD = {kind.forward for kind in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)}
_LEAST_AXES = {nn.Dropout1d: 3, nn.Dropout2d: 3, nn.Dropout3d: 5}  # with fewer, torch takes items for channels


def active_dropouts(module: nn.Module, off: Collection[str]) -> dict[str, float]:
    """Rate of every dropout module with p > 0 that is not off, by qualified name.

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
    return {name: m.p for name, m in found.items() if m.p > 0 and name not in off}


class Masks:
    """The masks of `k` draws. What is kept is booleans, made on the CPU when a layer is first met."""

    def __init__(self, key: int, k: int, rates: Mapping[str, float]) -> None:
        self._key, self._k, self._rates = key, k, rates
        self._kept: dict[tuple[str, int], Tensor] = {}

    @contextmanager
    def applied(self, layers: Mapping[str, nn.Module], draw: int, rows: int) -> Iterator[None]:
        """Inside, the dropout modules `layers` (in eval mode) multiply in the masks of `draw`."""
        calls: Counter[str] = Counter()

        def hook(name: str, layer: nn.Module, _: object, x: Tensor) -> Tensor:
            calls[name] += 1
            return x * self._mask(name, calls[name] - 1, draw, item_shape(name, layer, x, rows), x)

        handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _mask(self, name: str, call: int, draw: int, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """[1, ...] with 0 where a unit is dropped and 1 / (1 - p) elsewhere."""
        if (name, call) not in self._kept:
            self._kept[name, call] = self._make(name, call, shape).to(like.device)
        kept = self._kept[name, call]
        if kept.shape[1:] != shape:
            raise ModelError(f"dropout {name!r} met items of shape {list(shape)} after {list(kept.shape[1:])}")
        rate = self._rates[name]
        return kept[draw : draw + 1].to(like.dtype) * (1 / (1 - rate) if rate < 1 else 0.0)

    def _make(self, name: str, call: int, shape: tuple[int, ...]) -> Tensor:
        streams = (counter(self._key, name, call, draw) for draw in range(self._k))
        return torch.from_numpy(np.stack([stream.random(shape) >= self._rates[name] for stream in streams]))


def item_shape(name: str, layer: nn.Module, x: Tensor, rows: int) -> tuple[int, ...]:
    """The shape of one item's mask: all of it, or one number per channel. Items must be the first axis."""
    channelwise = next((axes for kind, axes in _LEAST_AXES.items() if isinstance(layer, kind)), None)
    if x.ndim < (channelwise or 1) or len(x) != rows:
        raise ModelError(
            f"dropout {name!r} ({type(layer).__name__}) met shape {list(x.shape)} in a batch of {rows}; the first axis "
            "must be the items, the second (for Dropout1d/2d/3d) the channels; or keep it switched off: "
            f"off=({name!r},)"
        )
    return tuple(x.shape[1:]) if channelwise is None else (x.shape[1], *[1] * (x.ndim - 2))
