"""What a strategy costs beside training the model, in classes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Cost = Literal["none", "pass", "draws", "joint", "distances", "gradients", "training"]

COSTS: Final[Mapping[Cost, str]] = MappingProxyType(
    {
        "none": "does not look at the pool",
        "pass": "one pass of the network over the pool",
        "draws": "k passes, one a posterior draw",
        "joint": "k passes, and work that grows with the batch",
        "distances": "one pass, and distances between items that grow with the batch or the pool",
        "gradients": "gradients of single items, in all weights or in pairs of the last layer's",
        "training": "trains other networks besides, or the same one again",
    }
)
"""What each class means; n candidates, k draws. `docs/strategies.md` gives the orders."""
