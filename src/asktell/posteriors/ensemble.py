"""Several networks, each one function."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from asktell.arrays import LogProbs, PointLogProbs
from asktell.errors import ModelError
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.network import Network, Source, normalised
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import derive, take_key
from asktell.rows import Rows, as_rows


class Members(nn.Module):
    """Networks side by side, behind a trunk that they share if there is one: x -> log-probabilities [rows, k, c].

    Raises `ModelError` if there is no member, or if members have different numbers of classes.
    """

    def __init__(self, members: Iterable[nn.Module], *, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.trunk = nn.Identity() if trunk is None else trunk
        self.members = nn.ModuleList(members)
        if not len(self.members):
            raise ModelError("an ensemble needs one member or more")

    def forward(self, x: Tensor, chosen: Sequence[int] | None = None) -> Tensor:
        """Log-probabilities of the members `chosen`, of all if None."""
        shared = self.trunk(x)
        outputs = [
            normalised(self.members[number](shared), len(x))
            for number in (range(len(self.members)) if chosen is None else chosen)
        ]
        classes = sorted({output.shape[1] for output in outputs})
        if len(classes) > 1:
            raise ModelError(f"the members of an ensemble must have the same classes, but they have {classes}")
        return torch.stack(outputs, 1)


class Ensemble:
    """Networks that were trained apart; a draw is a member, the same for every item.

    Lakshminarayanan et al. 2017, section 2.4 (arXiv:1612.01474); Beluch et al. 2018. `predict` is the mean of all
    members' probabilities. Dropout is off. `trunk` is what the members share, run once: `modules` then take what it
    gives. Works on its own copy: training `modules` further changes nothing here, and nothing here changes them.

    Log-probabilities come in the modules' dtype, on the CPU. Raises `ModelError` without members, for a member that is
    random in eval mode, and for members with different numbers of classes.

    >>> posterior = Ensemble([torch.nn.Linear(2, 3) for _ in range(5)])
    >>> posterior.draw(5, generator=torch.Generator()).log_probs(torch.zeros(4, 2)).shape
    torch.Size([4, 5, 3])
    """

    offers: frozenset[str] = frozenset({"log_probs"})

    def __init__(self, modules: Iterable[nn.Module], *, trunk: nn.Module | None = None, batch: int = 256) -> None:
        members = Members(modules, trunk=trunk)
        self._network = Network(members, batch=batch)
        self._count = len(members.members)

    @property
    def batch(self) -> int:
        """Rows that the networks run on at a time."""
        return self._network.batch

    @property
    def distinct(self) -> int | None:
        """How many members there are."""
        return self._count

    def draw(self, k: int, *, generator: torch.Generator) -> "MemberDraws":
        """All members if k is `distinct`, else a random subset, in order; takes one key. Raises `ModelError`."""
        check_draws(k, self.distinct)
        order = torch.randperm(self._count, generator=derive(take_key(generator), "members"))
        return MemberDraws(self, order[:k].sort().values.tolist())

    def predict(self, inputs: Source) -> PointLogProbs:
        """log of the mean of the members' probabilities."""
        return log_mean(self._log_probs(inputs, None))

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of all members, those of member 0 under "members.0."."""
        return self._network.weights()

    def _log_probs(self, inputs: Source, chosen: Sequence[int] | None) -> LogProbs:
        with torch.no_grad():
            return torch.cat([self._network.module(x, chosen).cpu() for x in self._network.batches(inputs)])


class MemberDraws:
    """Some members, each a draw."""

    def __init__(self, posterior: Ensemble, chosen: Sequence[int]) -> None:
        self._posterior, self._chosen = posterior, chosen

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        return self._posterior._log_probs(inputs, self._chosen)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))


def log_mean(log_probs: LogProbs) -> PointLogProbs:
    """log of the mean over draws of the probabilities, made in float64, in the dtype that came.

    >>> log_mean(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()).exp()
    tensor([[0.5000, 0.5000]])
    """
    return log_probs.double().exp().mean(1).log().to(log_probs.dtype)
