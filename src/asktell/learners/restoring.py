"""From weights back to a posterior."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from asktell.learners.fitting import Build
from asktell.posteriors import Ensemble
from asktell.posteriors.ensemble import Members
from asktell.posteriors.weights import put_weights
from asktell.randomness import derive, seeded

ORIGIN = "the stored model"


def blank(build: Build, classes: int) -> nn.Module:
    """A network to put weights into."""
    with seeded(derive(0, "restore")):
        return build(classes)


def filled(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """The module with these weights; `ModelError` if they do not fit."""
    put_weights(module, weights, ORIGIN)
    return module


def restored(
    builds: Sequence[Build], classes: int, weights: Mapping[str, Tensor], *, trunk: nn.Module | None = None, batch: int
) -> Ensemble:
    """The ensemble that had these weights."""
    modules = [blank(build, classes) for build in builds]
    filled(Members(modules, trunk=trunk), weights)
    return Ensemble(modules, trunk=trunk, batch=batch)
