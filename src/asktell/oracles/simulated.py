"""An oracle that knows the true labels, and may err or abstain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asktell.errors import DataError, UnknownItemError
from asktell.randomness import counter
from asktell.types import SKIP, Skip


@dataclass(frozen=True)
class SimulatedOracle:
    """Answers with the true label; with a wrong one at rate `noise`, with SKIP at rate `abstention`.

    `labels` maps ids to class names. An answer depends on (seed, id) only: whoever asks again, after a restart
    or in another order, hears the same. A wrong label is uniform over the other classes that occur. Of the items
    that are not skipped, the share `noise` is wrong. Raises `DataError` for a rate outside 0..1, and for noise
    with fewer than two classes.
    """

    labels: Mapping[str, str]
    noise: float = 0.0
    abstention: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, rate in (("noise", self.noise), ("abstention", self.abstention)):
            if not 0 <= rate <= 1:
                raise DataError(f"the oracle's {name} must be between 0 and 1, not {rate}")
        if self.noise and len(self.classes) < 2:
            raise DataError("an oracle with noise needs labels of at least two classes to choose a wrong one from")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names that occur, sorted."""
        return tuple(sorted(set(self.labels.values())))

    def answer(self, ids: Sequence[str]) -> list[str | Skip]:
        """One answer per id, in the order given. Raises `UnknownItemError` for an id without a label.

        >>> SimulatedOracle({"a": "owl", "b": "wren"}).answer(["b", "a"])
        ['wren', 'owl']
        """
        classes = self.classes
        return [self._answer(item, classes) for item in ids]

    def _answer(self, item: str, classes: tuple[str, ...]) -> str | Skip:
        if item not in self.labels:
            raise UnknownItemError(f"the oracle knows no label of item {item!r}")
        truth = self.labels[item]
        skips, errs, which = counter(self.seed, "oracle", item).random(3).tolist()
        if skips < self.abstention:
            return SKIP
        if errs >= self.noise:
            return truth
        others = [name for name in classes if name != truth]
        return others[int(which * len(others))]
