import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from asktell.errors import ProjectError
from asktell.project import ItemState, Project, migrations
from asktell.project.migrations import Migration
from asktell.project.schema import QuestionState
from asktell.types import Query

NOTES = Migration("notes", ("CREATE TABLE note (item INTEGER) STRICT", "INSERT INTO note SELECT number FROM item"))


@pytest.fixture
def raw(project: Project) -> Iterator[sqlite3.Connection]:
    project.record(Query(0, ("a", "b"), (1.0, 1.0), {}, 0))
    project.tell(["a"], ["owl"], "ann")
    with closing(sqlite3.connect(project.path)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA recursive_triggers = ON")
        yield connection


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE annotation SET label = 2",
        "DELETE FROM annotation",
        "REPLACE INTO annotation SELECT number, item, 'bob', label, query, created FROM annotation",
    ],
)
def test_annotations_are_append_only_even_for_sql(raw: sqlite3.Connection, change: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(change)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET state = 'lost'",
        "UPDATE item SET state = 'labelled' WHERE id = 'c'",  # without a label
        "UPDATE item SET state = 'pending' WHERE id = 'c'",  # without a query
        "UPDATE item SET id = ''",
        "UPDATE question SET state = 'lost'",
        "UPDATE question SET item = 99",
        "INSERT INTO item (id) VALUES ('a')",
        "INSERT INTO item (id, state) VALUES (x'00', 'free')",  # STRICT: no blobs where text belongs
        "INSERT INTO class (name) VALUES ('owl')",
        "INSERT INTO project SELECT 2, seed, budget, created FROM project",
    ],
)
def test_the_database_itself_refuses_states_that_cannot_be(raw: sqlite3.Connection, change: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(change)


def test_an_item_is_pending_in_one_query_at_a_time(raw: sqlite3.Connection) -> None:
    raw.execute("INSERT INTO query SELECT 1, strategy, seed, model, report, created FROM query")
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE.*question\.item"):
        raw.execute("INSERT INTO question (query, position, item, score) VALUES (1, 0, 2, 0.0)")


@pytest.mark.parametrize(("table", "states"), [("item", ItemState), ("question", QuestionState)])
def test_the_checked_states_are_those_of_the_enum(
    raw: sqlite3.Connection, table: str, states: type[ItemState] | type[QuestionState]
) -> None:
    (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", [table]).fetchone()
    assert f"({', '.join(repr(state.value) for state in states)})" in sql


def test_every_table_is_strict(raw: sqlite3.Connection) -> None:
    tables = raw.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite%'")
    assert {name for name, strict in tables if not strict} == set()


# Migrations ------------------------------------------------------------------------------------------------------


def schema_of(path: Path) -> tuple[list[str], int]:
    """(names of the migrations applied, notes or -1)."""
    with closing(sqlite3.connect(path)) as connection:
        applied = [name for (name,) in connection.execute("SELECT name FROM migration ORDER BY number")]
        there = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'note'").fetchone()[0]
        return applied, connection.execute("SELECT count(*) FROM note").fetchone()[0] if there else -1


def released(monkeypatch: pytest.MonkeyPatch, *more: Migration) -> None:
    """As if asktell had these migrations after its own."""
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, *more))


def test_opening_applies_what_is_missing_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    released(monkeypatch, NOTES)
    for _ in range(2):
        with Project.open(project.folder) as opened:
            assert len(opened.candidates().ids) == 6
        assert schema_of(project.path) == (["first", "notes"], 6)


def test_a_new_project_has_the_newest_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released(monkeypatch, NOTES)
    Project.create(tmp_path, ["a"], classes=["owl"]).close()
    assert schema_of(tmp_path / "project.db") == (["first", "notes"], 0)


def test_a_migration_that_fails_halfway_leaves_no_trace(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    with monkeypatch.context() as broken:
        released(broken, NOTES, Migration("broken", ("DELETE FROM note", "CREATE TABLE item (x)")))
        with pytest.raises(ProjectError, match="already exists"):
            Project.open(project.folder)
    assert schema_of(project.path) == (["first", "notes"], 6)  # the one before it stands, its own DELETE does not
    released(monkeypatch, NOTES)
    Project.open(project.folder).close()


def test_a_migration_that_is_killed_halfway_leaves_no_trace(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    fork: Callable[[Callable[[], object]], int],
    exit_status: Callable[[int], int],
) -> None:
    def die_at_commit() -> None:
        released(monkeypatch, NOTES)
        event.listen(Engine, "commit", die_if_migrated)
        Project.open(project.folder)

    def die_if_migrated(connection: Connection) -> None:
        if connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'note'")):
            os.kill(os.getpid(), signal.SIGKILL)

    project.close()
    assert exit_status(fork(die_at_commit)) == -signal.SIGKILL
    assert schema_of(project.path) == (["first"], -1)
    released(monkeypatch, NOTES)
    Project.open(project.folder).close()
    assert schema_of(project.path) == (["first", "notes"], 6)


def test_a_project_of_a_newer_asktell_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    with monkeypatch.context() as newer:
        released(newer, NOTES)
        Project.open(project.folder).close()
    with pytest.raises(ProjectError, match=r"schema 2 .* up to 1: upgrade asktell"):
        Project.open(project.folder)
