"""Several functions that return probabilities."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asktell.arrays import LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.ensemble import log_mean
from asktell.posteriors.network import Source
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import derive, take_key
from asktell.rows import Rows, as_rows

Predict = Callable[[np.ndarray], npt.ArrayLike]
"""From inputs [rows, ...] to probabilities [rows, c]."""

_TOLERANCE = 1e-4


class Committee:
    """Functions from inputs to probabilities; a draw is one of them, the same for every item.

    Each takes a numpy array [rows, ...] and returns probabilities [rows, c], in any framework; what it gives a row must
    not depend on the other rows. Exact zeros are legal. It is run on `batch` rows at a time. `predict` is the mean of
    all. Log-probabilities are float64. Seung et al. 1992 have the name.

    Raises `ModelError` without members, and, naming member and row, for what are no probabilities: NaN, below zero, not
    summing to one within 1e-4, another number of rows, or other classes than the first member has.

    >>> sure, unsure = lambda x: np.tile([1.0, 0.0], (len(x), 1)), lambda x: np.tile([0.5, 0.5], (len(x), 1))
    >>> Committee([sure, unsure]).predict(torch.zeros(1, 3)).exp()
    tensor([[0.7500, 0.2500]], dtype=torch.float64)
    """

    offers: frozenset[str] = frozenset({"log_probs"})

    def __init__(self, members: Iterable[Predict], *, batch: int = 4096) -> None:
        self.members = tuple(members)
        self.batch = batch
        if not self.members:
            raise ModelError("a committee needs one member or more")
        if batch < 1:
            raise ModelError(f"batch must be at least 1, not {batch}")

    @property
    def distinct(self) -> int | None:
        """How many members there are."""
        return len(self.members)

    def draw(self, k: int, *, generator: torch.Generator) -> "CommitteeDraws":
        """All members if k is `distinct`, else a random subset, in order; takes one key. Raises `ModelError`."""
        check_draws(k, self.distinct)
        order = torch.randperm(len(self.members), generator=derive(take_key(generator), "members"))
        return CommitteeDraws(self, order[:k].sort().values.tolist())

    def predict(self, inputs: Source) -> PointLogProbs:
        """log of the mean of the members' probabilities."""
        return log_mean(self._log_probs(inputs, range(len(self.members))))

    def _log_probs(self, inputs: Source, chosen: Sequence[int]) -> LogProbs:
        rows = as_rows(inputs)
        starts = range(0, max(len(rows), 1), self.batch)
        return torch.cat([self._batch(rows[start : start + self.batch], chosen, start) for start in starts])

    def _batch(self, x: Tensor, chosen: Sequence[int], start: int) -> Tensor:
        read = x.detach().cpu().numpy()
        given = [checked(self.members[number](read.copy()), len(x), number, start) for number in chosen]
        for number, p in zip(chosen, given, strict=True):
            if p.shape != given[0].shape:
                raise ModelError(
                    f"member {number} has {p.shape[1]} classes, member {chosen[0]} has {given[0].shape[1]}; "
                    "all must give the same classes in the same order"
                )
        return torch.stack(given, 1).log()


class CommitteeDraws:
    """Some members, each a draw."""

    def __init__(self, posterior: Committee, chosen: Sequence[int]) -> None:
        self._posterior, self._chosen = posterior, chosen

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        return self._posterior._log_probs(inputs, self._chosen)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def checked(given: npt.ArrayLike, rows: int, member: int, start: int = 0) -> Tensor:
    """Probabilities [rows, c] as float64, normalised; `ModelError` if they are none. `start` is where row 0 stands."""
    p = torch.from_numpy(np.array(given, dtype=np.float64))
    if p.ndim != 2 or len(p) != rows or p.shape[1] < 2:
        raise ModelError(
            f"member {member} returned shape {list(p.shape)} for {rows} rows; it must return probabilities "
            "[rows, classes], two classes or more"
        )
    total = p.sum(1, keepdim=True)
    bad = ~((p >= 0).all(1) & ((total[:, 0] - 1).abs() <= _TOLERANCE))
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ModelError(
            f"member {member} returned no probabilities for row {start + row}: {p[row].tolist()}; "
            "they must be zero or more and sum to one"
        )
    return p / total
