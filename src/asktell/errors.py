"""Everything that asktell raises on purpose.

    AsktellError
    ├── EvidenceError (ValueError)     evidence is missing, malformed, or not what it claims to be
    │   └── RowError                   the same, in one row
    ├── SelectionError (ValueError)    a batch that cannot be picked: b < 0, b > n, a parameter out of range
    ├── ModelError (ValueError)        a network that cannot serve as asked, or a training that failed
    ├── ProjectError (RuntimeError)    a project that cannot be created, opened or changed as asked
    │   ├── UnknownItemError           an id that the project does not hold
    │   ├── UnknownClassError          a class that the project does not have
    │   ├── BudgetError                asking for more labels than the budget allows
    │   └── ConflictError              a query that others overtook before it was recorded
    ├── DataError (RuntimeError)       data that cannot be had, or is damaged
    │   └── ContentError               the same, of one item
    └── ProtocolError (ValueError)     an experiment that cannot be run as asked

    DegenerateWarning (UserWarning)    legal input on which a method has nothing to say

A message says what happened, to what, and what to do.
"""


class AsktellError(Exception):
    """The root: `except AsktellError` catches all that asktell raises on purpose."""


class EvidenceError(AsktellError, ValueError):
    """Evidence is missing, malformed, or not what it claims to be."""


class RowError(EvidenceError):
    """Evidence that is wrong in one row; `row` counts from the start of what the caller handed over."""

    def __init__(self, name: str, row: int, reason: str) -> None:
        super().__init__(name, row, reason)
        self.name, self.row, self.reason = name, row, reason

    def __str__(self) -> str:
        return f"{self.name}, row {self.row}: {self.reason}"

    def moved(self, rows: int) -> "RowError":
        """The same error, seen from `rows` rows further up."""
        return RowError(self.name, self.row + rows, self.reason)


class SelectionError(AsktellError, ValueError):
    """A batch that cannot be picked as asked."""


class ModelError(AsktellError, ValueError):
    """A network that cannot serve as asked, or a training that failed."""


class ProjectError(AsktellError, RuntimeError):
    """A project that cannot be created, opened or changed as asked."""


class UnknownItemError(ProjectError):
    """An id that the project does not hold."""


class UnknownClassError(ProjectError):
    """A class that the project does not have."""


class BudgetError(ProjectError):
    """Asking for more labels than the budget allows."""


class ConflictError(ProjectError):
    """A query or a training that others overtook before it was recorded: begin again.

    `number` is the number that the next one has now; `taken` are the picked ids that are not free to be asked.
    """

    def __init__(self, number: int, taken: tuple[str, ...]) -> None:
        super().__init__(number, taken)
        self.number, self.taken = number, taken

    def __str__(self) -> str:
        if not self.taken:
            return f"another was faster: the next number is {self.number}; begin again with that number"
        return (
            f"{len(self.taken)} of the picked items are not free to be asked and the next query has number "
            f"{self.number}; select again without those items, with that number"
        )


class DataError(AsktellError, RuntimeError):
    """A data set that cannot be had, or is damaged."""


class ContentError(DataError):
    """One item whose content cannot be used: `where` names it, `reason` says why."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class ProtocolError(AsktellError, ValueError):
    """An experiment that cannot be run as asked."""


class DegenerateWarning(UserWarning):
    """Legal input on which a method has nothing to say, such as BALD of a single draw."""
