"""How a database comes to the present schema: ordered migrations, each in a transaction with a bookkeeping row."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from asktell.errors import ProjectError
from asktell.project.database import Database
from asktell.project.schema import FIRST, SECOND, THIRD

APPLICATION = 0x61736B74
"""What marks a SQLite file as a project of asktell: "askt"."""


@dataclass(frozen=True)
class Migration:
    """One step of the schema; its number is its place in `MIGRATIONS`, counted from 1."""

    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "first",
        (
            f"PRAGMA application_id = {APPLICATION}",
            "CREATE TABLE migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL) STRICT",
            *FIRST,
        ),
    ),
    Migration("running", SECOND),
    Migration("receipts", THIRD),
)
"""All migrations, oldest first; released ones are never edited, moved or dropped."""


def install(connection: Connection) -> None:
    """Make the present schema in an empty database, inside the caller's transaction.

    Raises `ProjectError` if the database holds anything at all.
    """
    if connection.scalar(text("SELECT count(*) FROM sqlite_master")):
        raise ProjectError(
            "there is a project or another database already; open it with Project.open, or create elsewhere"
        )
    for number in range(1, len(MIGRATIONS) + 1):
        _apply(connection, number)


def upgrade(database: Database) -> None:
    """Bring a project to the present schema, one transaction a migration; one that fails leaves no trace.

    Raises `ProjectError` if the file is no project, or was written by a newer asktell.
    """
    with database.reading() as connection:
        version = _version(connection)
    while version < len(MIGRATIONS):
        with database.writing() as connection:
            version = _version(connection)
            if version < len(MIGRATIONS):  # another process may have been faster
                version += 1
                _apply(connection, version)


def _version(connection: Connection) -> int:
    if connection.scalar(text("PRAGMA application_id")) != APPLICATION:
        raise ProjectError("the database is not an asktell project; Project.create makes one")
    version = int(connection.scalar(text("SELECT max(number) FROM migration")) or 0)
    if version > len(MIGRATIONS):
        raise ProjectError(
            f"the project has schema {version} and this asktell knows schemas up to {len(MIGRATIONS)}: upgrade asktell"
        )
    return version


def _apply(connection: Connection, number: int) -> None:
    migration = MIGRATIONS[number - 1]
    for statement in migration.statements:
        connection.exec_driver_sql(statement)
    connection.execute(
        text("INSERT INTO migration (number, name, applied) VALUES (:number, :name, :applied)"),
        {"number": number, "name": migration.name, "applied": datetime.now(UTC).isoformat()},
    )
