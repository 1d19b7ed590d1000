"""Draws as smaller networks: a mask is the same for every item, so that what it drops need not be computed.

Two steps on a trace. First each dropout sinks below the ReLUs and pools that read it, with which a mask commutes (it
is never negative); where nothing random lies above, they then run once for all draws. Next, the layers that read a
dropout take the kept columns of their weights, scaled, and a layer that feeds a dropout alone, through what works
unit by unit, computes the kept rows. Every other dropout multiplies its mask in.
"""

import operator
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from asktell.posteriors.masks import Draw, Layers, Place
from asktell.posteriors.survey import Survey, dropped
from asktell.posteriors.traces import Trace

_MULTIPLE: Final = 8  # what convolutions like their number of outputs to be a multiple of


class Thinned(nn.Module):
    """A layer that computes the outputs kept at `rows` from the inputs kept at `columns`; None is all of them.

    `gathers` says that its input holds the dropped units too.
    """

    def __init__(self, name: str, layer: Any, share: "_Share") -> None:
        super().__init__()
        self.name, self.layer = name, layer
        self.columns, self.rows, self.gathers = share.columns, share.rows, share.gathers

    def forward(self, x: Tensor, draw: Draw) -> Tensor:
        """Outputs that are neither masked nor scaled."""
        weight, bias = self.layer.weight, self.layer.bias
        if self.rows:
            units, _ = draw.units(self.rows, x)
            weight, bias = weight.index_select(0, units), None if bias is None else bias.index_select(0, units)
        if self.columns:
            units, mask = draw.units(self.columns, x)
            weight = weight.index_select(1, units) * mask.view(-1, *[1] * (weight.ndim - 2))
            x = _gathered(x, units) if self.gathers else x
        if isinstance(self.layer, nn.Linear):
            return _linear(x, weight, bias)
        convolved: Tensor = self.layer._conv_forward(x, weight, bias)
        return convolved


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As functional.linear, made transposed: faster, because the gathered rows of both factors are contiguous."""
    product = weight @ x.t() if bias is None else torch.addmm(bias[:, None], weight, x.t())
    return product.t()


def _laid_out(x: Tensor) -> Tensor:
    """`x` as it is fastest to gather units from: rows of items, or channels-last, which convolutions like too."""
    return x.t().contiguous().t() if x.ndim == 2 else x.movedim(1, -1).contiguous().movedim(-1, 1)


def _gathered(x: Tensor, units: Tensor) -> Tensor:
    """Those `units` of `x`, in the layout of `x` if that is a good one."""
    if x.ndim == 2 and x.t().is_contiguous():
        return x.t().index_select(0, units).t()
    last = x.movedim(1, -1)
    gathered = last.reshape(-1, last.shape[-1]).index_select(1, units)
    return gathered.view(*last.shape[:-1], len(units)).movedim(-1, 1)


def thin_out(trace: Trace, items: Tensor, dropouts: Layers) -> tuple[Thinned, ...]:
    """Rewrite `trace` for items of the shape of `items`; gives the layers that draws now run in part."""
    survey = Survey(trace, items, dropouts)
    for node in survey.flattens:
        _plain(node)
    for dropout in trace.dropouts:
        _sink(dropout, survey)
    late, shares = trace.late, defaultdict[fx.Node, _Share](_Share)
    for dropout in trace.dropouts:
        _fold(dropout, survey, late, shares)
    return tuple(_thinned(node, share, trace) for node, share in shares.items())


@dataclass
class _Share:
    """What of a layer draws need."""

    columns: Place | None = None
    rows: Place | None = None
    gathers: bool = False


def _plain(flatten: fx.Node) -> None:
    """Flatten without a word of sizes, which thinning changes."""
    x, *sizes = flatten.all_input_nodes
    flatten.op, flatten.target, flatten.args, flatten.kwargs = "call_function", torch.flatten, (x, 1), {}
    for size in sizes:
        _forget(size)


def _forget(size: fx.Node) -> None:
    """Erase a question for a size whose answer nobody reads."""
    if not size.users and size.target in ("size", getattr, operator.getitem):
        sources = size.all_input_nodes
        size.graph.erase_node(size)
        for source in sources:
            _forget(source)


def _sink(dropout: fx.Node, survey: Survey) -> None:
    while len(dropout.users) == 1 and dropped(dropout) in survey.steady:
        reader = next(iter(dropout.users))
        if not survey.sinks(dropout, reader):
            break
        _swap(dropout, reader, survey)


def _swap(dropout: fx.Node, reader: fx.Node, survey: Survey) -> None:
    x = dropped(dropout)
    if survey.is_relu(reader):  # x may have other readers: no longer in place
        reader.op, reader.target, reader.args, reader.kwargs = "call_function", functional.relu, (dropout,), {}
    reader.replace_all_uses_with(dropout)
    reader.replace_input_with(dropout, x)
    dropout.replace_input_with(x, reader)
    reader.append(dropout)
    survey.swapped(dropout, reader)


def _fold(dropout: fx.Node, survey: Survey, late: Collection[fx.Node], shares: dict[fx.Node, _Share]) -> None:
    place, x = survey.places[dropout], dropped(dropout)
    producer, readers = _producer(dropout, survey, late), _readers(dropout, survey)
    if producer:
        place = shares[producer].rows = place._replace(multiple=_MULTIPLE)
    for reader in readers:
        spread = survey.shapes[x][1:] if isinstance(survey.layer(reader), nn.Linear) else place.shape
        shares[reader].columns, shares[reader].gathers = place._replace(spread=spread), producer is None
        if x not in late:
            _lay_out(reader, survey)
    if readers:
        dropout.replace_all_uses_with(x)
        dropout.graph.erase_node(dropout)
    elif producer:
        dropout.target, dropout.args = "restored", (dropout.args[0], x, place)


def _lay_out(reader: fx.Node, survey: Survey) -> None:
    """Once for all draws."""
    x = reader.all_input_nodes[0]
    with reader.graph.inserting_before(reader):
        laid_out = reader.graph.call_function(_laid_out, (x,))
    reader.args, survey.shapes[laid_out] = (laid_out,), survey.shapes[x]


def _producer(dropout: fx.Node, survey: Survey, late: Collection[fx.Node]) -> fx.Node | None:
    """The layer, run for each draw, of whose outputs nothing but this dropout reads anything."""
    node, units = dropped(dropout), survey.places[dropout].units
    while len(node.users) == 1 and node in late:
        layer = survey.layer(node)
        if layer is not None:
            return node if len(layer.weight) == units else None
        if not survey.unitwise(node):
            return None
        node = node.all_input_nodes[0]
    return None


def _readers(dropout: fx.Node, survey: Survey) -> list[fx.Node]:
    """The layers that read the dropout, if nothing else does."""
    users = [reader for user in dropout.users for reader in (user.users if user in survey.flattens else [user])]
    return users if dropped(dropout) in survey.steady and all(_folds(dropout, user, survey) for user in users) else []


def _folds(dropout: fx.Node, reader: fx.Node, survey: Survey) -> bool:
    layer = survey.layer(reader)
    return isinstance(layer, nn.Linear) or (layer is not None and survey.places[dropout].units is not None)


def _thinned(node: fx.Node, share: _Share, trace: Trace) -> Thinned:
    thinned = Thinned(str(node.target), trace.shell.get_submodule(str(node.target)), share)
    name = f"thinned:{node.name}"
    trace.shell.add_module(name, thinned)
    node.target, node.args = name, (*node.args, trace.draw)
    return thinned
