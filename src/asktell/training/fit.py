"""Fitting one module on labelled rows: plain torch, seeded from end to end."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from asktell.errors import ModelError
from asktell.posteriors.network import Source, normalised, placed
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows, as_rows
from asktell.training.method import Groups, Method, Step
from asktell.training.settings import History, Training

_EVALUATED_AT_ONCE = 256

_ADAM_ON_CROSS_ENTROPY = Method()

Progress = Callable[[int, float], None]
"""Called after each epoch with its number, from 0, and its mean loss."""

Watch = Callable[[Tensor, Tensor], None]
"""Called in each step with the numbers of its rows, and which of them were predicted right before the update."""


def fit(
    module: nn.Module,
    inputs: Source,
    labels: Tensor,
    *,
    training: Training,
    validation: tuple[Source, Tensor] | None = None,
    generator: torch.Generator,
    progress: Progress | None = None,
    method: Method = _ADAM_ON_CROSS_ENTROPY,
    watch: Watch | None = None,
) -> History:
    """Train `module` in place on `inputs` and `labels` (int64 [l], 0..c-1), and leave it in eval mode.

    Takes one key from `generator`; the order of the rows and the dropout of training depend on it alone, and the
    global random state stays as it was. The module returns logits or log-probabilities [rows, c]. `method` says what a
    step does if it is not Adam on cross-entropy. `watch` sees what each step's own pass, dropout on, predicts.

    Raises `ModelError` without labels, for labels outside of 0..c-1, for `patience` without a validation set, and
    if the loss is no longer finite.

    >>> module, generator = nn.Linear(1, 2), torch.Generator()
    >>> x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> history = fit(module, x, y, training=Training(epochs=200, lr=0.1), generator=generator)
    >>> module(x).argmax(1)
    tensor([0, 1])
    """
    if training.patience is not None and validation is None:
        raise ModelError("stopping early needs a validation set: pass validation=(inputs, labels), or patience=None")
    key = take_key(generator)
    run = _Run(module, training, *checked(module, inputs, labels, "labels"), method, watch)
    held_out = None if validation is None else checked(module, *validation, "validation labels")
    try:
        with seeded(derive(key, "dropout")):
            return _train(run, held_out, derive(key, "order"), progress)
    finally:
        module.eval()


def accuracy(module: nn.Module, inputs: Source, labels: Tensor) -> float:
    """Share of rows whose most probable class is the label; the module must be in eval mode."""
    rows = as_rows(inputs)
    right = 0
    with torch.no_grad():
        for start in range(0, len(rows), _EVALUATED_AT_ONCE):
            part = rows[start : start + _EVALUATED_AT_ONCE]
            guesses = normalised(module(placed(part, module)), len(part)).argmax(-1).cpu()
            right += int((guesses == labels[start : start + len(part)]).sum())
    return right / len(rows)


def weight_decay(module: nn.Module, training: Training, labels: int) -> Groups:
    """Adam's parameter groups: weight_decay 2c / l on the weight matrices that `decay_on` names, 0 on the rest.

    Adam adds weight_decay * W to the gradient, which is the gradient of (c / l) ||W||^2.
    """
    linear = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear)}
    weights = [w for w in module.parameters() if w.requires_grad]
    decays = [w.ndim > 1 and (training.decay_on == "all" or id(w) in linear) for w in weights]
    return [
        {"params": [w for w, d in zip(weights, decays, strict=True) if d], "weight_decay": 2 * training.decay / labels},
        {"params": [w for w, d in zip(weights, decays, strict=True) if not d], "weight_decay": 0.0},
    ]


def batches(count: int, training: Training, order: torch.Generator) -> list[Tensor]:
    """Sorted rows of each step of an epoch over `count` labelled rows.

    A last batch of one row joins the one before it: BatchNorm cannot train on one.
    """
    samples = torch.randperm(max(count, training.samples_per_epoch or 0), generator=order) % count
    parts = list(torch.split(samples, training.batch or len(samples)))
    if len(parts) > 1 and len(parts[-1]) == 1 < len(parts[-2]):
        parts[-2:] = [torch.cat(parts[-2:])]
    return [part.sort().values for part in parts]


@dataclass
class _Run:
    """A module on its way: one optimiser for the whole run."""

    module: nn.Module
    training: Training
    rows: Rows
    labels: Tensor
    method: Method
    watch: Watch | None
    optimiser: torch.optim.Optimizer = field(init=False)
    taken: int = 0

    def __post_init__(self) -> None:
        groups = weight_decay(self.module, self.training, len(self.labels))
        self.optimiser = self.method.optimiser(groups, self.training.lr)

    def epoch(self, order: torch.Generator) -> float:
        """One epoch; the mean loss."""
        self.module.train()
        parts = batches(len(self.labels), self.training, order)
        samples = sum(map(len, parts))
        return (
            math.fsum(
                self._step(Step(rows, number, len(parts), samples, len(self.labels), self._done(len(parts))))
                * len(rows)
                for number, rows in enumerate(parts)
            )
            / samples
        )

    def _done(self, steps: int) -> float:
        return self.taken / (steps * self.training.epochs)

    def _step(self, step: Step) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.training.lr * self.method.rate(step.done)
        x = placed(self.rows.take(step.rows), self.module)
        y = self.labels[step.rows].to(x.device)
        with _watched(self.module, y, partial(self.watch, step.rows) if self.watch else None):
            loss = self.method.loss(self.module, x, y, step)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.taken += 1
        return float(loss.detach())


def _train(
    run: _Run, held_out: tuple[Rows, Tensor] | None, order: torch.Generator, progress: Progress | None
) -> History:
    losses: list[float] = []
    accuracies: list[float] = []
    watch = _Watch(run.module, run.training.patience)
    for number in range(run.training.epochs):
        losses.append(_finite(run.epoch(order), number))
        if progress is not None:
            progress(number, losses[-1])
        if held_out is not None:
            accuracies.append(accuracy(run.module.eval(), *held_out))
            if watch.says_stop(number, accuracies[-1]):
                break
    return History(tuple(losses), tuple(accuracies), watch.restore())


class _Watch:
    """Early stopping: keeps the weights of the first epoch with the best accuracy."""

    def __init__(self, module: nn.Module, patience: int | None) -> None:
        self._module, self._patience = module, patience
        self._best, self._accuracy, self._weights = 0, -1.0, dict[str, Tensor]()

    def says_stop(self, epoch: int, accuracy: float) -> bool:
        if self._patience is None:
            return False
        if accuracy > self._accuracy:
            self._best, self._accuracy = epoch, accuracy
            self._weights = {name: w.clone() for name, w in self._module.state_dict().items()}
        return epoch - self._best >= self._patience

    def restore(self) -> int | None:
        if self._patience is None:
            return None
        self._module.load_state_dict(self._weights)
        return self._best


def checked(module: nn.Module, inputs: Source, labels: Tensor, name: str) -> tuple[Rows, Tensor]:
    """Rows and labels on the CPU; `ModelError` unless they belong together and the module has the classes."""
    rows = as_rows(inputs)
    if len(rows) == 0 or len(rows) != len(labels):
        raise ModelError(f"need one or more rows and as many {name}, not {len(rows)} rows and {len(labels)} {name}")
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise ModelError(f"{name} must be int64 of one axis, not {labels.dtype} of shape {list(labels.shape)}")
    classes = classes_of(module, rows[0:1])
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise ModelError(
            f"{name} run from {int(labels.min())} to {int(labels.max())}, "
            f"but the network has the classes 0 to {classes - 1}"
        )
    return rows, labels.cpu()


def classes_of(module: nn.Module, row: Tensor) -> int:
    """How many classes the module has, as one row shows; leaves it in eval mode."""
    module.eval()
    with torch.no_grad(), seeded(derive(0, "classes")):
        return normalised(module(placed(row, module)), 1).shape[1]


@contextmanager
def _watched(module: nn.Module, labels: Tensor, watch: Callable[[Tensor], None] | None) -> Iterator[None]:
    """Tells `watch` which labels the module's first pass inside predicts."""
    if watch is None:
        yield
        return
    outputs: list[Tensor] = []
    handle = module.register_forward_hook(lambda *call: outputs.append(call[-1].detach()))
    try:
        yield
    finally:
        handle.remove()
    watch((outputs[0].argmax(-1) == labels).cpu())


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise ModelError(f"the loss is {loss} in epoch {epoch}; look for NaN in the inputs, or lower lr")
    return loss
