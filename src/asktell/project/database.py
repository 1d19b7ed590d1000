"""One SQLite file as a place for transactions: how it is opened, locked, and what its errors mean."""

import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from asktell.errors import ProjectError
from asktell.project.mounts import refuse_network_folder

_MEANINGS = {
    "SQLITE_BUSY": "another process has kept it locked for too long; close that process or try again",
    "SQLITE_LOCKED": "another process has kept it locked for too long; close that process or try again",
    "SQLITE_FULL": "the disk is full and nothing was changed; free some space and try again",
    "SQLITE_READONLY": "it cannot be written; make the folder and the file writable for this user",
    "SQLITE_CANTOPEN": "it cannot be opened; check that it exists and that its folder is writable for this user",
    "SQLITE_PERM": "it cannot be opened; make the folder and the file writable for this user",
    "SQLITE_NOTADB": "it is not an SQLite database, or its head is damaged; restore a backup",
    "SQLITE_CORRUPT": "it is damaged; stop writing to it and restore a backup",
    "SQLITE_IOERR": "the disk failed to read or write it, and nothing was changed; check the disk and its free space",
}


_CODES = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")
_ERRNOS = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO))


def is_of_the_disk(error: BaseException) -> bool:
    """Whether an error comes from a disk that is full, must not be written, or fails: others can end that.

    >>> is_of_the_disk(OSError(errno.ENOSPC, "No space left on device")), is_of_the_disk(ValueError())
    (True, False)
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", "").startswith(_CODES):
            return True
        if isinstance(cause, OSError) and cause.errno in _ERRNOS:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


ROWS = 1_000
"""Rows in one statement of `insert_rows`."""


class Database:
    """An SQLite file in WAL mode with synchronous=FULL: a transaction that has returned survives a power cut.

    Readers see one consistent state and block nobody. Writers take the write lock at once (BEGIN IMMEDIATE) and wait
    for it up to `wait` seconds. May be used from several threads; a forked process opens its own.
    Every error of SQLite becomes a `ProjectError` that says what to do.
    """

    def __init__(self, path: Path, *, wait: float = 30.0, make: bool = False) -> None:
        refuse_network_folder(path.parent)
        self.path = path
        self._connect = _connector(path, wait, make)
        self._readers = _engine(self._connect)
        self._writers = self._readers.execution_options(asktell_begin="BEGIN IMMEDIATE")
        self._watching: sqlite3.Connection | None = None
        self._watched = Lock()
        self._closed = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the project throughout."""
        with self._explained(), self._open(self._readers).begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock: commits at the end, or changes nothing if anything raises."""
        with self._explained(), self._open(self._writers).begin() as connection:
            yield connection

    def changes(self) -> int:
        """A number that differs from the last call's if anybody, in any process, has committed a change since."""
        with self._explained(), self._watched:
            self._open(self._readers)
            if self._watching is None:
                self._watching = self._connect()
            return int(self._watching.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Move what stands in the write-ahead log into the file, as far as nobody reads it, and let go of the file.

        Where that is impossible (a full disk), nothing is lost: the log stays beside the file until the next opening.
        """
        if not self._closed:
            with suppress(DBAPIError), self._readers.execution_options(asktell_begin="").connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
            self.dispose()

    def dispose(self) -> None:
        """Let go of the file as it is."""
        self._closed = True
        self._readers.dispose()
        with self._watched:
            if self._watching is not None:
                self._watching.close()
                self._watching = None

    def _open(self, engine: Engine) -> Engine:
        if self._closed:
            raise ProjectError(f"{self.path}: the project has been closed; open it again with Project.open")
        return engine

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise _explain(error.orig, self.path) from error
        except sqlite3.Error as error:
            raise _explain(error, self.path) from error


def insert_rows(connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    """A million rows in half the time that SQLAlchemy takes: many in one statement, as they are."""
    for start in range(0, len(rows), ROWS):
        some = rows[start : start + ROWS]
        marks = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * len(some))
        values = tuple(chain.from_iterable(some))
        connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {marks}", values)


def _explain(error: BaseException | None, path: Path) -> BaseException:
    name = getattr(error, "sqlite_errorname", "")
    for code, meaning in _MEANINGS.items():
        if name.startswith(code):
            return ProjectError(f"{path}: {meaning} (SQLite: {error})")
    return ProjectError(f"{path}: SQLite refused: {error}")


def _connector(path: Path, wait: float, make: bool) -> Callable[[], sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if make else 'rw'}"

    def connect() -> sqlite3.Connection:
        # Autocommit as far as the driver is concerned: transactions begin where `_begin` says.
        return sqlite3.connect(uri, uri=True, timeout=wait, isolation_level=None, check_same_thread=False)

    return connect


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool)
    event.listen(engine, "connect", _settle)
    event.listen(engine, "begin", _begin)
    return engine


def _settle(connection: sqlite3.Connection, _record: object) -> None:
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    begin = connection.get_execution_options().get("asktell_begin", "BEGIN")
    if begin:
        connection.exec_driver_sql(begin)
