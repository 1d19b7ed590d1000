"""What a strategy is: data that says what it needs, and a call."""

from typing import ClassVar, Protocol, runtime_checkable

import torch

from asktell.arrays import Scores
from asktell.evidence import Evidence
from asktell.selection import Selection


@runtime_checkable
class Strategy(Protocol):
    """A frozen dataclass: its fields are its parameters, `name` is what the store calls its kind."""

    name: ClassVar[str]

    @property
    def needs(self) -> frozenset[str]:
        """The evidence it works from, by name; `pending_*` is needed only while something is pending."""
        ...

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """Pick b candidate rows. `memory`: bytes of rows to read at once; changes no result."""
        ...


@runtime_checkable
class Scored(Strategy, Protocol):
    """A strategy that gives every candidate a number."""

    nonnegative: ClassVar[bool]

    def scores(self, evidence: Evidence, *, memory: int | None = None) -> Scores:
        """Higher = ask sooner; never below zero if `nonnegative`."""
        ...
