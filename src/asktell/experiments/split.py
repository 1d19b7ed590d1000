"""A protocol's data under one seed: pool, start and validation, the same for every strategy."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asktell.errors import ProtocolError
from asktell.experiments.datasets import Dataset, load, normalised, repeated
from asktell.experiments.protocols import Protocol
from asktell.randomness import derive
from asktell.rows import Rows, TensorRows


@dataclass(frozen=True, eq=False)
class Split:
    """The pool (which holds the start), the rows that are labelled at the start, and the validation rows.

    All are row numbers of `data`, sorted; `pool` and `validation` share none.
    """

    data: Dataset
    pool: Tensor
    start: Tensor
    validation: Tensor

    @property
    def pool_ids(self) -> tuple[str, ...]:
        """Ids of the pool's items."""
        return self.ids(self.pool)

    def ids(self, rows: Tensor) -> tuple[str, ...]:
        """The ids of rows of `data`."""
        return tuple(self.data.ids[row] for row in rows.tolist())

    def truth(self) -> dict[str, str]:
        """Id to class name, for the pool."""
        labels = self.data.labels[self.pool].tolist()
        return {item: self.data.classes[label] for item, label in zip(self.pool_ids, labels, strict=True)}

    def inputs(self) -> "PoolInputs":
        """Where the pool's inputs come from."""
        return PoolInputs(self.data.inputs, {self.data.ids[row]: row for row in self.pool.tolist()})


@dataclass(frozen=True, eq=False)
class PoolInputs:
    """`Inputs` over a tensor: ids to rows."""

    tensor: Tensor
    row_of: dict[str, int]

    def __call__(self, ids: tuple[str, ...]) -> Rows:
        """One row per id, in the order given."""
        return TensorRows(self.tensor[[self.row_of[item] for item in ids]])


def split(protocol: Protocol, seed: int) -> Split:
    """The protocol's data as seed `seed` divides it: start and validation balanced or random, the rest the pool."""
    data = prepared(protocol)
    order = torch.randperm(len(data), generator=derive(seed, "split"))
    validation, rest = order[: protocol.n_validation], order[protocol.n_validation :]
    pool = rest if protocol.pool_size is None else _some(rest, protocol.pool_size, protocol, data)
    start = _balanced(pool, data, protocol.initial_per_class)
    return Split(data, pool.sort().values, start.sort().values, validation.sort().values)


def prepared(protocol: Protocol) -> Dataset:
    """The protocol's data set, standardised and repeated as it says."""
    data = load(protocol.dataset)
    if protocol.normalise is not None:
        data = normalised(data, mean=protocol.normalise[0], std=protocol.normalise[1])
    if protocol.copies > 1 or protocol.noise > 0:
        data = repeated(data, copies=protocol.copies, noise=protocol.noise, seed=0)
    return data


def _some(rest: Tensor, size: int, protocol: Protocol, data: Dataset) -> Tensor:
    """The rows of `rest`, in their order, that hold one of the first `size` different items."""
    items = rest % (len(data) // protocol.copies)
    different = list(dict.fromkeys(items.tolist()))
    if size > len(different):
        raise ProtocolError(f"{protocol.name} wants a pool of {size} items; {data.name} has {len(different)} to give")
    return rest[torch.isin(items, torch.tensor(different[:size]))]


def _balanced(pool: Tensor, data: Dataset, per_class: int) -> Tensor:
    labels = data.labels[pool]
    members = [pool[labels == number][:per_class] for number in range(len(data.classes))]
    for name, rows in zip(data.classes, members, strict=True):
        if len(rows) < per_class:
            raise ProtocolError(f"the pool has {len(rows)} items of class {name}, and the start needs {per_class}")
    return torch.cat(members)
