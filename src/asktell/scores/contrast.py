"""How differently the model predicts for an item and for the labelled items that look like it."""

import torch
from torch import Tensor

from asktell.arrays import Scores
from asktell.embeddings import LastLayer, Points, check_alike, squared_distances, unit_length
from asktell.errors import EvidenceError, RowError, SelectionError

NEIGHBOURS = 10
_LEAST = 1e-12  # what a probability counts as at least, where its logarithm is taken
_TABLE = 2**21  # distances, or probabilities of neighbours, that are held at once


def contrastive(
    points: LastLayer,
    labelled: LastLayer,
    *,
    neighbours: int = NEIGHBOURS,
    normalise: bool = True,
    memory: int | None = None,
) -> Scores:
    """mean_l KL(p_l || p_x) over the labelled neighbours l of each item x in the space of features, in nats.

    Between 0, where item and neighbours are predicted alike, and log 1e12: p_x counts as at least 1e-12. The
    `neighbours` nearest labelled rows are taken, or all if there are fewer, by Euclidean distance between features,
    divided by their length if `normalise`; of equally near ones the first. The labelled rows are held in memory.
    Margatina et al. 2021, algorithm 1 (arXiv:2109.03764).

    Raises `EvidenceError` if nothing is labelled or the two come from different networks, `RowError` for a row that is
    no log-probabilities or not finite, `SelectionError` if neighbours < 1.

    >>> item = LastLayer(torch.tensor([[0.5, 0.5]]).log(), torch.ones(1, 1))
    >>> contrastive(item, LastLayer(torch.tensor([[1.0, 0.0]]).log(), torch.ones(1, 1)))
    tensor([0.6931], dtype=torch.float64)
    """
    if neighbours < 1:
        raise SelectionError(f"an item is compared with at least one neighbour, not {neighbours}")
    if len(labelled) == 0:
        raise EvidenceError(
            "items are compared with labelled ones, and nothing is labelled; make the first batch random"
        )
    contrast = _Contrast(labelled, neighbours, normalise)
    reading = Points(points, memory=memory, kept=len(labelled))
    check_alike(reading, contrast.points)
    found = torch.empty(len(points), dtype=torch.float64)
    for start, (p, h) in reading.tiles():
        found[start : start + len(p)] = contrast.of(p, h)
    return found


class _Contrast:
    """The labelled side."""

    def __init__(self, labelled: LastLayer, neighbours: int, normalise: bool) -> None:
        self.points = Points(labelled)
        try:
            self.p, features = self.points.whole()
        except RowError as error:
            raise RowError(f"labelled_{error.name}", error.row, error.reason) from None
        self.count, self.normalise = min(neighbours, len(labelled)), normalise
        self.h = self._placed(features)
        self.p_log_p = self.p.xlogy(self.p).sum(1)

    def of(self, p: Tensor, h: Tensor) -> Tensor:
        """The mean divergence of every row, a few at a time."""
        step = max(1, _TABLE // max(len(self.h), self.count * p.shape[1]))
        p, h = p.to(self.p.device), self._placed(h).to(self.h.device)
        parts = zip(torch.split(p, step), torch.split(h, step), strict=True)
        return torch.cat([self._divergence(*part) for part in parts]).clamp_min_(0.0)  # rows that sum to 1 but nearly

    def _divergence(self, p: Tensor, h: Tensor) -> Tensor:
        nearest = squared_distances((h,), (self.h,)).sort(dim=1, stable=True).indices[:, : self.count]
        cross = (self.p[nearest] * p.clamp_min(_LEAST).log()[:, None]).sum(-1)
        return (self.p_log_p[nearest] - cross).mean(1)

    def _placed(self, h: Tensor) -> Tensor:
        return unit_length(h) if self.normalise else h.double()
