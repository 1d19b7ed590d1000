"""The figures of the seed repository, by name. Importing this loads neither torch nor matplotlib; drawing does.

Needs matplotlib: pip install 'asktell[figures]'.
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from asktell.errors import DataError, ProtocolError
from asktell.experiments.figures.style import check_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from asktell.experiments.figures.curves import Panel

RESULTS = Path("results")
"""Where recorded cells are looked for, each protocol's in a folder of its name."""


@dataclass(frozen=True)
class Computed:
    """Computed on the spot from a seed."""

    summary: str
    draw: Callable[[int], "Figure"]

    def drawn(self, seed: int | None, results: Sequence[Path]) -> "Figure":
        """The figure. Raises `ProtocolError` if there are results."""
        if results:
            raise ProtocolError("this figure is computed on the spot and reads no results; leave them out")
        with _one_thread():
            return self.draw(seed or 0)


@dataclass(frozen=True)
class Recorded:
    """Drawn from the recorded cells of `strategies`: of each group of `protocols` the first that has some.

    A group goes from the whole experiment to the one that is done soonest.
    """

    summary: str
    protocols: tuple[tuple[str, ...], ...]
    strategies: tuple[str, ...]
    draw: Callable[[Sequence["Panel"]], "Figure"]

    def drawn(self, seed: int | None, results: Sequence[Path]) -> "Figure":
        """The figure. Raises `ProtocolError` if there is a seed, `DataError` where there is nothing to draw."""
        if seed is not None:
            raise ProtocolError("this figure is drawn from recorded cells, which have their seeds; leave it out")
        return self.draw(self._chosen(results) if results else self._standing())

    def _chosen(self, folders: Sequence[Path]) -> list["Panel"]:
        found = {folder: self._panels(folder) for folder in folders}
        if empty := [folder for folder, panels in found.items() if not panels]:
            raise self._nothing(empty[0])
        return [panel for panels in found.values() for panel in panels]

    def _standing(self) -> list["Panel"]:
        groups = [[self._panels(RESULTS / name) for name in group] for group in self.protocols]
        shown = [panel for group in groups for panel in next(filter(None, group), [])]
        if not shown:
            raise self._nothing(RESULTS / self.protocols[0][-1])
        return shown

    def _panels(self, folder: Path) -> list["Panel"]:
        from asktell.experiments.figures.curves import panels

        return panels(folder, self.strategies) if (folder / "cells").is_dir() else []

    def _nothing(self, folder: Path) -> DataError:
        names = f"{', '.join(self.strategies[:-1])} or {self.strategies[-1]}"
        command = f"asktell experiment run {self.protocols[0][-1]} --out {shlex.quote(str(folder))}"
        return DataError(f"{folder} has no finished run of {names}; this makes them: {command}")


def draw(name: str, *, seed: int | None = None, results: Sequence[Path] = ()) -> "Figure":
    """The figure called `name`, computed from `seed` (default 0) or drawn from the recorded cells in `results`.

    Raises `ProtocolError` for an unknown name, with the nearest ones, and for a choice that the figure does not have;
    `DataError` where there is nothing to draw, and without matplotlib.
    """
    chosen = figure(name)
    check_matplotlib()
    return chosen.drawn(seed, results)


def figure(name: str) -> Computed | Recorded:
    """What there is to know of the figure called `name`; raises `ProtocolError` with the nearest names.

    >>> figure("bald-vs-batchbald").strategies
    ('random', 'bald', 'batchbald')
    """
    if name not in FIGURES:
        near = get_close_matches(name, FIGURES) or sorted(FIGURES)
        raise ProtocolError(f"there is no figure called {name}; did you mean {', '.join(near)}?")
    return FIGURES[name]


@contextmanager
def _one_thread() -> Iterator[None]:
    """As the cells of an experiment run, so that a figure does not depend on how many cores there are."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _boundaries(seed: int) -> "Figure":
    from asktell.experiments.figures.plane import boundaries

    return boundaries(seed=seed)


def _terms(seed: int) -> "Figure":
    from asktell.experiments.figures.plane import bald_terms

    return bald_terms(seed=seed)


def _posteriors(seed: int) -> "Figure":
    from asktell.experiments.figures.plane import posteriors

    return posteriors(seed=seed)


def _information(seed: int) -> "Figure":
    from asktell.experiments.figures.information import batch_information

    return batch_information(seed=seed)


def _mnist(panels: Sequence["Panel"]) -> "Figure":
    from asktell.experiments.figures.curves import mnist_curves

    return mnist_curves(panels)


def _batches(panels: Sequence["Panel"]) -> "Figure":
    from asktell.experiments.figures.curves import bald_vs_batchbald

    return bald_vs_batchbald(panels)


FIGURES: Final[Mapping[str, Computed | Recorded]] = MappingProxyType(
    {
        "two-moons-boundaries": Computed(
            "where random, margin, entropy and BALD ask, and the boundary they learn, from 10 to 35 labels", _boundaries
        ),
        "bald-terms": Computed("BALD over the plane, the two entropies it is made of, and the prediction", _terms),
        "posteriors": Computed(
            "epistemic uncertainty over the two moons, one panel a posterior, with the points that all were fitted on",
            _posteriors,
        ),
        "mnist-curves": Recorded(
            "test accuracy on MNIST against labels, beside what the seed repository stored",
            (("mnist-seed",), ("mnist-seed-k100",)),
            ("random", "margin", "entropy", "bald", "batchbald"),
            _mnist,
        ),
        "batch-information": Computed(
            "nats that a batch promises by summed BALD and nats that it holds, for 10, 100 and 1,000 draws; on MNIST",
            _information,
        ),
        "bald-vs-batchbald": Recorded(
            "learning curves of BALD and BatchBALD at small and large batches",
            (
                ("mnist-small-batch", "mnist-small-batch-small"),
                ("mnist-batchbald", "mnist-batchbald-small"),
                ("repeated-mnist", "repeated-mnist-small"),
                ("mnist-seed-k100",),
            ),
            ("random", "bald", "batchbald"),
            _batches,
        ),
    }
)
"""The figures by name."""
