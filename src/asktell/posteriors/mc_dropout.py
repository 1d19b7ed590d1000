"""Monte Carlo dropout with consistent masks."""

import warnings
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from asktell.arrays import LogProbs
from asktell.posteriors.deterministic import check_draws
from asktell.posteriors.forms import Form, UntracedWarning, cut, whole
from asktell.posteriors.masks import Masks, active_dropouts
from asktell.posteriors.network import PointEvidence, Source, normalised, submodule
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
    `thin=False` multiplies every mask in, rather than leaving out of a draw what its masks drop: the same functions,
    slower, to compare with. `told` is what its training said of itself, by name.

    Log-probabilities come in the module's dtype, on the CPU. Raises `ModelError` for a network without dropout
    modules, for alpha dropout, and, when draws are first evaluated, for dropout outside of nn.Dropout modules.

    >>> posterior = MCDropout(torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(2, 3)))
    >>> posterior.draw(5, generator=torch.Generator()).log_probs(torch.zeros(4, 2)).shape
    torch.Size([4, 5, 3])
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        batch: int = 256,
        off: Collection[str] = (),
        head: str | None = None,
        thin: bool = True,
        told: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(module, batch=batch, head=head, told=told)
        self._off = frozenset(off)
        for name in self._off:
            submodule(self._network.module, name, "off")
        self._layers = active_dropouts(self._network.module, self._off)
        check_attributes(self._network.module, self._off)
        self._thin = thin
        self._forms: dict[tuple[int, ...], Form] = {}

    @property
    def distinct(self) -> int | None:
        """None (unlimited) if a dropout with 0 < p < 1 is on, else 1."""
        return None if any(layer.p < 1 for layer in self._layers.values()) else 1

    @property
    def traced(self) -> bool | None:
        """Whether draws share a common prefix; None before the first of them is evaluated."""
        return all(form.traced for form in self._forms.values()) if self._forms else None

    def draw(self, k: int, *, generator: torch.Generator) -> "DropoutDraws":
        """Fix k sets of masks; takes one key. Raises `ModelError` if k < 1 or k > distinct."""
        check_draws(k, self.distinct)
        return DropoutDraws(self, k, take_key(generator))

    def _masks(self, k: int, key: int) -> Masks:
        return Masks(key, k, self._layers)

    def _formed(self, x: Tensor) -> Form:
        """How draws are evaluated; checked and decided on the first rows of their shape that come."""
        if not len(x):
            return whole(self._network.module, self._layers)
        if x.shape[1:] not in self._forms:
            check_only_known_dropout(self._network.module, x[:1], self._layers, self._off)
            self._add_form(x)
        return self._forms[x.shape[1:]]

    def _add_form(self, x: Tensor) -> None:
        form = cut(self._network.module, self._layers, x[:_ITEMS_COMPARED], thin=self._thin)
        if not form.traced and self.traced is not False:
            warnings.warn("torch.fx cannot trace the network: each draw is a full pass", UntracedWarning, stacklevel=5)
        self._forms[x.shape[1:]] = form


class DropoutDraws:
    """k sets of masks, made when a layer is first met, then kept."""

    def __init__(self, posterior: MCDropout, k: int, key: int) -> None:
        self.k = k
        self._posterior = posterior
        self._masks = posterior._masks(k, key)

    def log_probs(self, inputs: Source) -> LogProbs:
        """Log-probabilities [n, k, c]."""
        with torch.no_grad():
            return torch.cat(list(map(self._batch, self._posterior._network.batches(inputs))))

    def over(self, inputs: Source) -> Rows:
        """The same, computed on demand."""
        return OnDemand(self.log_probs, as_rows(inputs))

    def _batch(self, x: Tensor) -> Tensor:
        form = self._posterior._formed(x)
        frontier = form.first(x)
        return torch.stack([self._draw(form, frontier, draw, len(x)) for draw in range(self.k)], 1).cpu()

    def _draw(self, form: Form, frontier: tuple[object, ...], draw: int, rows: int) -> Tensor:
        return normalised(form.rest(self._masks.draw(draw, rows), *frontier), rows)
