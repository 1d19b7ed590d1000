"""One training as a posterior: the networks that it went through."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from asktell.arrays import LogProbs
from asktell.errors import ModelError
from asktell.posteriors.deterministic import Deterministic, check_draws
from asktell.posteriors.ensemble import Members
from asktell.posteriors.network import Network, PointEvidence, Source
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import take_key
from asktell.rows import Rows, as_rows


class Trajectory(PointEvidence):
    """The checkpoints of one training, in order of time; a draw is a checkpoint, the same for every item.

    Predictions, features and point evidence come from the last one. Fewer draws than checkpoints are taken evenly
    spaced, the last always among them, whatever the generator. Dropout is off. Works on its own copy: training
    `modules` further changes nothing here, and nothing here changes them. `head` names the layer whose input is
    `features`; None is the last nn.Linear. `told` is what training said of itself, by name.

    `mc_variation_ratio` of the draws is label dispersion: Bengar et al. 2021 (arXiv:2107.14707).

    Log-probabilities come in the modules' dtype, on the CPU. Raises `ModelError` without checkpoints, for one that is
    random in eval mode, and for checkpoints with different numbers of classes.

    >>> posterior = Trajectory([torch.nn.Linear(2, 3) for _ in range(10)])
    >>> posterior.draw(4, generator=torch.Generator()).checkpoints
    (1, 4, 6, 9)
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        *,
        batch: int = 256,
        head: str | None = None,
        told: Mapping[str, float] | None = None,
    ) -> None:
        checkpoints = list(modules)
        if not checkpoints:
            raise ModelError("a trajectory needs one checkpoint or more")
        super().__init__(checkpoints[-1], batch=batch, head=head, told=told)
        self._head = head
        self._checkpoints = Network(Members(checkpoints), batch=batch)
        self._count = len(checkpoints)

    @property
    def distinct(self) -> int | None:
        """How many checkpoints there are."""
        return self._count

    @property
    def last(self) -> Deterministic:
        """The network that training ended with."""
        return Deterministic(self._network.module, batch=self.batch, head=self._head, told=self.told)

    def draw(self, k: int, *, generator: torch.Generator) -> "CheckpointDraws":
        """k checkpoints, evenly spaced, the last among them; takes one key. Raises `ModelError`."""
        check_draws(k, self.distinct)
        take_key(generator)
        return CheckpointDraws(self, spaced(k, self._count))

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of all checkpoints, those of the first under "members.0."."""
        return self._checkpoints.weights()

    def _log_probs(self, inputs: Source, chosen: tuple[int, ...]) -> LogProbs:
        network = self._checkpoints
        with torch.no_grad():
            return torch.cat([network.module(x, chosen).cpu() for x in network.batches(inputs)])


class CheckpointDraws:
    """Some checkpoints, each a draw; `checkpoints` are their numbers, from 0."""

    def __init__(self, posterior: Trajectory, checkpoints: tuple[int, ...]) -> None:
        self._posterior, self.checkpoints = posterior, checkpoints

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        return self._posterior._log_probs(inputs, self.checkpoints)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def spaced(k: int, count: int) -> tuple[int, ...]:
    """The ends of k parts, as equal as they go, of 0 to count - 1: the last number is always the last of them.

    >>> spaced(3, 10), spaced(1, 10)
    ((2, 5, 9), (9,))
    """
    return tuple(count * part // k - 1 for part in range(1, k + 1))
