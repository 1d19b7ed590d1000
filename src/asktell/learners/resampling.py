"""Drawing labelled rows with replacement."""

from dataclasses import dataclass

import torch
from torch import Tensor

from asktell.rows import Rows


def resampled(labels: Tensor, generator: torch.Generator, *, stratified: bool = True) -> Tensor:
    """As many rows as there are labels, drawn with replacement, ascending.

    Stratified, every class is drawn from by itself, as often as it has labels, so that none gets lost.

    >>> resampled(torch.tensor([0, 1, 1]), torch.Generator())[0]
    tensor(0)
    """
    if not stratified:
        return torch.randint(len(labels), (len(labels),), generator=generator).sort().values
    groups = [(labels == label).nonzero()[:, 0] for label in torch.unique(labels)]
    drawn = [rows[torch.randint(len(rows), (len(rows),), generator=generator)] for rows in groups]
    return torch.cat([*drawn, labels.new_empty(0)]).sort().values


@dataclass(frozen=True)
class Resampled:
    """Rows of other rows, some of them several times; `chosen` is ascending."""

    rows: Rows
    chosen: Tensor

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self._read(self.chosen[rows])

    def take(self, indices: Tensor, /) -> Tensor:
        """The rows at `indices`."""
        return self._read(self.chosen[indices])

    def _read(self, wanted: Tensor) -> Tensor:
        """Each row is read once."""
        different, where = torch.unique(wanted, return_inverse=True)
        return self.rows.take(different)[where]
