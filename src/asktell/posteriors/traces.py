"""A network as a torch.fx graph that takes the masks of a draw as an input of its own."""

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from asktell.errors import ModelError
from asktell.posteriors.masks import Layers


@dataclass(frozen=True)
class Trace:
    """`graph` runs on `shell`; dropouts are nodes `draw.masked(x, name, call)`, where `draw` is its first input."""

    shell: nn.Module
    graph: fx.Graph
    draw: fx.Node

    @property
    def dropouts(self) -> list[fx.Node]:
        """The calls of dropout layers that are on, in order."""
        return [node for node in self.graph.nodes if node.op == "call_method" and node.args[0] is self.draw]

    @property
    def late(self) -> dict[fx.Node, None]:
        """What depends on the draw, the draw itself and the output, in order."""
        late = {self.draw: None}
        for node in self.graph.nodes:
            if node.op == "output" or any(source in late for source in node.all_input_nodes):
                late[node] = None
        return late


def traced(module: nn.Module, layers: Layers) -> Trace:
    """The graph of `module` with the dropout modules `layers` as nodes; raises whatever a tracer can raise."""
    shell = shell_of(module)
    if any(m._forward_hooks or m._forward_pre_hooks for m in shell.modules()):
        raise ModelError("hooks do not survive tracing")
    graph = _Tracer().trace(shell)
    with graph.inserting_before(next(iter(graph.nodes))):
        found = Trace(shell, graph, graph.placeholder("draw"))
    _mark(found, layers)
    return found


def shell_of(module: nn.Module) -> nn.Module:
    """A copy of the structure that shares parameters and buffers, for hooks and tracing to work on."""
    shared = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in shared})


def _mark(trace: Trace, layers: Layers) -> None:
    calls: Counter[Any] = Counter()
    for node in trace.graph.nodes:
        if node.op == "call_module" and node.target in layers:
            args = (trace.draw, node.all_input_nodes[0], node.target, calls[node.target])
            node.op, node.target, node.args, node.kwargs = "call_method", "masked", args, {}
            calls[args[2]] += 1


class _Tracer(fx.Tracer):
    """Dropout modules are leaves, and nothing that contains one is."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, _DropoutNd):
            return True
        if any(isinstance(inner, _DropoutNd) for inner in m.modules()):
            return False
        return super().is_leaf_module(m, module_qualified_name)
