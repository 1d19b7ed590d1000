"""A project: everything that must survive a crash, in one database, by item id."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType

from sqlalchemy import insert, select, update

from asktell.errors import ProjectError
from asktell.project import annotations, backup, classes, items, migrations, queries, schema
from asktell.project.database import Database
from asktell.project.names import check_name, check_names, check_whole
from asktell.project.schema import ItemState
from asktell.project.status import Status, status
from asktell.types import Annotation, Budget, Candidates, Query, Skip

FILE = "project.db"
"""The database in a project's folder."""


class Project:
    """Items, classes, queries and annotations. Made by `Project.create` or `Project.open`; close it, or use `with`.

    Every method is one transaction: what it returned survives a crash, what raised changed nothing. Any number of
    threads and processes may use a project at once; each process opens it for itself, after any fork.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.reading() as connection:
            self._seed = int(connection.scalars(select(schema.project.c.seed)).one())

    @classmethod
    def create(
        cls,
        folder: str | PathLike[str],
        ids: Iterable[str],
        *,
        classes: Iterable[str],
        seed: int = 0,
        budget: int | None = None,
    ) -> "Project":
        """A new project in `folder`, which is made if need be: all of it or nothing.

        Raises `ProjectError` if there is one already, if an id or class is empty, no text or comes twice, if there is
        no class, or if the folder cannot be written or lies on a network.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Project.create(folder, ["a", "b"], classes=["owl"]) as project:
        ...     project.candidates().ids
        ('a', 'b')
        """
        named, known = check_names(ids, "item"), _check_classes(classes)
        check_whole(seed, "seed")
        _check_budget(budget)
        database = Database(_make(Path(folder)) / FILE, make=True)
        try:
            _install(database, named, known, seed, budget)
            return cls(database)
        except BaseException:
            database.dispose()
            raise

    @classmethod
    def open(cls, path: str | PathLike[str], *, wait: float = 30.0) -> "Project":
        """The project in a folder, or in a database file such as a backup; brought to the present schema.

        `wait`: how many seconds a change waits for another process's before it raises. Raises `ProjectError` if there
        is no project, or it is damaged, cannot be written, or was written by a newer asktell.
        """
        file = Path(path) / FILE if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise ProjectError(f"{path} is not a project: there is no file {file}; Project.create makes one")
        database = Database(file, wait=wait)
        try:
            migrations.upgrade(database)
            return cls(database)
        except BaseException:
            database.dispose()
            raise

    def close(self) -> None:
        """Leave all of the project in its one file, and let go of it. Closing twice is fine."""
        self._database.close()

    def __enter__(self) -> "Project":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What there is ---------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The database."""
        return self._database.path

    @property
    def folder(self) -> Path:
        """Where the database lies; what can be rebuilt (caches, weights) lies beside it."""
        return self.path.parent

    @property
    def seed(self) -> int:
        """The seed that the project was created with."""
        return self._seed

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order in which they were added: class c of a model is `classes[c]`."""
        with self._database.reading() as connection:
            return tuple(classes.numbers(connection))

    @property
    def labels(self) -> dict[str, str]:
        """Id to class name, for all labelled items in insertion order."""
        with self._database.reading() as connection:
            return items.labels(connection)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Ids of the skipped items; they are asked again only after `release_skipped`."""
        with self._database.reading() as connection:
            return items.in_state(connection, ItemState.SKIPPED)

    def candidates(self) -> Candidates:
        """One consistent snapshot of what may be asked, what is labelled and what is pending, in insertion order."""
        with self._database.reading() as connection:
            return items.candidates(connection)

    def annotations(self, item: str) -> tuple[Annotation, ...]:
        """All answers for an item, oldest first; classes under their present names. Raises `UnknownItemError`."""
        with self._database.reading() as connection:
            return annotations.of(connection, item)

    @property
    def queries(self) -> tuple[Query, ...]:
        """All queries, oldest first."""
        with self._database.reading() as connection:
            return queries.read(connection)

    @property
    def unanswered(self) -> tuple[Query, ...]:
        """The open queries, oldest first, each with only those items that are still pending."""
        with self._database.reading() as connection:
            return queries.read(connection, unanswered=True)

    @property
    def next_query(self) -> int:
        """The number that the next recorded query gets."""
        with self._database.reading() as connection:
            return queries.next_number(connection)

    @property
    def budget(self) -> Budget:
        """How many labels may be bought, were bought, and are on order."""
        with self._database.reading() as connection:
            return queries.budget(connection)

    def status(self) -> Status:
        """Counts of everything, without reading the items."""
        with self._database.reading() as connection:
            return status(connection)

    # Asking and telling ----------------------------------------------------------------------------------------

    def record(self, query: Query) -> Query:
        """Write a query down and make its items pending; gives the query with its time of creation.

        `query.number` must be `next_query`. Raises `ConflictError` if others were faster: picked items are no longer
        free, or the number is taken. Raises `UnknownItemError`, `BudgetError` if it costs more than is left, and
        `ProjectError` for a query that is empty, repeats an item, or holds NaN.
        """
        queries.check(query)
        with self._database.writing() as connection:
            created = queries.record(connection, query)
        return replace(query, created=created)

    def tell(self, ids: Sequence[str], labels: Sequence[str | Skip], annotator: str) -> None:
        """Append one answer per item: class names or SKIP. The newest answer to an item decides.

        Late answers and corrections are legal, and so are answers that nobody asked for (imported). A withdrawn item
        stays withdrawn. Raises `UnknownItemError`, `UnknownClassError`, and `ProjectError` for an item that comes
        twice or labels that do not match the items; then nothing is changed.
        """
        annotations.check(ids, labels, annotator)
        if ids:
            with self._database.writing() as connection:
                annotations.append(connection, ids, labels, annotator)

    # Changing the pool, the classes and the budget -------------------------------------------------------------

    def add_items(self, ids: Iterable[str]) -> None:
        """New free items, after all others. Raises `ProjectError` for one that is there already or comes twice."""
        named = check_names(ids, "item")
        with self._database.writing() as connection:
            items.add(connection, named)

    def withdraw(self, ids: Iterable[str]) -> None:
        """Take items out for good: neither asked nor labelled from now on. Their annotations stay.

        What was pending is given back to the budget; answers that came are paid for. Raises `UnknownItemError`.
        """
        named = check_names(ids, "item")
        with self._database.writing() as connection:
            items.withdraw(connection, named)

    def release_skipped(self, ids: Iterable[str] | None = None) -> None:
        """Make skipped items (all of them unless named) free to be asked again.

        Raises `UnknownItemError`, and `ProjectError` for an item that is not skipped.
        """
        named = None if ids is None else check_names(ids, "item")
        with self._database.writing() as connection:
            items.release(connection, items.in_state(connection, ItemState.SKIPPED) if named is None else named)

    def add_class(self, name: str) -> None:
        """One more class, after all others. Raises `ProjectError` if there is one of that name."""
        check_name(name, "class")
        with self._database.writing() as connection:
            classes.add(connection, [name])

    def rename_class(self, name: str, new_name: str) -> None:
        """Another name for a class; its annotations follow. Raises `UnknownClassError`, `ProjectError` if taken."""
        check_name(new_name, "class")
        with self._database.writing() as connection:
            classes.rename(connection, name, new_name)

    def merge_classes(self, source: str, into: str) -> None:
        """One class of two: all that is labelled `source`, now or ever, counts as `into`. There is no way back.

        Raises `UnknownClassError`, and `ProjectError` if both are the same.
        """
        with self._database.writing() as connection:
            classes.merge(connection, source, into)

    def set_budget(self, limit: int | None) -> None:
        """Another limit, or none. One below what is spent already only stops further asking."""
        _check_budget(limit)
        with self._database.writing() as connection:
            connection.execute(update(schema.project).values(budget=limit))

    def backup(self, target: str | PathLike[str]) -> None:
        """A checked copy of the database in a new file; `Project.open` opens it. Raises `ProjectError`.

        The copy is consistent whatever others write meanwhile. An existing file is never overwritten.
        """
        backup.copy(self._database, Path(target))


def _check_classes(names: Iterable[str]) -> list[str]:
    known = check_names(names, "class")
    if not known:
        raise ProjectError("a project needs at least one class; pass classes=[...]")
    return known


def _check_budget(limit: int | None) -> None:
    if limit is not None:
        check_whole(limit, "budget", least=0)


def _make(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProjectError(f"{folder} cannot be made ({error.strerror}); choose another folder") from None
    return folder


def _install(database: Database, ids: list[str], known: list[str], seed: int, budget: int | None) -> None:
    with database.writing() as connection:
        migrations.install(connection)
        created = datetime.now(UTC).isoformat(timespec="microseconds")
        connection.execute(insert(schema.project), {"id": 1, "seed": seed, "budget": budget, "created": created})
        classes.add(connection, known)
        items.add(connection, ids)
