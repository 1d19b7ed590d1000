"""A network cut in two: what depends on no dropout, run once, and the rest, run once per draw.

The cut is made on a torch.fx trace. Where masks allow, the rest is a smaller network for each draw. Networks that
cannot be traced, or whose trace disagrees with them, are run whole for every draw, with the same masks.
"""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from asktell.posteriors.masks import Draw, Layers, Masks
from asktell.posteriors.thinned import Thinned, thin_out
from asktell.posteriors.traces import Trace, shell_of, traced
from asktell.randomness import derive, seeded


class UntracedWarning(UserWarning):
    """A network that torch.fx cannot trace: every draw is a full pass. Values are the same, only slower."""


@dataclass(frozen=True)
class Form:
    """`rest(draw, *first(x))` is the network; `thinned` are the layers that `rest` runs in part."""

    first: Callable[[Tensor], tuple[Any, ...]]
    rest: Callable[..., Any]
    traced: bool
    thinned: tuple[Thinned, ...] = ()


def cut(module: nn.Module, layers: Layers, items: Tensor, *, thin: bool = True) -> Form:
    """The network cut before its dropout modules `layers`, thinned if asked for; or whole if it cannot be cut.

    Holds for items of the shape of `items`, a few rows on which the two must agree.
    """
    reference = whole(module, layers)
    for thinly in (True, False) if thin else (False,):
        try:
            with seeded(derive(0, "trace")), torch.no_grad():
                form = _split(module, layers, items if thinly else None)
                if all(_agrees(form, reference, items, draw) for draw in _trials(layers, len(items))):
                    return form
        except Exception:  # noqa: BLE001 - the tracer runs a stranger's code on proxies: anything may come out
            pass
    return reference


def whole(module: nn.Module, layers: Layers) -> Form:
    """The network uncut: every draw is a full pass."""
    shell = shell_of(module)
    inside: dict[str, Any] = {name: shell.get_submodule(name) for name in layers}

    def rest(draw: Draw, x: Tensor) -> Any:
        with draw.applied(inside):
            return shell(x.clone())

    return Form(lambda x: (x,), rest, traced=False)


def _split(module: nn.Module, layers: Layers, items: Tensor | None) -> Form:
    trace = traced(module, layers)
    thinned = () if items is None else thin_out(trace, items, layers)
    late = trace.late
    frontier = [node for node in trace.graph.nodes if node not in late and any(user in late for user in node.users)]
    first, rest = _early_graph(trace, late, frontier), _late_graph(late, frontier)
    return Form(fx.GraphModule(trace.shell, first), fx.GraphModule(trace.shell, rest), True, thinned)


def _trials(layers: Layers, rows: int) -> tuple[Draw, Draw]:
    """Masks, and masks that drop nothing: those that drop much hide much."""
    idle = {name: copy.copy(layer) for name, layer in layers.items()}
    for layer in idle.values():
        layer.p = 0.0
    return Masks(0, 1, layers).draw(0, rows), Masks(0, 1, idle).draw(0, rows)


def _agrees(form: Form, reference: Form, items: Tensor, draw: Draw) -> bool:
    """Whether the cut network gives what the whole one gives, and leaves what it starts from as it was."""
    frontier = form.first(items.clone())
    versions = [_version(value) for value in frontier]
    output, expected = form.rest(draw, *frontier), reference.rest(draw, *reference.first(items.clone()))
    tolerance = 1e-10 if expected.dtype == torch.float64 else max(1e-4, 8 * torch.finfo(expected.dtype).eps)
    close = torch.allclose(output, expected, tolerance, tolerance, equal_nan=True)
    return close and versions == [_version(value) for value in frontier]


def _version(value: object) -> int:
    return value._version if isinstance(value, Tensor) else 0


def _early_graph(trace: Trace, late: Collection[fx.Node], frontier: list[fx.Node]) -> fx.Graph:
    early, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in trace.graph.nodes:
        if node not in late:
            copies[node] = early.node_copy(node, copies.__getitem__)
    early.output(tuple(copies[node] for node in frontier))
    return early


def _late_graph(late: Collection[fx.Node], frontier: list[fx.Node]) -> fx.Graph:
    rest = fx.Graph()
    draw, *others = late
    copies = {draw: rest.placeholder(draw.name)} | {node: rest.placeholder(node.name) for node in frontier}
    for node in others:
        copies[node] = rest.node_copy(node, copies.__getitem__)
    return rest
