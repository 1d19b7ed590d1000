"""A project's items as a learner sees them: rows of numbers by id, made once."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from torch import Tensor

from asktell.engine import files
from asktell.engine.embedders import embedder, embedder_name
from asktell.engine.head import Head, Scale, SmallImages, Standardised
from asktell.engine.learner import ReadsItems, own_learner
from asktell.engine.settings import Settings
from asktell.errors import ProjectError
from asktell.learners import Learner
from asktell.pools.embedded import Embedded, Progress
from asktell.pools.pixels import Pixels
from asktell.project import Project
from asktell.rows import Rows
from asktell.types import Candidates

AT_ONCE = 1024
"""Items that are embedded before the worker looks round."""
REMEASURED = 1.1
"""The scale of the rows is measured again when there are so many times as many."""


@runtime_checkable
class Source(Protocol):
    """Where rows come from, by item numbers from 1."""

    name: str

    @property
    def failed(self) -> Mapping[str, str]:
        """Ids of items without a row, and why."""
        ...

    def __len__(self) -> int:
        """How many items, from the first on, have their row."""
        ...

    def extend(self, ids: Sequence[str], values: Sequence[str], progress: Progress | None = None) -> None:
        """Make the rows of the items that come next."""
        ...

    def rows(self, numbers: Sequence[int]) -> Rows:
        """The rows of these items."""
        ...


class Items:
    """The items that have rows so far, under one choice of source, embedder and learner.

    Raises `DataError`, `ProjectError` or `ModelError` where the data, an encoder or the user's learner cannot be had.
    """

    def __init__(self, project: Project, settings: Settings) -> None:
        self._project, self._settings = project, settings
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._scale: tuple[int, Scale] | None = None
        self._source = self._opened()

    @property
    def have_positions(self) -> bool:
        """Whether there are embeddings; a learner that reads items itself has none."""
        return isinstance(self._source, _Embedded)

    @property
    def about(self) -> dict[str, object]:
        """Who learns, from what."""
        return {"learner": self._settings.learner or "head", "embedder": self._source.name}

    @property
    def how(self) -> str:
        """The same in one string."""
        return f"{self._settings.learner or 'head'} on {self._source.name}"

    # Growing -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many items have their row, or were left out because none can be made."""
        return len(self._source)

    def grow(self, progress: Progress | None = None) -> int:
        """Make the rows of the next items, some of them; gives how many."""
        ids = self._project.ids_after(len(self._source), AT_ONCE)
        if ids:
            known = self._project.contents(ids)
            self._source.extend(ids, [_content(known, id_) for id_ in ids], progress)
        return len(ids)

    def _known(self) -> dict[str, int]:
        """Id to number, of all items that have rows."""
        while len(self._ids) < len(self._source):
            new = self._project.ids_after(len(self._ids), len(self._source) - len(self._ids))
            self._numbers.update((id_, number) for number, id_ in enumerate(new, start=len(self._ids) + 1))
            self._ids += new
        return self._numbers

    # Rows --------------------------------------------------------------------------------------------------------

    def inputs(self, ids: tuple[str, ...], /) -> Rows:
        """One row per id, in the order given."""
        numbers = self._known()
        return self._source.rows([numbers[id_] for id_ in ids])

    def positions(self, ids: tuple[str, ...]) -> Tensor:
        """Where items lie among the others: their embeddings, standardised as the head sees them."""
        rows = self.inputs(ids)
        place = Standardised(self._measured(self._shape[0]), axes=len(self._shape) - 1)
        found: Tensor = place(rows[0 : len(rows)].view(-1, *self._shape)).flatten(1)
        return found

    def usable(self, snapshot: Candidates) -> Candidates:
        """The part of a snapshot that has rows."""
        labels = dict(zip(snapshot.labelled_ids, snapshot.labels, strict=True))
        labelled = self.with_rows(labels)
        return Candidates(
            ids=self.with_rows(snapshot.ids),
            labelled_ids=labelled,
            labels=tuple(labels[id_] for id_ in labelled),
            pending_ids=self.with_rows(snapshot.pending_ids),
        )

    def with_rows(self, ids: Iterable[str]) -> tuple[str, ...]:
        """Those of the items that have a row."""
        numbers, failed = self._known(), self._source.failed
        return tuple(id_ for id_ in ids if id_ in numbers and id_ not in failed)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all items that have rows, in insertion order, whatever their state."""
        return self.with_rows(self._known())

    @property
    def n_failed(self) -> int:
        """How many items were left out because no row can be made of them."""
        return len(self._source.failed)

    @property
    def n_usable(self) -> int:
        """How many items `ids` has."""
        return len(self._source) - self.n_failed

    # Learning ----------------------------------------------------------------------------------------------------

    def learner(self, classes: tuple[str, ...]) -> Learner:
        """The user's own learner, or ours for these rows."""
        if self._settings.learner is not None or not isinstance(self._source, _Embedded):
            return own_learner(str(self._settings.learner), classes, self._project.settings)
        scale = self._measured(self._shape[0])
        return SmallImages(scale, self._shape[-1]) if len(self._shape) == 3 else Head(scale)

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of a row: numbers, or channels, height and width."""
        embedder = self._source.embedder if isinstance(self._source, _Embedded) else None
        if embedder is None:
            raise ProjectError("a learner that reads items itself has no embeddings to look at")
        return embedder.shape if isinstance(embedder, Pixels) else (embedder.width,)

    def _measured(self, channels: int) -> Scale:
        count = len(self._source)
        if self._scale is None or count > REMEASURED * self._scale[0]:
            self._scale = count, Scale.of(self.inputs(self.ids), channels)
        return self._scale[1]

    def _opened(self) -> Source:
        if self._settings.learner is not None:
            learner = own_learner(self._settings.learner, self._project.classes, self._project.settings)
            if isinstance(learner, ReadsItems):
                return _Read(self._project, learner)
        return _Embedded(self._project, self._settings)


class _Embedded:
    """Rows that an embedder made, kept in files."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self._project = project
        folder = project.folder / files.EMBEDDINGS
        name = embedder_name(settings.source, settings.embedder)
        self.embedder = embedder(name, settings.source, folder, self._texts)
        self.name = self.embedder.name
        self._kept = Embedded(folder, self.embedder)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def failed(self) -> Mapping[str, str]:
        return self._kept.failed

    def extend(self, ids: Sequence[str], values: Sequence[str], progress: Progress | None = None) -> None:
        self._kept.extend(ids, values, progress)

    def rows(self, numbers: Sequence[int]) -> Rows:
        return self._kept.rows(numbers)

    def _texts(self) -> list[str]:
        return list(self._project.contents(self._project.ids).values())


class _Read:
    """Rows that the user's learner makes when they are used."""

    failed: Mapping[str, str] = MappingProxyType({})

    def __init__(self, project: Project, learner: ReadsItems) -> None:
        self._project, self._learner = project, learner
        self.name = "its own inputs"
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[str], values: Sequence[str], progress: Progress | None = None) -> None:
        self._ids += ids

    def rows(self, numbers: Sequence[int]) -> Rows:
        ids = [self._ids[number - 1] for number in numbers]
        known = self._project.contents(ids)
        return self._learner.inputs(tuple(_content(known, id_) for id_ in ids))


def _content(contents: Mapping[str, str], id_: str) -> str:
    if id_ not in contents:
        raise ProjectError(f"the project does not say what item {id_!r} is; make it from data, or pass contents=")
    return contents[id_]
