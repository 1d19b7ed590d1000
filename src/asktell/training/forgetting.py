"""Which labelled rows training forgets: had learned, and gets wrong again."""

import torch
from torch import Tensor


class Forgetting:
    """Counts forgetting events while a network is trained: `fit(..., watch=Forgetting(len(labels)))`.

    Toneva et al. 2019, section 3 (arXiv:1812.05159). A row is presented when it is in the minibatch of a step; it is
    right or wrong by the step's own pass, dropout on, before the update. An event is a presentation that is wrong after
    one that was right; learning, the other way round, is none. What stands several times in one minibatch is presented
    once, right if more than half of its copies are.

    >>> watch = Forgetting(3)
    >>> for correct in ([0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0]):
    ...     watch(torch.tensor([0, 1, 2]), torch.tensor(correct).bool())
    >>> watch.events
    tensor([1, 0, 4])
    >>> watch.unforgettable, watch.never_learned
    (tensor([False,  True, False]), tensor([False, False,  True]))
    """

    def __init__(self, labels: int) -> None:
        self._right = torch.zeros(labels, dtype=torch.bool)
        self._learned = torch.zeros(labels, dtype=torch.bool)
        self._forgotten = torch.zeros(labels, dtype=torch.int64)
        self._presented = torch.zeros(labels, dtype=torch.int64)

    def __call__(self, rows: Tensor, correct: Tensor) -> None:
        """One step: the numbers of its rows, and which of them are predicted right."""
        rows, right = _once(rows, correct)
        self._forgotten[rows] += (self._right[rows] & ~right).long()
        self._presented[rows] += 1
        self._learned[rows] |= right
        self._right[rows] = right

    @property
    def events(self) -> Tensor:
        """Forgetting events of every row, int64 [l]; of one never learned how often it was presented.

        The authors' code sorts those as if forgotten in every epoch. With each row once an epoch that is the same.
        """
        return torch.where(self._learned, self._forgotten, self._presented)

    @property
    def unforgettable(self) -> Tensor:
        """Rows that were learned and never forgotten, bool [l]."""
        return self._learned & (self._forgotten == 0)

    @property
    def never_learned(self) -> Tensor:
        """Rows that were never predicted right, bool [l]."""
        return ~self._learned

    @property
    def told(self) -> dict[str, float]:
        """Mean of `events`, shares of `unforgettable` and `never_learned`."""
        return {
            "forgetting_events": _mean(self.events),
            "unforgettable": _mean(self.unforgettable),
            "never_learned": _mean(self.never_learned),
        }


def _once(rows: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
    """Each row once, right if more than half of its copies are."""
    if bool((rows[1:] > rows[:-1]).all()):
        return rows, correct
    found, copy, copies = rows.unique(return_inverse=True, return_counts=True)  # type: ignore[no-untyped-call]
    right = torch.zeros(len(found), dtype=torch.int64).index_add_(0, copy, correct.long())
    return found, 2 * right > copies


def _mean(values: Tensor) -> float:
    return float(values.double().mean())
