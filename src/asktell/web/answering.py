"""Answers of people, written down one after the other; whoever heard nothing may send the same again."""

from threading import Lock

from asktell.project import Project
from asktell.project.answers import Taken
from asktell.types import Skip


class Answering:
    """Writes into a project. `receipt` is an id that the sender made up, the same when it sends again.

    Receipts are kept by the project, with what they are for: a server that was killed leaves them to the next.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = Lock()  # threads wait here for less long than in the database, which only looks now and then

    def answer(self, receipt: str, item: str, label: str | Skip, annotator: str, *, corrects: bool = False) -> Taken:
        """Write an answer or a skip down, as `Project.answer` does and raises."""
        with self._lock:
            return self._project.answer(item, label, annotator, receipt=receipt, corrects=corrects)

    def take_back(self, receipt: str, annotator: str, item: str | None) -> str:
        """Undo the annotator's newest answer, to `item` if named; gives the item. Raises `ProjectError`."""
        with self._lock:
            return self._project.take_back(annotator, item, receipt=receipt)

    def flag(self, receipt: str | None, item: str, annotator: str, flagged: bool) -> None:
        """Flag an item, or no longer. Raises `UnknownItemError`."""
        with self._lock:
            self._project.flag(item, annotator, flagged, receipt=receipt)
