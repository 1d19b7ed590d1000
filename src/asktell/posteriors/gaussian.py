"""One network whose weights are independent Gaussians."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from asktell.arrays import LogProbs
from asktell.errors import ModelError
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.network import PointEvidence, Source, normalised
from asktell.posteriors.on_demand import OnDemand
from asktell.randomness import counter, take_key
from asktell.rows import Rows, as_rows

Weights = dict[str, Tensor]

_BYTES = 2**28
"""Of drawn weights that are held at once."""


class GaussianWeights(PointEvidence):
    """A network whose weights are N(w, sd^2), each by itself; a draw is one set of weights, the same for every item.

    Blundell et al. 2015, section 3 (arXiv:1505.05424). `module` holds the means; `sd` gives standard deviations by the
    name of a parameter, in its shape; one that it does not name does not vary. What a draw makes of a parameter depends
    on the key that `draw` takes, the parameter's name and the draw's number, and on nothing else. `predict`,
    `point_log_probs` and `features` are of the network with the mean weights. Dropout is off. Works on its own copies.

    Log-probabilities come in the module's dtype, on the CPU. Raises `ModelError` for a name that is no parameter, a
    shape that is not the parameter's, and a negative `sd`.

    >>> linear = torch.nn.Linear(2, 3)
    >>> posterior = GaussianWeights(linear, {"weight": torch.full((3, 2), 0.1)})
    >>> posterior.draw(5, generator=torch.Generator()).log_probs(torch.ones(4, 2)).shape
    torch.Size([4, 5, 3])
    """

    def __init__(
        self, module: nn.Module, sd: Mapping[str, Tensor], *, batch: int = 256, head: str | None = None
    ) -> None:
        super().__init__(module, batch=batch, head=head)
        means = dict(self._network.module.named_parameters())
        _check(sd, means)
        self._sd = {name: sd[name].detach().to(means[name], copy=True) for name in sorted(sd)}
        self._means = {name: means[name] for name in self._sd}

    @property
    def distinct(self) -> int | None:
        """None (unlimited) if a weight varies, else 1."""
        return None if any(bool((sd != 0).any()) for sd in self._sd.values()) else 1

    def draw(self, k: int, *, generator: torch.Generator) -> "WeightDraws":
        """Fix k sets of weights; takes one key. Raises `ModelError` if k < 1 or k > distinct."""
        check_draws(k, self.distinct)
        return WeightDraws(self, k, take_key(generator))

    def weights(self) -> Weights:
        """Means and other state of the network under "mean.", standard deviations under "sd."."""
        means = {f"mean.{name}": weight for name, weight in self._network.weights().items()}
        return means | {f"sd.{name}": sd for name, sd in self._sd.items()}

    def _drawn(self, key: int, draw: int) -> Weights:
        return {name: mean + self._sd[name] * _noise(key, name, draw, mean) for name, mean in self._means.items()}


class WeightDraws:
    """k sets of weights, made anew whenever they are evaluated, unless all of them fit into memory together."""

    def __init__(self, posterior: GaussianWeights, k: int, key: int) -> None:
        self.k = k
        self._posterior, self._key = posterior, key
        size = sum(sd.numel() * sd.element_size() for sd in posterior._sd.values())
        self._together = max(1, min(k, _BYTES // max(size, 1)))
        self._kept: list[Weights] = []

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        with torch.no_grad():
            return torch.cat([self._of(weights, as_rows(inputs)) for weights in self._blocks()], 1)

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))

    def _blocks(self) -> Iterator[list[Weights]]:
        """As many sets of weights at a time as fit."""
        for start in range(0, self.k, self._together):
            yield self._kept or self._block(range(start, min(start + self._together, self.k)))

    def _block(self, draws: range) -> list[Weights]:
        block = [self._posterior._drawn(self._key, draw) for draw in draws]
        if len(block) == self.k:
            self._kept = block
        return block

    def _of(self, block: list[Weights], rows: Rows) -> Tensor:
        network = self._posterior._network
        return torch.cat([_outputs(network.module, block, x) for x in network.batches(rows)])


def _outputs(module: nn.Module, block: list[Weights], x: Tensor) -> Tensor:
    return torch.stack([normalised(functional_call(module, weights, (x,)), len(x)) for weights in block], 1).cpu()


def _noise(key: int, name: str, draw: int, like: Tensor) -> Tensor:
    """Standard normal numbers in the shape of `like`, made on the CPU."""
    return torch.from_numpy(counter(key, name, draw).standard_normal(tuple(like.shape))).to(like)


def _check(sd: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> None:
    unknown = sorted(set(sd) - set(means))
    if unknown or not sd:
        raise ModelError(f"sd names {unknown or 'nothing'}; the network's parameters are {sorted(means)}")
    for name, values in sd.items():
        if values.shape != means[name].shape:
            raise ModelError(f"sd of {name!r} is {list(values.shape)}, but the parameter is {list(means[name].shape)}")
        if not bool((values >= 0).all()):
            raise ModelError(f"sd of {name!r} holds negative numbers or NaN; a standard deviation is zero or more")
