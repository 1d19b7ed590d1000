import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text

from asktell.errors import ProjectError
from asktell.project import ItemPart, ItemState, Project, migrations
from asktell.project.migrations import Migration
from asktell.project.schema import FIRST, SECOND, THIRD, QuestionState, Reason
from asktell.types import SKIP, Audit, Budget, Candidates, Query

OURS = [migration.name for migration in migrations.MIGRATIONS]
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


@pytest.mark.parametrize("table", ["retraction", "flag", "receipt"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {0} SET {1} = 7",
        "DELETE FROM {0}",
        "REPLACE INTO {0} SELECT * FROM {0}",
    ],
)
def test_so_are_retractions_flags_and_receipts(
    project: Project, raw: sqlite3.Connection, table: str, change: str
) -> None:
    project.flag("a", "ann")
    project.take_back("ann", receipt="r-1")
    change = change.format(table, "item" if table == "receipt" else "number")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(change)


def test_no_answer_is_taken_back_twice(project: Project, raw: sqlite3.Connection) -> None:
    project.take_back("ann")
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE.*retraction\.annotation"):
        raw.execute("INSERT INTO retraction (annotation, reason, created) VALUES (1, 'taken back', 'now')")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET state = 'lost'",
        "UPDATE item SET state = 'labelled' WHERE id = 'c'",  # without a label
        "UPDATE item SET state = 'pending' WHERE id = 'c'",  # without a query
        "UPDATE item SET id = ''",
        "UPDATE question SET state = 'lost'",
        "UPDATE question SET item = 99",
        "UPDATE item SET part = 'lost'",
        "UPDATE item SET part = 'audit'",  # without a key
        "UPDATE item SET audit_key = 'ff'",  # not reserved
        "UPDATE project SET audit = 1.0",
        "INSERT INTO content VALUES (99, 'of no item')",
        "INSERT INTO retraction (annotation, reason, created) VALUES (1, 'a whim', 'now')",
        "INSERT INTO retraction (annotation, reason, created) VALUES (99, 'taken back', 'now')",
        "INSERT INTO receipt VALUES ('ann', 'r-1', 99, NULL)",
        "INSERT INTO receipt VALUES ('ann', 'r-1', 1, 99)",
        "INSERT INTO receipt VALUES ('ann', 'r-1', 1, 1), ('ann', 'r-1', 2, 1)",
        "INSERT INTO item (id) VALUES ('a')",
        "INSERT INTO item (id, state) VALUES (x'00', 'free')",  # STRICT: no blobs where text belongs
        "INSERT INTO class (name) VALUES ('owl')",
        "INSERT INTO project (id, seed, created) SELECT 2, seed, created FROM project",
    ],
)
def test_the_database_itself_refuses_states_that_cannot_be(raw: sqlite3.Connection, change: str) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        raw.execute(change)


def test_an_item_is_pending_in_one_query_at_a_time(raw: sqlite3.Connection) -> None:
    raw.execute(
        "INSERT INTO query (number, strategy, seed, report, created) SELECT 1, strategy, seed, report, 'now' FROM query"
    )
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE.*question\.item"):
        raw.execute("INSERT INTO question (query, position, item, score) VALUES (1, 0, 2, 0.0)")


@pytest.mark.parametrize(
    ("table", "states"),
    [("item", ItemState), ("question", QuestionState), ("retraction", Reason)],
)
def test_the_checked_states_are_those_of_the_enum(raw: sqlite3.Connection, table: str, states: type[StrEnum]) -> None:
    (sql,) = raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", [table]).fetchone()
    assert f"({', '.join(repr(state.value) for state in states)})" in sql
    if table == "item":
        assert " OR ".join(f"part = '{part}'" for part in ItemPart) in sql


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
        assert schema_of(project.path) == ([*OURS, "notes"], 6)


def test_a_new_project_has_the_newest_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released(monkeypatch, NOTES)
    Project.create(tmp_path, ["a"], classes=["owl"]).close()
    assert schema_of(tmp_path / "project.db") == ([*OURS, "notes"], 0)


def test_a_migration_that_fails_halfway_leaves_no_trace(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    with monkeypatch.context() as broken:
        released(broken, NOTES, Migration("broken", ("DELETE FROM note", "CREATE TABLE item (x)")))
        with pytest.raises(ProjectError, match="already exists"):
            Project.open(project.folder)
    assert schema_of(project.path) == ([*OURS, "notes"], 6)  # the one before it stands, its own DELETE does not
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
    assert schema_of(project.path) == (OURS, -1)
    released(monkeypatch, NOTES)
    Project.open(project.folder).close()
    assert schema_of(project.path) == ([*OURS, "notes"], 6)


def test_a_project_of_a_newer_asktell_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.close()
    with monkeypatch.context() as newer:
        released(newer, NOTES)
        Project.open(project.folder).close()
    with pytest.raises(ProjectError, match=rf"schema {len(OURS) + 1} .* up to {len(OURS)}: upgrade asktell"):
        Project.open(project.folder)


# A project of the first schema ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statements", "digest"),
    [(FIRST, "214ac14416fba901"), (SECOND, "9f17aa18a1b4817b"), (THIRD, "6a02d914d9384229")],
    ids=["first", "second", "third"],
)
def test_migrations_are_never_edited(statements: tuple[str, ...], digest: str) -> None:
    assert sha256("\0".join(statements).encode()).hexdigest()[:16] == digest


OLD = """
INSERT INTO project VALUES (1, 7, 10, 'then');
INSERT INTO class VALUES (1, 'owl', NULL), (2, 'wren', NULL), (3, 'oul', 1);
INSERT INTO query VALUES
    (0, '{"name": "bald"}', 7, 'm', '{}', 'then'), (1, '{"name": "random"}', 7, NULL, '{}', 'then');
INSERT INTO item VALUES
    (1, 'free', 'free', NULL, NULL), (2, 'pending', 'pending', NULL, 0), (3, 'answered', 'labelled', 1, 0),
    (4, 'imported', 'labelled', 3, NULL), (5, 'skipped', 'skipped', NULL, 0), (6, 'withdrawn', 'withdrawn', NULL, 0),
    (7, 'released', 'free', NULL, 0), (8, 'asked again', 'pending', NULL, 1), (9, 'bought late', 'labelled', 2, 1);
INSERT INTO question VALUES
    (0, 0, 2, 1.0, NULL, 'open'), (0, 1, 3, 0.9, NULL, 'answered'), (0, 2, 5, 0.8, NULL, 'skipped'),
    (0, 3, 6, 0.7, NULL, 'withdrawn'), (0, 4, 7, 0.6, NULL, 'skipped'), (0, 5, 8, 0.5, NULL, 'skipped'),
    (0, 6, 9, 0.4, NULL, 'skipped'), (1, 0, 8, 1.0, 0.5, 'open'), (1, 1, 9, 1.0, 0.5, 'answered');
INSERT INTO annotation VALUES
    (1, 3, 'bob', 2, 0, 'then'), (2, 3, 'ann', 1, 0, 'then'), (3, 4, 'import', 3, NULL, 'then'),
    (4, 5, 'ann', NULL, 0, 'then'), (5, 7, 'ann', NULL, 0, 'then'), (6, 8, 'ann', NULL, 0, 'then'),
    (7, 9, 'ann', NULL, 0, 'then'), (8, 9, 'ann', 2, 1, 'then');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """As asktell 0.1.0 left it: every state, a merged class, a correction, and skips that were released."""
    with closing(sqlite3.connect(tmp_path / "project.db")) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for statement in migrations.MIGRATIONS[0].statements:
            connection.execute(statement)
        connection.executescript(f"{OLD}; INSERT INTO migration VALUES (1, 'first', 'then')")
    return tmp_path


def test_a_project_of_the_first_schema_is_upgraded(old: Path) -> None:
    with Project.open(old) as project:
        labels = {"answered": "owl", "imported": "owl", "bought late": "wren"}
        assert project.candidates() == Candidates(
            ("free", "released"), tuple(labels), tuple(labels.values()), ("pending", "asked again")
        )
        assert (project.labels, project.skipped) == (labels, ("skipped",))
        assert project.budget == Budget(10, spent=2, pending=2)
        assert (project.audit, project.next_audit(9), project.held_out) == (Audit(0.0), (), {})
        status = project.status()
        assert status.states == {"free": 2, "pending": 2, "labelled": 3, "skipped": 1, "withdrawn": 1}
        assert (status.labels, status.unanswered, status.flagged) == ({"owl": 2, "wren": 1}, 2, 0)
        assert [one.item for one in project.questions()] == ["pending", "asked again"]
        assert project.n_closed_questions == 6
        assert (project.settings, project.trainings, project.flagged) == ({}, (), ())
        assert project.contents(["free"]) == {}
    assert schema_of(old / "project.db") == (OURS, -1)


def test_answers_of_the_first_schema_can_be_taken_back(old: Path) -> None:
    with Project.open(old) as project:
        told = {id_: [one.stands for one in project.annotations(id_)] for id_ in project.ids}
        overruled = {"released": [False], "asked again": [False], "bought late": [False, True]}
        assert told == {
            **{"free": [], "pending": [], "withdrawn": []},
            **{"answered": [True, True], "imported": [True], "skipped": [True]},
            **overruled,
        }
        assert [project.take_back("ann") for _ in range(3)] == ["bought late", "skipped", "answered"]
        with pytest.raises(ProjectError, match="no answer of 'ann' left"):
            project.take_back("ann")
        assert project.labels == {"answered": "wren", "imported": "owl"}
        assert project.candidates().pending_ids == ("pending", "skipped", "asked again", "bought late")
        assert project.take_back("import") == "imported"
        assert project.candidates().ids == ("free", "imported", "released")


def test_what_the_database_counts_is_what_there_is(old: Path) -> None:
    with Project.open(old) as project:
        project.add_items(["new"])
        project.tell(["free", "asked again"], ["owl", SKIP], "ann")
        project.take_back("ann")
        project.withdraw(["skipped", "pending"])
        project.release_skipped()
    with closing(sqlite3.connect(old / "project.db")) as connection:
        for kept, counted in (
            ("item_count", "SELECT part, state, coalesce(label, 0), count(*) FROM item GROUP BY 1, 2, 3"),
            ("question_count", "SELECT state, count(*) FROM question GROUP BY 1"),
        ):
            rows = {row for row in connection.execute(f"SELECT * FROM {kept}") if row[-1]}
            assert rows == set(connection.execute(counted))
