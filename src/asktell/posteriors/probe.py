"""Finding randomness that a posterior cannot hold fixed, by running one item through a throw-away copy."""

import copy
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.posteriors.masks import item_shape
from asktell.randomness import derive, seeded


def check_steady(module: nn.Module, item: Tensor) -> None:
    """Raise `ModelError` if a finished network draws random numbers."""
    if _is_random(_throwaway(module), item):
        raise ModelError(
            "the network is random in eval mode too, so that it has no deterministic pass; a functional dropout "
            "must be told when to be off: F.dropout(x, p, training=self.training)"
        )


def check_only_known_dropout(
    module: nn.Module, item: Tensor, layers: Mapping[str, object], off: Collection[str]
) -> None:
    """Raise `ModelError`, naming the modules, if training mode is random elsewhere than in dropout modules.

    One item runs twice under different seeds, BatchNorm and dropout modules in eval mode. Also raises if one of
    `layers` is called in training mode and not in eval mode, where its masks would be lost.
    """
    trial = _throwaway(module)
    free = [name for name, m in trial.named_modules() if name not in off and not isinstance(m, _DropoutNd | _NormBase)]
    calls = _calls(trial, item, layers)
    _train(trial, free)
    if _is_random(trial, item):
        raise ModelError(_hidden(_guilty(trial, item, free)))
    if calls != _calls(trial, item, layers):
        raise ModelError(
            f"dropout modules are called {dict(calls)} times in eval mode but not as often in training mode; "
            "the network must call them in both"
        )


def check_attributes(module: nn.Module, off: Collection[str]) -> None:
    """Raise `ModelError` for attention and recurrent layers with a dropout of their own that is not off."""
    guilty = [name for name, m in module.named_modules() if name not in off and _own_dropout(m) > 0]
    if guilty:
        raise ModelError(_hidden(guilty))


def _own_dropout(module: nn.Module) -> float:
    if isinstance(module, nn.MultiheadAttention):
        return float(module.dropout)
    if isinstance(module, nn.RNNBase) and module.num_layers > 1:
        return float(module.dropout)
    return 0.0


def _throwaway(module: nn.Module) -> nn.Module:
    """A copy that shares parameters, not buffers."""
    return copy.deepcopy(module, {id(weight): weight for weight in module.parameters()})


def _is_random(module: nn.Module, item: Tensor) -> bool:
    """Whether a pass moves torch's random state, or gives another output under another seed."""
    (first, moved), (second, _) = _seeded_pass(module, item, 0), _seeded_pass(module, item, 1)
    if moved or not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return moved
    return first.shape != second.shape or not torch.allclose(first, second, 1e-4, 1e-5, equal_nan=True)


def _seeded_pass(module: nn.Module, item: Tensor, seed: int) -> tuple[object, bool]:
    with torch.no_grad(), seeded(derive(seed, "probe")):
        before = _random_state(item.device)
        output = module(item.clone())
        return output, not torch.equal(before, _random_state(item.device))


def _random_state(device: torch.device) -> Tensor:
    cpu = torch.get_rng_state()
    return torch.cat([cpu, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else cpu


def _calls(module: nn.Module, item: Tensor, layers: Iterable[str]) -> Counter[str]:
    """How often each dropout layer is called in one pass, after a look at where it finds the item."""
    calls: Counter[str] = Counter()

    def count(name: str, layer: nn.Module, _: object, x: Tensor) -> None:
        item_shape(name, layer, x.shape, 1)
        calls[name] += 1

    found = dict(module.named_modules())
    handles = [found[name].register_forward_hook(partial(count, name)) for name in layers]
    _seeded_pass(module, item, 0)
    for handle in handles:
        handle.remove()
    return calls


def _train(module: nn.Module, names: Iterable[str]) -> None:
    """Set the training flag of these modules alone, not of what they contain."""
    module.eval()
    found = dict(module.named_modules())
    for name in names:
        found[name].training = True


def _guilty(module: nn.Module, item: Tensor, names: Iterable[str]) -> list[str]:
    guilty = []
    for name in names:
        _train(module, [name])
        if _is_random(module, item):
            guilty.append(name)
    return guilty


def _hidden(names: list[str]) -> str:
    where = ", ".join(repr(name) if name else "'' (the network's own forward)" for name in names) or "the network"
    return (
        f"{where} drops out (or draws other random numbers) outside of nn.Dropout modules, so that its masks cannot be "
        f"held fixed; use an nn.Dropout module, or keep it switched off: off={tuple(names) or ('name',)!r}"
    )
