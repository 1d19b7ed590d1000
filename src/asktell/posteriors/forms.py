"""A network cut in two: what depends on no dropout, run once, and the rest, run once per draw.

The cut is made on a torch.fx trace. Networks that cannot be traced, or whose trace disagrees with them, are run
whole for every draw, with the same masks.
"""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.randomness import derive, seeded


class UntracedWarning(UserWarning):
    """A network that torch.fx cannot trace: every draw is a full pass. Values are the same, only slower."""


@dataclass(frozen=True)
class Form:
    """`rest(*first(x))` is the network; `layers` are the dropout modules that `rest` calls, by qualified name."""

    first: Callable[[Tensor], tuple[Any, ...]]
    rest: Callable[..., Any]
    layers: Mapping[str, nn.Module]
    traced: bool


def cut(module: nn.Module, names: Collection[str], items: Tensor) -> Form:
    """The network cut before the dropout modules `names`, or whole if it cannot be cut.

    `items` are a few rows on which the two must agree.
    """
    try:
        with seeded(derive(0, "trace")):
            form = _split(module, names)
            if _agrees(form, module, items):
                return form
    except Exception:  # noqa: BLE001 - the tracer runs a stranger's code on proxies: anything may come out of it
        pass
    return whole(module, names)


def whole(module: nn.Module, names: Collection[str]) -> Form:
    """The network uncut: every draw is a full pass."""
    shell = _shell(module)
    return Form(lambda x: (x,), lambda x: shell(x.clone()), _layers(shell, names), traced=False)


def _split(module: nn.Module, names: Collection[str]) -> Form:
    shell = _shell(module)
    if any(m._forward_hooks or m._forward_pre_hooks for m in shell.modules()):
        raise ModelError("hooks do not survive tracing")
    graph = _Tracer().trace(shell)
    late = _late(graph, names)
    frontier = [node for node in graph.nodes if node not in late and any(user in late for user in node.users)]
    first, rest = _early_graph(graph, late, frontier), _late_graph(late, frontier)
    return Form(fx.GraphModule(shell, first), fx.GraphModule(shell, rest), _layers(shell, names), traced=True)


def _agrees(form: Form, module: nn.Module, items: Tensor) -> bool:
    """Whether the cut network gives what the whole one gives, and leaves what it starts from as it was."""
    with torch.no_grad():
        frontier = form.first(items.clone())
        versions = [_version(value) for value in frontier]
        output, expected = form.rest(*frontier), module(items.clone())
    tolerance = 1e-4 if expected.dtype.itemsize <= 4 else 1e-10
    close = torch.allclose(output, expected, tolerance, tolerance, equal_nan=True)
    return close and versions == [_version(value) for value in frontier]


def _version(value: object) -> int:
    return value._version if isinstance(value, Tensor) else 0


def _shell(module: nn.Module) -> nn.Module:
    """A copy of the structure that shares parameters and buffers, for hooks and tracing to work on."""
    shared = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in shared})


def _layers(module: nn.Module, names: Collection[str]) -> dict[str, nn.Module]:
    return {name: m for name, m in module.named_modules() if name in names}


class _Tracer(fx.Tracer):
    """Dropout modules are leaves, and nothing that contains one is."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, _DropoutNd):
            return True
        if any(isinstance(inner, _DropoutNd) for inner in m.modules()):
            return False
        return super().is_leaf_module(m, module_qualified_name)


def _late(graph: fx.Graph, names: Collection[str]) -> dict[fx.Node, None]:
    """The output, and every node that an active dropout reaches, in order."""
    late: dict[fx.Node, None] = {}
    for node in graph.nodes:
        drops = node.op == "call_module" and node.target in names
        if drops or node.op == "output" or any(source in late for source in node.all_input_nodes):
            late[node] = None
    return late


def _early_graph(graph: fx.Graph, late: Collection[fx.Node], frontier: list[fx.Node]) -> fx.Graph:
    early, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in graph.nodes:
        if node not in late:
            copies[node] = early.node_copy(node, copies.__getitem__)
    early.output(tuple(copies[node] for node in frontier))
    return early


def _late_graph(late: Collection[fx.Node], frontier: list[fx.Node]) -> fx.Graph:
    rest = fx.Graph()
    copies = {node: rest.placeholder(node.name) for node in frontier}
    for node in late:
        copies[node] = rest.node_copy(node, copies.__getitem__)
    return rest
