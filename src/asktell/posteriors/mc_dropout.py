"""Monte Carlo dropout with consistent masks."""

import warnings
from collections.abc import Collection

import torch
from torch import Tensor, nn

from asktell.arrays import LogProbs
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.forms import Form, UntracedWarning, cut, whole
from asktell.posteriors.masks import Masks, active_dropouts
from asktell.posteriors.network import PointEvidence, Source, normalised, placed, submodule
from asktell.posteriors.on_demand import OnDemand
from asktell.posteriors.probe import check_attributes, check_only_known_dropout
from asktell.randomness import take_key
from asktell.rows import Rows, as_rows

_ITEMS_COMPARED = 4  # rows on which the cut network must agree with the whole one


class MCDropout(PointEvidence):
    """A network whose dropout stays on: a draw is one set of masks, the same for every item.

    Gal and Ghahramani 2016 (arXiv:1506.02142), eq. 6 gives the mean of the draws; consistent masks as in Kirsch et
    al. 2019 (arXiv:1906.08158), section 3.3. The mask of (layer, call, draw) depends on the key that `draw` takes and
    on nothing else. Works on its own copy, in eval mode: training `module` further changes nothing here, and
    nothing here changes `module`. `off` names modules whose own dropout stays off ("" is the network's forward).
    `head` names the layer whose input is `features`; None is the last nn.Linear. `traced` says whether draws share
    the part before the first dropout (None until known); if they cannot, `UntracedWarning` says so, once.

    Log-probabilities come in the module's dtype, on the CPU. Raises `ModelError` for a network without dropout
    modules, for alpha dropout, and, when draws are first evaluated, for dropout outside of nn.Dropout modules.

    >>> posterior = MCDropout(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(2, 3)))
    >>> posterior.draw(5, generator=torch.Generator()).log_probs(torch.zeros(4, 2)).shape
    torch.Size([4, 5, 3])
    """

    def __init__(
        self, module: nn.Module, *, batch: int = 256, off: Collection[str] = (), head: str | None = None
    ) -> None:
        super().__init__(module, batch=batch, head=head)
        self._off = frozenset(off)
        for name in self._off:
            submodule(self._network.module, name, "off")
        self._rates = active_dropouts(self._network.module, self._off)
        check_attributes(self._network.module, self._off)
        self._form: Form | None = None

    @property
    def distinct(self) -> int | None:
        """None (unlimited) if a dropout with 0 < p < 1 is on, else 1."""
        return None if any(rate < 1 for rate in self._rates.values()) else 1

    @property
    def traced(self) -> bool | None:
        """Whether draws share a common prefix; None before the first of them is evaluated."""
        return None if self._form is None else self._form.traced

    def draw(self, k: int, *, generator: torch.Generator) -> "DropoutDraws":
        """Fix k sets of masks; takes one key. Raises `ModelError` if k < 1 or k > distinct."""
        check_draws(k, self.distinct)
        return DropoutDraws(self, k, take_key(generator))

    def _masks(self, k: int, key: int) -> Masks:
        return Masks(key, k, self._rates)

    def _formed(self, rows: Rows) -> Form:
        """How draws are evaluated; checked and decided on the first rows that come."""
        if not len(rows):
            return whole(self._network.module, self._rates)
        if self._form is None:
            items = placed(rows[0:_ITEMS_COMPARED], self._network.module)
            check_only_known_dropout(self._network.module, items[:1], self._rates, self._off)
            self._form = cut(self._network.module, self._rates, items)
            if not self._form.traced:
                warnings.warn(
                    "torch.fx cannot trace the network: each draw is a full pass", UntracedWarning, stacklevel=3
                )
        return self._form


class DropoutDraws:
    """k sets of masks, made when a layer is first met, then kept."""

    def __init__(self, posterior: MCDropout, k: int, key: int) -> None:
        self.k = k
        self._posterior = posterior
        self._masks = posterior._masks(k, key)

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        rows = as_rows(inputs)
        form = self._posterior._formed(rows)
        with torch.no_grad():
            return torch.cat([self._batch(form, x).cpu() for x in self._posterior._network.batches(rows)])

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))

    def _batch(self, form: Form, x: Tensor) -> Tensor:
        frontier = form.first(x)
        return torch.stack([self._draw(form, frontier, draw, len(x)) for draw in range(self.k)], 1)

    def _draw(self, form: Form, frontier: tuple[object, ...], draw: int, rows: int) -> Tensor:
        with self._masks.applied(form.layers, draw, rows):
            return normalised(form.rest(*frontier), rows)
