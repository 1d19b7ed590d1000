"""A copy of a project that is consistent even while others write."""

import sqlite3
from contextlib import closing
from pathlib import Path

from asktell.errors import ProjectError
from asktell.project.database import Database


def copy(database: Database, target: Path) -> None:
    """Write the project, as of now, into a new file and check it; writers go on meanwhile.

    Raises `ProjectError` if `target` exists, or if the copy cannot be written or is damaged (then it is removed).
    """
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        raise ProjectError(f"{target} exists and a backup overwrites nothing; choose another name") from None
    except OSError as error:
        raise ProjectError(f"{target} cannot be written ({error.strerror}); choose another place") from None
    try:
        _copy(database, target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(database: Database, target: Path) -> None:
    with database.reading() as connection:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # the only driver that `Database` opens
        try:
            with closing(sqlite3.connect(target)) as copied:
                source.backup(copied)
                copied.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
                damage = copied.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            raise ProjectError(f"{target}: the backup failed ({error}); check the disk and the project") from error
    if damage != [("ok",)]:
        raise ProjectError(
            f"{target}: the copy is damaged ({damage[0][0]}), so the project is: restore an older backup"
        )
