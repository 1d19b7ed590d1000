"""What a selection gives back, and what it says about how it came to it."""

from dataclasses import asdict, dataclass, field, replace

import torch

from asktell.arrays import Picks, PickScores
from asktell.errors import SelectionError


@dataclass(frozen=True)
class Report:
    """How a batch was picked. None = does not apply.

    `filled_from`: from this pick on the method could not go on by its own rule and its documented fill took over.
    `saturated_at`: the picks that BatchBALD made before nothing was left to learn; `joint_information` (nats) is
    what the picks by its own rule tell about the model. `passes` over the pool and `rows_read` count reading;
    `evaluations` counts joint gains. `optimal`: the radius of a robust k-center is proven to be the smallest.
    `radius`: that of the balls that cover rows. `candidates`: only so many rows were looked at.
    `discriminator_accuracy`: balanced, of held-out rows, of the first network that told labelled from unlabelled rows.
    `renormalised`: the evidence was float16 or bfloat16.
    """

    passes: int | None = None
    rows_read: int | None = None
    evaluations: int | None = None
    joint_information: float | None = None
    saturated_at: int | None = None
    filled_from: int | None = None
    optimal: bool | None = None
    radius: float | None = None
    candidates: int | None = None
    discriminator_accuracy: float | None = None
    renormalised: bool = False

    def to_json(self) -> dict[str, object]:
        """The entries that apply.

        >>> Report(passes=1, rows_read=10).to_json()
        {'passes': 1, 'rows_read': 10, 'renormalised': False}
        """
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Selection:
    """The rows picked, in pick order, each once.

    `scores`: the gain of each at the moment it was picked. `probabilities`: for methods that sample, the
    probability of each pick given the ones before it.
    """

    indices: Picks
    scores: PickScores
    probabilities: PickScores | None = None
    report: Report = field(default_factory=Report)

    def __len__(self) -> int:
        return len(self.indices)

    def reported(self, **entries: object) -> "Selection":
        """The same picks with entries of the report replaced."""
        return replace(self, report=replace(self.report, **entries))  # type: ignore[arg-type]

    @property
    def fill_share(self) -> float:
        """The share of picks that a fill made, 0 to 1."""
        start = self.report.filled_from
        return 0.0 if start is None else (len(self) - start) / len(self)


def check_batch(b: int, n: int) -> None:
    """Raise unless 0 <= b <= n."""
    if b < 0:
        raise SelectionError(f"cannot pick {b} rows; b must be at least 0")
    if b > n:
        raise SelectionError(f"cannot pick {b} rows out of {n}; ask for at most {n}")


def empty_selection() -> Selection:
    """No picks."""
    return Selection(torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.float64))
