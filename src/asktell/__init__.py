"""Bayesian active learning that people can run.

`import asktell` loads no torch: every name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asktell import evidence, learners, posteriors, scores, selection, strategies, training
    from asktell.errors import AsktellError
    from asktell.loop import Loop
    from asktell.posteriors import Deterministic, MCDropout
    from asktell.project import Project
    from asktell.randomness import derive
    from asktell.scores import uncertainty
    from asktell.types import SKIP, Annotation, Budget, Candidates, Query

__version__ = "0.1.0"

_HOMES = {
    "Annotation": "asktell.types",
    "AsktellError": "asktell.errors",
    "Budget": "asktell.types",
    "Candidates": "asktell.types",
    "Deterministic": "asktell.posteriors",
    "Loop": "asktell.loop",
    "MCDropout": "asktell.posteriors",
    "Project": "asktell.project",
    "Query": "asktell.types",
    "SKIP": "asktell.types",
    "derive": "asktell.randomness",
    "uncertainty": "asktell.scores",
}
_ROOMS = ("evidence", "learners", "posteriors", "scores", "selection", "strategies", "training")

__all__ = [
    "SKIP",
    "Annotation",
    "AsktellError",
    "Budget",
    "Candidates",
    "Deterministic",
    "Loop",
    "MCDropout",
    "Project",
    "Query",
    "derive",
    "evidence",
    "learners",
    "posteriors",
    "scores",
    "selection",
    "strategies",
    "training",
    "uncertainty",
]


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return import_module(f"asktell.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'asktell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
