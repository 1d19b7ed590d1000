"""A project: everything that must survive a crash, in one database, by item id."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import TracebackType

from sqlalchemy import insert, select, update

from asktell.errors import ProjectError
from asktell.project import (
    annotations,
    audit,
    backup,
    classes,
    contents,
    items,
    migrations,
    queries,
    retractions,
    schema,
)
from asktell.project.additions import Addition
from asktell.project.database import Database
from asktell.project.names import check_name, check_names, check_whole
from asktell.project.running import Running
from asktell.project.schema import ItemState
from asktell.project.status import Status, status
from asktell.types import Annotation, Budget, Candidates, Query, Skip

FILE = "project.db"
"""The database in a project's folder."""


class Project(Running):
    """Items, classes, queries and annotations. Made by `Project.create` or `Project.open`; close it, or use `with`.

    Every method is one transaction: what it returned survives a crash, what raised changed nothing. Any number of
    threads and processes may use a project at once; each process opens it for itself, after any fork.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
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
        audit: float = 0.0,
        contents: Iterable[str] | None = None,
    ) -> "Project":
        """A new project in `folder`, which is made if need be: all of it or nothing.

        `audit`: the share of ids, at least 0 and below 1, that is reserved to measure accuracy; see `Project.audit`.
        `contents`: what each item is, one text per id. Raises `ProjectError` if there is a project already, if an id
        or class is empty, no text or comes twice, if there is no class, if contents do not match the ids, or if the
        folder cannot be written or lies on a network.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Project.create(folder, ["a", "b"], classes=["owl"]) as project:
        ...     project.candidates().ids
        ('a', 'b')
        """
        new = Addition.of(ids, contents)
        known, start = _check_classes(classes), _start(seed, budget, audit)
        database = Database(_make(Path(folder)) / FILE, make=True)
        try:
            _install(database, new, known, start)
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
        """Id to class name, for all labelled items in insertion order, reserved and held-out ones included."""
        with self._database.reading() as connection:
            return items.labels(connection)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Ids of the skipped items; they are asked again only after `release_skipped`."""
        with self._database.reading() as connection:
            return items.in_state(connection, ItemState.SKIPPED)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all items in insertion order, withdrawn ones included: item number n is `ids[n - 1]` for good."""
        with self._database.reading() as connection:
            return items.in_order(connection)

    @property
    def n_items(self) -> int:
        """How many items there are, withdrawn ones included."""
        with self._database.reading() as connection:
            return items.total(connection)

    def ids_after(self, number: int, limit: int) -> tuple[str, ...]:
        """Ids of items number + 1 to number + limit, as far as there are any, in insertion order."""
        check_whole(number, "item number", least=0)
        check_whole(limit, "limit", least=0)
        with self._database.reading() as connection:
            return items.in_order(connection, number, limit)

    def contents(self, ids: Iterable[str]) -> dict[str, str]:
        """Id to what the item is, in the order of `ids`; items that came without content are left out.

        Raises `UnknownItemError`.
        """
        named = check_names(ids, "item")
        with self._database.reading() as connection:
            return contents.read(connection, named)

    def candidates(self) -> Candidates:
        """One consistent snapshot of what may be asked, what is labelled and what is pending, in insertion order.

        Reserved and held-out items are left out of all three.
        """
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

        `query.number` must be `next_query`. A query whose strategy is named "audit" asks for reserved items, any other
        for ordinary ones. Raises `ConflictError` if others were faster: picked items are no longer free, reserved,
        held out or folded in, or the number is taken. Raises `UnknownItemError`, `BudgetError` if it costs more than
        is left, and `ProjectError` for a query that is empty, repeats an item, or holds NaN.
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

    def add_items(self, ids: Iterable[str], contents: Iterable[str] | None = None) -> None:
        """New free items, after all others; the share of the audit is reserved of them too, by the same rule.

        Raises `ProjectError` for one that is there already or comes twice, or contents that do not match the ids.
        """
        new = Addition.of(ids, contents)
        with self._database.writing() as connection:
            new.add(connection)

    def withdraw(self, ids: Iterable[str]) -> None:
        """Take items out for good: neither asked nor labelled from now on. Their annotations stay.

        What was pending is given back to the budget; answers that came are paid for. Raises `UnknownItemError`.
        """
        named = check_names(ids, "item")
        with self._database.writing() as connection:
            items.withdraw(connection, named)

    def release_skipped(self, ids: Iterable[str] | None = None) -> None:
        """Make skipped items (all of them unless named) free to be asked again. Their skips no longer stand.

        Raises `UnknownItemError`, and `ProjectError` for an item that is not skipped.
        """
        named = None if ids is None else check_names(ids, "item")
        with self._database.writing() as connection:
            skipped = items.in_state(connection, ItemState.SKIPPED) if named is None else named
            retractions.release(connection, skipped)

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


def _start(seed: int, budget: int | None, share: float) -> dict[str, object]:
    """The one row of a new project; raises `ProjectError`."""
    check_whole(seed, "seed")
    _check_budget(budget)
    created = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"id": 1, "seed": seed, "budget": budget, "created": created, "audit": audit.check_share(share)}


def _install(database: Database, new: Addition, known: list[str], start: dict[str, object]) -> None:
    with database.writing() as connection:
        migrations.install(connection)
        connection.execute(insert(schema.project), start)
        classes.add(connection, known)
        new.add(connection)
