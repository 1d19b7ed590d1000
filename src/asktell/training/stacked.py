"""Training several small networks of one kind at once: their weights stacked, every step one for all of them."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from asktell.errors import ModelError
from asktell.posteriors.network import Source, placed
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows
from asktell.training.fit import batches, checked, weight_decay
from asktell.training.method import Groups
from asktell.training.settings import Training

State = dict[str, Tensor]
"""Parameters or buffers by name, [members, ...]."""


def fit_together(
    modules: Sequence[nn.Module],
    inputs: Source,
    labels: Tensor,
    *,
    training: Training,
    generators: Sequence[torch.Generator],
) -> None:
    """Train `modules`, all of one kind, in place as `fit` would each with its generator, and leave them in eval mode.

    Every member has its own order of rows, the same as alone; without dropout it comes out the same but for rounding.
    Masks of dropout are drawn for all members together, from the first generator. One thread is 2.3 times as fast as
    member after member for five networks 2-50-50-2, as fast for 64-256-256-10, and 2.7 times slower for the DBAL
    network: convolutions gain nothing.

    Raises `ModelError` naming the member whose loss is no longer finite, for `patience`, and for networks that
    torch.func cannot stack.

    >>> twins = [nn.Linear(1, 2), nn.Linear(1, 2)]
    >>> x, y = torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1])
    >>> generators = [derive(0, member) for member in range(2)]
    >>> fit_together(twins, x, y, training=Training(epochs=200, lr=0.1), generators=generators)
    >>> [twin(x).argmax(1).tolist() for twin in twins]
    [[0, 1], [0, 1]]
    """
    if training.patience is not None:
        raise ModelError("members that train together cannot stop early, each at its own time; use patience=None")
    rows, labels = checked(modules[0], inputs, labels, "labels")
    keys = [take_key(generator) for generator in generators]
    for module in modules:
        module.train()
    try:
        together = _Together(modules, training, len(labels))
        with seeded(derive(keys[0], "dropout")):
            _train(together, rows, labels, training, [derive(key, "order") for key in keys])
        together.put_back(modules)
    finally:
        for module in modules:
            module.eval()


class _Together:
    """The stacked weights, and their optimiser."""

    def __init__(self, modules: Sequence[nn.Module], training: Training, labels: int) -> None:
        try:
            self.parameters, self.buffers = stack_module_state(list(modules))
        except RuntimeError as error:
            raise ModelError(f"the members cannot be stacked ({error}); train them one after another") from error
        self._one = copy.deepcopy(modules[0])
        self._losses = vmap(self._loss, randomness="different")
        self.optimiser = torch.optim.Adam(self._groups(modules[0], training, labels), lr=training.lr)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """One step with rows [members, rows, ...]; the members' losses."""
        losses: Tensor = self._losses(self.parameters, self.buffers, x, y)
        self.optimiser.zero_grad()
        losses.sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return losses.detach()

    def put_back(self, modules: Sequence[nn.Module]) -> None:
        """Give every module its weights."""
        whole = self.parameters | self.buffers
        for number, module in enumerate(modules):
            module.load_state_dict({name: whole[name][number].detach() for name in module.state_dict()})

    def _loss(self, parameters: State, buffers: State, x: Tensor, y: Tensor) -> Tensor:
        output = functional_call(self._one, (parameters, buffers), (x,))
        return nn.functional.cross_entropy(output, y)

    def _groups(self, module: nn.Module, training: Training, labels: int) -> Groups:
        """Those of one member, with all members' weights in place of its own."""
        names = {id(weight): name for name, weight in module.named_parameters()}
        groups = weight_decay(module, training, labels)
        return [group | {"params": [self.parameters[names[id(w)]] for w in group["params"]]} for group in groups]  # type: ignore[attr-defined]


def _train(
    together: _Together, rows: Rows, labels: Tensor, training: Training, orders: Sequence[torch.Generator]
) -> None:
    one = together._one
    for epoch in range(training.epochs):
        for parts in zip(*(batches(len(labels), training, order) for order in orders), strict=True):
            x = torch.stack([placed(rows.take(part), one) for part in parts])
            _check_finite(together.step(x, labels[torch.stack(parts)].to(x.device)), epoch)


def _check_finite(losses: Tensor, epoch: int) -> None:
    if not bool(losses.isfinite().all()):
        member = int((~losses.isfinite()).nonzero()[0])
        raise ModelError(
            f"member {member}: the loss is {float(losses[member])} in epoch {epoch}; "
            "look for NaN in the inputs, or lower lr"
        )
