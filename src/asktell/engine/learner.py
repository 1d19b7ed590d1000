"""Which learner works on a project: one of ours, or the user's own by "module:function"."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from asktell.engine import head
from asktell.engine.head import Head, SmallImages
from asktell.errors import ModelError
from asktell.learners import Learner, Restores
from asktell.posteriors import Posterior
from asktell.rows import Rows


@runtime_checkable
class ReadsItems(Protocol):
    """A learner that makes its inputs itself, from the items: then none are embedded for it."""

    def inputs(self, contents: tuple[str, ...]) -> Rows:
        """One row per item. A content is a text, an image's path below its folder, or the number of a row."""
        ...


def own_learner(where: str, classes: tuple[str, ...], settings: Mapping[str, object]) -> Learner:
    """What the function at "module:function" returns when it is called with the classes and the settings.

    Modules are looked for in the current folder too. Raises `ModelError` if there is no such function, if it fails,
    or if it returns no learner.
    """
    with _current_folder_too():
        function = _found(where)
        try:
            learner = function(classes, dict(settings))
        except Exception as error:
            raise ModelError(f"{where} failed: {type(error).__name__}: {error}") from error
    if not isinstance(learner, Learner):
        raise ModelError(
            f"{where} returned {type(learner).__name__}, which is no learner: "
            "it needs `offers` and `fit(round, *, generator)`; see asktell.learners.Learner"
        )
    return learner


def described(learner: Learner, where: str | None) -> dict[str, object]:
    """What is written down about the learner of a model: all that it takes to restore the model with its weights."""
    return head.described(learner) if isinstance(learner, Head | SmallImages) else {"kind": str(where)}


def restored(
    description: Mapping[str, object],
    classes: tuple[str, ...],
    weights: Mapping[str, Tensor],
    settings: Mapping[str, object],
) -> Posterior | None:
    """The posterior that had these weights; None if the user's learner cannot make it again. Raises `ModelError`."""
    if description.get("kind") in head.KINDS:
        return head.restored(description, len(classes), weights)
    learner = own_learner(str(description.get("kind")), classes, settings)
    if isinstance(learner, Restores):
        return learner.restore(classes, weights)
    return None


def _found(where: str) -> Callable[..., object]:
    module_name, colon, name = where.partition(":")
    if not (module_name and colon and name.isidentifier()):
        raise ModelError(f"a learner is named module:function, such as my_models:make, not {where!r}")
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ModelError(
            f"{module_name} cannot be imported from {Path.cwd()} ({type(error).__name__}: {error}); "
            "run this where the file lies, or install it"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise ModelError(f"{module_name} has no function {name}; it is to take (classes, settings)")
    found: Callable[..., object] = function
    return found


@contextmanager
def _current_folder_too() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
