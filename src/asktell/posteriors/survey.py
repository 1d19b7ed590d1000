"""What the nodes of a trace do with units: the entries of a value's second axis."""

from collections.abc import Hashable
from math import prod
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from asktell.posteriors.masks import Layers, Masks, Place, item_shape
from asktell.posteriors.traces import Trace

_LAYERS: Final[dict[Hashable, int]] = {nn.Linear: 2, nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5}  # axes of the input
_RELUS: Final[set[Hashable]] = {nn.ReLU, functional.relu, functional.relu_, torch.relu, torch.relu_, "relu", "relu_"}
_IDENTITIES: Final[set[Hashable]] = {nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d}  # those off
_ELEMENTWISE: Final[set[Hashable]] = {
    *(nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus),
    *(torch.tanh, torch.sigmoid, functional.gelu, functional.silu, functional.elu, functional.leaky_relu),
}
_FLATTENS: Final[set[Hashable]] = {nn.Flatten, torch.flatten, torch.reshape, "flatten", "reshape", "view"}
_POOLS: Final[dict[Hashable, int]] = {
    getattr(where, name.format(axes)): axes + 2  # axes of the input
    for axes in (1, 2, 3)
    for where, names in (
        (nn, ("MaxPool{}d", "AvgPool{}d", "AdaptiveMaxPool{}d", "AdaptiveAvgPool{}d")),
        (functional, ("max_pool{}d", "avg_pool{}d", "adaptive_max_pool{}d", "adaptive_avg_pool{}d")),
    )
    for name in names
}
_ROWS: Final = 13  # an extent that networks do not have, so that the items' axis is known by it


class Survey:
    """A trace, run on a few rows: the shapes of its values, and which of them are steady.

    A steady value is never written to once it is made: it may be read later than the network reads it.
    """

    def __init__(self, trace: Trace, items: Tensor, dropouts: Layers) -> None:
        self._shell, self._dropouts = trace.shell, dropouts
        run = _Run(trace)
        run.run(Masks(0, 1, dropouts).draw(0, _ROWS), items[torch.arange(_ROWS) % len(items)])
        self.shapes = {node: tuple(value.shape) for node, (value, _) in run.made.items()}
        self.steady = {node for node, (value, version) in run.made.items() if value._version == version}
        self.places = {node: self._place(node, dropped(node)) for node in trace.dropouts}
        self.flattens = {node for node in trace.graph.nodes if self._flattens(node)}

    def sinks(self, dropout: fx.Node, reader: fx.Node) -> bool:
        """Whether the mask may be multiplied into what `reader` gives rather than into what it reads."""
        if reader not in self.shapes or not reads_only(reader, dropout):
            return False
        if self._pools(reader):
            return self.places[dropout].units is not None and self._place(dropout, reader) == self.places[dropout]
        return self.is_relu(reader) or self._what(reader) in _IDENTITIES

    def unitwise(self, node: fx.Node) -> bool:
        """Whether each unit of what it gives is made of the same unit of what it reads, and of nothing else."""
        if node in self.flattens or self._pools(node):
            return True
        single = bool(node.args) and reads_only(node, node.args[0])
        return single and (self.is_relu(node) or self._what(node) in _IDENTITIES | _ELEMENTWISE)

    def is_relu(self, node: fx.Node) -> bool:
        """Whether it is a ReLU, in place or not."""
        return self._what(node) in _RELUS

    def layer(self, node: fx.Node) -> Any:
        """The plain linear layer or convolution that it calls, on a value whose second axis are units; or None."""
        if self._what(node) not in _LAYERS or self._axes(node) != _LAYERS[self._what(node)]:
            return None
        layer: Any = self._shell.get_submodule(str(node.target))
        plain = isinstance(layer, nn.Linear) or (layer.groups == 1 and layer.padding_mode == "zeros")
        return layer if plain else None

    def swapped(self, dropout: fx.Node, reader: fx.Node) -> None:
        """Take note that the dropout now reads what `reader` gives, anew, and gives what that gave."""
        self.shapes[dropout] = self.shapes[reader]
        (self.steady.add if reader in self.steady else self.steady.discard)(dropout)
        self.steady.add(reader)

    def _what(self, node: fx.Node) -> Hashable:
        """The function, the method's name or the exact class of what it calls."""
        if node.op != "call_module":
            return node.target if node.op in ("call_function", "call_method") else None
        module = self._shell.get_submodule(str(node.target))
        kind: type | None = None if "forward" in vars(module) else type(module)
        return kind

    def _axes(self, node: fx.Node) -> int:
        """Of its first argument, 0 if that is no tensor."""
        x: Any = node.args[0] if node.args else None
        return len(self.shapes.get(x, ()))

    def _pools(self, node: fx.Node) -> bool:
        return _POOLS.get(self._what(node)) == self._axes(node) and reads_only(node, node.args[0])

    def _flattens(self, node: fx.Node) -> bool:
        if self._what(node) not in _FLATTENS or self._axes(node) < 2:
            return False
        rows, *shape = self.shapes[node.all_input_nodes[0]]
        return rows == _ROWS and self.shapes.get(node) == (rows, prod(shape))

    def _place(self, dropout: fx.Node, x: fx.Node) -> Place:
        arguments: Any = dropout.args
        name, call = arguments[2:]
        shape = item_shape(name, self._dropouts[name], self.shapes[x], self.shapes[x][0])
        return Place(name, call, shape, shape)


def dropped(dropout: fx.Node) -> fx.Node:
    """What a dropout reads."""
    return dropout.all_input_nodes[1]


def reads_only(node: fx.Node, x: object) -> bool:
    """Whether `x` is its first argument and the only value it reads."""
    return node.all_input_nodes == [x] and bool(node.args) and node.args[0] is x


class _Run(fx.Interpreter):
    """Keeps every tensor, with how often it had been written to when it was made."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace.shell, garbage_collect_values=False, graph=trace.graph)
        self.made: dict[fx.Node, tuple[Tensor, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The node's value."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.made[n] = value, value._version
        return value
