"""Projects from data: what a source holds becomes items, with the labels that exist already."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from asktell.errors import ProjectError, UnknownClassError
from asktell.pools.found import Found
from asktell.pools.sources import read_features, read_images, read_table
from asktell.project import Project
from asktell.project.store import FILE

Kind = Literal["images", "text", "features"]
Labels = Literal["known", "test"]
"""What labels that came with the data are: for training, or of the items that are held out to measure accuracy."""
Progress = Callable[[int, int], None]

IMPORTED: Final = "imported"
"""The annotator of labels that came with the data."""


@dataclass(frozen=True)
class Origin:
    """Where a project's items come from: a folder of images, a table of texts, or a file of features.

    `text`, `id` and `label` are columns. For images `label` is not a column: any value says that the first sub-folder
    of an image names its class.
    """

    kind: Kind
    path: Path
    text: str | None = None
    id: str | None = None
    label: str | None = None

    @classmethod
    def of(cls, project: Project) -> "Origin":
        """The origin that the project was made from. Raises `ProjectError` if it was not made from data."""
        told = project.settings.get("source")
        if not isinstance(told, Mapping):
            raise ProjectError(f"{project.folder} was not made from data; add ids with asktell items --add")
        return cls(**{**told, "path": Path(str(told["path"]))})

    def to_json(self) -> dict[str, object]:
        """As the project keeps it, its path made absolute."""
        return {
            "kind": self.kind,
            "path": str(self.path.resolve()),
            "text": self.text,
            "id": self.id,
            "label": self.label,
        }

    def read(self, progress: Progress | None = None) -> Found:
        """All items of the source. Raises `DataError`."""
        if self.kind == "images":
            return read_images(self.path, labels=self.label is not None, progress=progress)
        if self.kind == "features":
            return read_features(self.path, id=self.id, label=self.label)
        return read_table(self.path, text=self.text or "text", id=self.id, label=self.label)


def found_project(
    folder: Path,
    origin: Origin,
    found: Found,
    *,
    classes: Sequence[str],
    labels: Labels = "known",
    seed: int = 0,
    budget: int | None = None,
    audit: float = 0.0,
    settings: Mapping[str, object],
) -> None:
    """A project with the items that were found, whole or not at all. `settings` come on top of the source.

    Without `classes`, they are those of the labels that came with the data, sorted. Raises `ProjectError` if there is a
    project already, if nothing was found, or if a label is not among the classes.
    """
    if not len(found):
        raise ProjectError(f"{origin.path} holds nothing that can be labelled; {_reasons(found)}")
    named = list(classes) or sorted({label for label in found.labels if label is not None})
    if not named:
        raise ProjectError("a project needs classes; name them with --classes, or give labels that exist already")
    _make(folder)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as place:
        with Project.create(
            place, found.ids, classes=named, seed=seed, budget=budget, audit=audit, contents=found.values
        ) as project:
            for name, value in {"source": origin.to_json(), **settings}.items():
                project.set(name, value)
            _take_labels(project, found.ids, found.labels, labels)
        _settle(Path(place) / FILE, folder / FILE)


def add_found(project: Project, found: Found, labels: Labels = "known") -> int:
    """New items of a source into its project, those it holds already passed over; gives how many were new.

    Raises `UnknownClassError` for a label that is no class; then nothing is changed.
    """
    known = set(project.ids)
    new = [row for row, id_ in enumerate(found.ids) if id_ not in known]
    _check_labels(project, [found.labels[row] for row in new])
    if new:
        ids = [found.ids[row] for row in new]
        project.add_items(ids, [found.values[row] for row in new])
        _take_labels(project, ids, [found.labels[row] for row in new], labels)
    return len(new)


def _check_labels(project: Project, labels: Iterable[str | None]) -> None:
    strange = sorted({label for label in labels if label is not None} - set(project.classes))
    if strange:
        raise UnknownClassError(
            f"the new items have labels that are no classes: {', '.join(map(repr, strange))}; "
            "asktell classes add makes one"
        )


def _take_labels(project: Project, ids: Iterable[str], labels: Iterable[str | None], meaning: Labels) -> None:
    known = {id_: label for id_, label in zip(ids, labels, strict=True) if label is not None}
    if known:
        project.tell(list(known), list(known.values()), IMPORTED)
        if meaning == "test":
            project.hold_out(known)


def _make(folder: Path) -> None:
    if (folder / FILE).exists():
        raise ProjectError(f"there is a project in {folder} already; asktell add adds items to it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"{folder} cannot be made ({error.strerror}); choose another folder") from None


def _settle(made: Path, final: Path) -> None:
    """The finished database under its own name, unless another process was faster."""
    try:
        os.link(made, final)
    except FileExistsError:
        raise ProjectError(f"there is a project in {final.parent} already; asktell add adds items to it") from None
    except OSError:  # no links on this file system
        made.rename(final)


def _reasons(found: Found) -> str:
    where, reason = found.left_out[0] if found.left_out else ("it", "is empty")
    return f"{len(found.left_out):,} left out, the first: {where}: {reason}" if found.left_out else f"{where} {reason}"
