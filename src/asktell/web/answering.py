"""Answers of people, each taken once: whoever heard nothing may send it again."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from asktell.errors import ProjectError
from asktell.project import Project
from asktell.types import Annotation, Skip
from asktell.web.catalogue import Catalogue, Place

KEPT = 20_000
"""Receipts that are remembered."""


class Answering:
    """Writes answers into a project; `receipt` is an id that the sender made up, the same when it sends again.

    Receipts of this process are remembered. After a restart the project itself tells: an answer that is already the
    annotator's newest for the item is not written twice.
    """

    def __init__(self, project: Project, catalogue: Catalogue) -> None:
        self._project, self._catalogue = project, catalogue
        self._receipts: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._lock = Lock()

    def answer(self, receipt: str, item: str, label: str | Skip, annotator: str) -> bool:
        """Write an answer or a skip down; whether it is new.

        Raises `UnknownItemError`, `UnknownClassError`, and `ProjectError` for an item that is kept for the audit and
        was not asked: its label would be worth nothing there.
        """

        def write() -> str:
            place = self._catalogue.place(item)
            _refuse_unasked(item, place)
            if place.is_open or not _says(self._project.annotations(item), annotator, label):
                self._project.tell([item], [label], annotator)
            return item

        return self._once(receipt, annotator, write)[1]

    def take_back(self, receipt: str, annotator: str, item: str | None) -> str:
        """Undo the annotator's newest answer, to `item` if named; gives the item. Raises `ProjectError`."""
        return self._once(receipt, annotator, lambda: self._project.take_back(annotator, item))[0]

    def _once(self, receipt: str, annotator: str, write: Callable[[], str]) -> tuple[str, bool]:
        """(item, whether anything was done): what `write` gave, now or when the receipt came first."""
        key = (annotator, receipt)
        with self._lock:
            if key in self._receipts:
                return self._receipts[key], False
            item = write()
            self._receipts[key] = item
            if len(self._receipts) > KEPT:
                self._receipts.popitem(last=False)
        return item, True


def _refuse_unasked(item: str, place: Place) -> None:
    if place.part == "audit" and place.state == "free":
        raise ProjectError(
            f"item {item!r} is kept for the audit and is labelled when its turn comes; fold it in to label it now"
        )
    if place.state == "withdrawn":
        raise ProjectError(f"item {item!r} was withdrawn and takes no answers")


def _says(annotations: tuple[Annotation, ...], annotator: str, label: str | Skip) -> bool:
    """Whether the newest answer that stands is this annotator's, and the same."""
    standing = [annotation for annotation in annotations if annotation.stands]
    return bool(standing) and (standing[-1].annotator, standing[-1].label) == (annotator, label)
