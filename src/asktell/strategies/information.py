"""Strategies that value a batch as a whole by what its labels tell about the model."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from asktell.evidence import Evidence
from asktell.selection import Selection, batchbald
from asktell.selection.joint import PARTICLES, SATURATION


@dataclass(frozen=True)
class BatchBALD:
    """Largest joint information of the batch, given what is pending (Kirsch et al. 2019)."""

    name: ClassVar[str] = "batchbald"
    needs: ClassVar[frozenset[str]] = frozenset({"log_probs", "pending_log_probs"})
    particles: int = PARTICLES
    saturation: float = SATURATION

    def __call__(
        self, evidence: Evidence, b: int, *, generator: torch.Generator, memory: int | None = None
    ) -> Selection:
        """`selection.batchbald` of the candidates, given the pending items."""
        return batchbald(
            evidence.require("log_probs"),
            b,
            particles=self.particles,
            given=evidence.pending_log_probs,
            saturation=self.saturation,
            memory=memory,
            generator=generator,
        )
