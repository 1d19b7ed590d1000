"""A finished network: the posterior's own copy of a module, in eval mode, run in fixed batches."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from asktell.arrays import Features, PointLogProbs, Scores
from asktell.errors import EvidenceError, ModelError
from asktell.posteriors.gradients import expected_gradient_length
from asktell.posteriors.probe import check_steady
from asktell.posteriors.weights import weights_of
from asktell.rows import Rows, as_rows

Source = Tensor | np.ndarray | Rows
"""What inputs may be: anything that `as_rows` takes."""


class Network:
    """A copy of a module that nothing changes any more, and that changes nothing of the original.

    Runs `batch` rows at a time, always in eval mode and without gradients, on the module's device and (floating
    inputs) in its dtype. The module returns logits or log-probabilities [rows, c]; results lie on the CPU.
    """

    def __init__(self, module: nn.Module, *, batch: int = 256, head: str | None = None) -> None:
        if batch < 1:
            raise ModelError(f"batch must be at least 1, not {batch}")
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.batch = batch
        self._head = None if head is None else submodule(self.module, head, "head")
        self._steady = False

    def log_probs(self, inputs: Source) -> PointLogProbs:
        """Log-probabilities of one deterministic pass."""
        with torch.no_grad():
            return torch.cat([normalised(self.module(x), len(x)).cpu() for x in self.batches(inputs)])

    def features(self, inputs: Source) -> Features:
        """What goes into the head in the same pass; `EvidenceError` if the head's output is not the network's."""
        heads = [self._head] if self._head else [m for m in self.module.modules() if isinstance(m, nn.Linear)]
        with torch.no_grad(), _watched(heads) as last:
            return torch.cat([_features(last, self.module(x), len(x)).cpu() for x in self.batches(inputs)])

    def expected_gradient_length(self, inputs: Source, *, bias: bool = True) -> Scores:
        """sum_y p_y |gradient of the loss in all weights, were y the label| of every row."""
        return torch.cat([expected_gradient_length(self.module, x, bias=bias) for x in self.batches(inputs)])

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return weights_of(self.module)

    def batches(self, inputs: Source) -> Iterator[Tensor]:
        """The inputs, `batch` rows at a time, as fresh tensors; one empty batch if there are none."""
        rows = as_rows(inputs)
        self._check_once(rows)
        for start in range(0, max(len(rows), 1), self.batch):
            yield placed(rows[start : start + self.batch], self.module)

    def _check_once(self, rows: Rows) -> None:
        if not self._steady and len(rows):
            check_steady(self.module, placed(rows[0:1], self.module))
            self._steady = True


class PointEvidence:
    """What every posterior of one network gives: predictions, features and weights, from its deterministic pass."""

    offers: frozenset[str] = frozenset({"log_probs", "point_log_probs", "features"})

    def __init__(
        self,
        module: nn.Module,
        *,
        batch: int = 256,
        head: str | None = None,
        told: Mapping[str, float] | None = None,
    ) -> None:
        self._network = Network(module, batch=batch, head=head)
        self._told = dict(told or {})

    @property
    def told(self) -> Mapping[str, float]:
        """What its training said of itself, by name; empty if nothing."""
        return dict(self._told)

    @property
    def batch(self) -> int:
        """Rows that the network runs on at a time."""
        return self._network.batch

    def predict(self, inputs: Source) -> PointLogProbs:
        """Log-probabilities [n, c] with dropout off (weight scaling), as in the DBAL protocol."""
        return self._network.log_probs(inputs)

    def point_log_probs(self, inputs: Source) -> PointLogProbs:
        """The same as `predict`."""
        return self._network.log_probs(inputs)

    def features(self, inputs: Source) -> Features:
        """The head's inputs [n, d], in the pass that gives `point_log_probs`."""
        return self._network.features(inputs)

    def expected_gradient_length(self, inputs: Source, *, bias: bool = True) -> Scores:
        """sum_y p_y |gradient of the loss in all weights, were y the label|: a backward pass for every row and class.

        Without `bias`, parameters whose name ends in "bias" are left out. Raises `ModelError` for a network that
        torch.func cannot differentiate. Settles, Craven & Ray 2007.
        """
        return self._network.expected_gradient_length(inputs, bias=bias)

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return self._network.weights()


def placed(rows: Tensor, module: nn.Module) -> Tensor:
    """A copy of `rows` on the module's device and, if they are floating point, in its dtype."""
    weights = next((w for w in _tensors(module) if w.is_floating_point()), torch.empty(0, dtype=rows.dtype))
    dtype = weights.dtype if rows.is_floating_point() else rows.dtype
    return rows.detach().to(weights.device, dtype, copy=True)


def normalised(output: object, rows: int) -> PointLogProbs:
    """log_softmax of what a module gave for `rows` rows; `ModelError` unless that is [rows, c >= 2]."""
    if not isinstance(output, Tensor) or not output.is_floating_point():
        raise ModelError(f"the module must return one floating-point tensor of logits, not {_kind(output)}")
    if output.ndim != 2 or len(output) != rows or output.shape[1] < 2:
        raise ModelError(
            f"the module returned shape {list(output.shape)} for {rows} rows; it must return logits or "
            "log-probabilities [rows, classes], two classes or more"
        )
    return output.log_softmax(-1)


def submodule(module: nn.Module, name: str, argument: str) -> nn.Module:
    """The module called `name`; `ModelError` naming those there are if there is none."""
    found: dict[str, nn.Module] = dict(module.named_modules())
    if name not in found:
        raise ModelError(f"{argument}={name!r}: no such module; there are {sorted(found)}")
    return found[name]


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


@contextmanager
def _watched(layers: Iterable[nn.Module]) -> Iterator[dict[str, object]]:
    """Input and output of whichever layer was called last."""
    last: dict[str, object] = {}

    def keep(_: nn.Module, args: tuple[object, ...], output: object) -> None:
        last.update(input=args[0] if args else None, output=output)

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield last
    finally:
        for handle in handles:
            handle.remove()


def _features(last: dict[str, object], output: Tensor, rows: int) -> Features:
    before, after = last.get("input"), last.get("output")
    if not (isinstance(after, Tensor) and _same(after, output)):
        raise EvidenceError(
            "features are the input of the last nn.Linear, but its output is not the network's output; "
            "name the layer whose output is: head='...'"
        )
    if not isinstance(before, Tensor) or before.ndim != 2 or len(before) != rows:
        raise EvidenceError(
            f"features must be [rows, d], but the head's input is {_kind(before)}; name another: head='...'"
        )
    return before


def _same(logits: Tensor, output: Tensor) -> bool:
    if logits.shape != output.shape:
        return False
    return torch.allclose(logits.log_softmax(-1), output.log_softmax(-1), 1e-4, 1e-5, equal_nan=True)


def _kind(value: object) -> str:
    return (
        f"a tensor of shape {list(value.shape)}, {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
    )
