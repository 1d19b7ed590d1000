"""What a project's database holds: the states, the tables, and the SQL that makes them.

`schema`, `migrations`, `database` and `backup` are the only files that speak SQLite's own dialect; everything else
is SQLAlchemy Core.
"""

from enum import StrEnum

from sqlalchemy import ColumnElement, Float, Integer, String, column, exists, literal, table


class ItemState(StrEnum):
    """Where an item stands. Of the answers that stand, the newest decides between labelled and skipped.

        free ────────▶ pending ────────▶ labelled
         ▲     record     │    a class    │    ▲
         │           SKIP │          SKIP │    │
         │  release       ▼               │    │
         └───────────── skipped ◀─────────┘    │
                           └───────────────────┘
                                  a class

    An answer for a free item (nobody asked, or late after a release) leads straight to labelled or skipped.
    `release` ends the standing of a skip. `withdraw` leads from every state to withdrawn, which is final.

        labelled ┐ take_back  ┌▶ labelled, skipped    by another answer that stands
                 ├────────────┼▶ pending              none stands, and it was asked
        skipped  ┘            └▶ free                 none stands, and nobody asked since it was free
    """

    FREE = "free"
    PENDING = "pending"
    LABELLED = "labelled"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


class ItemPart(StrEnum):
    """What an item is for: asked by strategies and trained on, or kept apart to measure accuracy.

        pool ◀─────────── audit
         │      fold_in     │
         │ hold_out         │ hold_out
         └──────▶ held-out ◀┘

    New items are reserved for the audit by the hash of their id, see `audit.keys`. Held-out is final.
    """

    POOL = "pool"
    AUDIT = "audit"
    HELD_OUT = "held-out"


class QuestionState(StrEnum):
    """Where a question (one item of one query) stands; open and answered ones count against the budget.

    withdrawn ◀──────── open ────────▶ answered
               withdraw  │    a class   │   ▲
                    SKIP │         SKIP │   │
                         ▼              │   │
                       skipped ◀────────┘   │
                          └─────────────────┘
                                a class

        answered ┐ take_back  ┌▶ answered, skipped    as its item is labelled or skipped by another answer
                 ├────────────┼▶ open                 its item is pending again
        skipped  ┘            └▶ skipped              its item is free again, as a release had left it
    """

    OPEN = "open"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


class Reason(StrEnum):
    """Why an answer no longer stands."""

    TAKEN_BACK = "taken back"
    RELEASED = "released"


project = table(
    "project",
    column("id", Integer),
    column("seed", Integer),
    column("budget", Integer),
    column("created", String),
    column("audit", Float),
)
class_ = table("class", column("number", Integer), column("name", String), column("merged_into", Integer))
item = table(
    "item",
    column("number", Integer),
    column("id", String),
    column("state", String),
    column("label", Integer),
    column("query", Integer),
    column("part", String),
    column("audit_key", String),
)
content = table("content", column("item", Integer), column("text", String))
query = table(
    "query",
    column("number", Integer),
    column("strategy", String),
    column("seed", Integer),
    column("model", String),
    column("report", String),
    column("created", String),
)
question = table(
    "question",
    column("query", Integer),
    column("position", Integer),
    column("item", Integer),
    column("score", Float),
    column("probability", Float),
    column("state", String),
    column("audit", Integer),
)
annotation = table(
    "annotation",
    column("number", Integer),
    column("item", Integer),
    column("annotator", String),
    column("label", Integer),
    column("query", Integer),
    column("created", String),
)

retraction = table(
    "retraction",
    column("number", Integer),
    column("annotation", Integer),
    column("reason", String),
    column("created", String),
)
receipt = table(
    "receipt",
    column("annotator", String),
    column("receipt", String),
    column("item", Integer),
    column("annotation", Integer),
)
flag = table(
    "flag",
    column("number", Integer),
    column("item", Integer),
    column("annotator", String),
    column("flagged", Integer),
    column("created", String),
)
setting = table("setting", column("name", String), column("value", String))
training = table(
    "training",
    column("number", Integer),
    column("model", String),
    column("n_labelled", Integer),
    column("started", String),
    column("seconds", Float),
    column("report", String),
    column("error", String),
)
item_count = table(
    "item_count", column("part", String), column("state", String), column("label", Integer), column("n", Integer)
)
question_count = table("question_count", column("state", String), column("n", Integer))

standing: ColumnElement[bool] = ~exists().where(retraction.c.annotation == annotation.c.number)
"""SQL: the annotation decides, because it was neither taken back nor overruled by a release."""


def exactly(state: StrEnum) -> ColumnElement[str]:
    """SQL: a state written out, as an index on the items of that state alone needs it."""
    return literal(state.value, literal_execute=True)


FIRST: tuple[str, ...] = (
    """CREATE TABLE project (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        seed INTEGER NOT NULL,
        budget INTEGER CHECK (budget >= 0),
        created TEXT NOT NULL
    ) STRICT""",
    # A merged class keeps its row, so that old annotations stay valid; merged_into never leads to a merged class.
    """CREATE TABLE class (
        number INTEGER PRIMARY KEY,
        name TEXT NOT NULL CHECK (name <> ''),
        merged_into INTEGER REFERENCES class (number) CHECK (merged_into <> number)
    ) STRICT""",
    "CREATE UNIQUE INDEX class_name ON class (name) WHERE merged_into IS NULL",
    """CREATE TABLE query (
        number INTEGER PRIMARY KEY CHECK (number >= 0),
        strategy TEXT NOT NULL,
        seed INTEGER NOT NULL,
        model TEXT,
        report TEXT NOT NULL,
        created TEXT NOT NULL
    ) STRICT""",
    # `query` is the newest query that asked for the item.
    """CREATE TABLE item (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE CHECK (id <> ''),
        state TEXT NOT NULL DEFAULT 'free'
            CHECK (state IN ('free', 'pending', 'labelled', 'skipped', 'withdrawn')),
        label INTEGER REFERENCES class (number),
        query INTEGER REFERENCES query (number),
        CHECK ((state = 'labelled') = (label IS NOT NULL)),
        CHECK (state <> 'pending' OR query IS NOT NULL)
    ) STRICT""",
    "CREATE INDEX item_state ON item (state)",
    "CREATE INDEX item_label ON item (label) WHERE label IS NOT NULL",
    """CREATE TABLE question (
        query INTEGER NOT NULL REFERENCES query (number),
        position INTEGER NOT NULL CHECK (position >= 0),
        item INTEGER NOT NULL REFERENCES item (number),
        score REAL NOT NULL,
        probability REAL,
        state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered', 'skipped', 'withdrawn')),
        PRIMARY KEY (query, position),
        UNIQUE (query, item)
    ) STRICT""",
    "CREATE INDEX question_state ON question (state)",
    # Nothing is pending twice.
    "CREATE UNIQUE INDEX question_open ON question (item) WHERE state = 'open'",
    # label NULL is SKIP; query NULL is an answer that nobody asked for.
    """CREATE TABLE annotation (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        item INTEGER NOT NULL REFERENCES item (number),
        annotator TEXT NOT NULL CHECK (annotator <> ''),
        label INTEGER REFERENCES class (number),
        query INTEGER REFERENCES query (number),
        created TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX annotation_item ON annotation (item)",
    """CREATE TRIGGER annotation_is_never_changed BEFORE UPDATE ON annotation
        BEGIN SELECT RAISE(ABORT, 'annotations are append-only: a correction is a new annotation'); END""",
    """CREATE TRIGGER annotation_is_never_deleted BEFORE DELETE ON annotation
        BEGIN SELECT RAISE(ABORT, 'annotations are append-only: a correction is a new annotation'); END""",
)
"""The first migration. Once released, it is never edited: a change is a new migration."""


def _append_only(table: str, why: str) -> tuple[str, str]:
    """Triggers against changing and deleting the rows of a table."""
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table}s are append-only: {why}'); END"
    return (
        f"CREATE TRIGGER {table}_is_never_changed BEFORE UPDATE ON {table} {refusal}",
        f"CREATE TRIGGER {table}_is_never_deleted BEFORE DELETE ON {table} {refusal}",
    )


SECOND: tuple[str, ...] = (
    "ALTER TABLE project ADD COLUMN audit REAL NOT NULL DEFAULT 0 CHECK (audit >= 0 AND audit < 1)",
    "ALTER TABLE question ADD COLUMN audit INTEGER NOT NULL DEFAULT 0 CHECK (audit IN (0, 1))",
    # OR, because SQLite makes a table of an IN list anew for every row.
    """ALTER TABLE item ADD COLUMN part TEXT NOT NULL DEFAULT 'pool'
        CHECK (part = 'pool' OR part = 'audit' OR part = 'held-out')""",
    "ALTER TABLE item ADD COLUMN audit_key TEXT CHECK ((part = 'audit') = (audit_key IS NOT NULL))",
    "CREATE INDEX item_audit ON item (state, audit_key) WHERE part = 'audit'",
    "CREATE INDEX item_held_out ON item (state) WHERE part = 'held-out'",
    # What an item is: a text, the place of a file, a row. Apart from the items, which are read often.
    "CREATE TABLE content (item INTEGER PRIMARY KEY REFERENCES item (number), text TEXT NOT NULL) STRICT",
    "CREATE INDEX question_waiting ON question (query, position) WHERE state = 'open'",
    "CREATE INDEX question_audit ON question (query, position) WHERE state = 'open' AND audit = 1",
    "CREATE INDEX annotation_annotator ON annotation (annotator)",
    # An annotation without a row here stands.
    """CREATE TABLE retraction (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        annotation INTEGER NOT NULL UNIQUE REFERENCES annotation (number),
        reason TEXT NOT NULL CHECK (reason IN ('taken back', 'released')),
        created TEXT NOT NULL
    ) STRICT""",
    # Answers from before the newest question, and to items that are free or pending, were overruled by a release.
    """INSERT INTO retraction (annotation, reason, created)
        SELECT annotation.number, 'released', strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')
        FROM annotation JOIN item ON item.number = annotation.item
        WHERE annotation.query IS NOT item.query OR item.state IN ('free', 'pending')
        ORDER BY annotation.number""",
    *_append_only("retraction", "an answer that was taken back is given again"),
    """CREATE TABLE flag (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        item INTEGER NOT NULL REFERENCES item (number),
        annotator TEXT NOT NULL CHECK (annotator <> ''),
        flagged INTEGER NOT NULL CHECK (flagged IN (0, 1)),
        created TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX flag_item ON flag (item)",
    *_append_only("flag", "the newest decides"),
    "CREATE TABLE setting (name TEXT PRIMARY KEY CHECK (name <> ''), value TEXT NOT NULL) STRICT",
    """CREATE TABLE training (
        number INTEGER PRIMARY KEY CHECK (number >= 0),
        model TEXT,
        n_labelled INTEGER NOT NULL CHECK (n_labelled >= 0),
        started TEXT NOT NULL,
        seconds REAL NOT NULL CHECK (seconds >= 0),
        report TEXT NOT NULL,
        error TEXT
    ) STRICT""",
    # Kept by `counts`, so that nothing is read to count it. `label` 0 is none.
    """CREATE TABLE item_count (
        part TEXT NOT NULL,
        state TEXT NOT NULL,
        label INTEGER NOT NULL,
        n INTEGER NOT NULL CHECK (n >= 0),
        PRIMARY KEY (part, state, label)
    ) STRICT""",
    "INSERT INTO item_count SELECT part, state, coalesce(label, 0), count(*) FROM item GROUP BY 1, 2, 3",
    """CREATE TABLE question_count (
        state TEXT PRIMARY KEY,
        n INTEGER NOT NULL CHECK (n >= 0)
    ) STRICT""",
    "INSERT INTO question_count SELECT state, count(*) FROM question GROUP BY 1",
    "DROP INDEX item_label",
    "DROP INDEX question_state",
)
"""The second migration: what a running project needs."""

THIRD: tuple[str, ...] = (
    # What was sent under this id has been done. `annotation` is the answer that was given or taken back; NULL for a
    # flag, and for an answer that changed nothing.
    """CREATE TABLE receipt (
        annotator TEXT NOT NULL CHECK (annotator <> ''),
        receipt TEXT NOT NULL CHECK (receipt <> ''),
        item INTEGER NOT NULL REFERENCES item (number),
        annotation INTEGER REFERENCES annotation (number),
        PRIMARY KEY (annotator, receipt)
    ) STRICT, WITHOUT ROWID""",
    *_append_only("receipt", "what was done once is not done again"),
)
"""The third migration: what is sent again is known again, whatever crashed meanwhile."""
