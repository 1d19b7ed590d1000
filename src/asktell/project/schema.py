"""What a project's database holds: the states, the tables, and the SQL that makes them.

`schema`, `migrations`, `database` and `backup` are the only files that speak SQLite's own dialect; everything else
is SQLAlchemy Core.
"""

from enum import StrEnum

from sqlalchemy import Float, Integer, String, column, table


class ItemState(StrEnum):
    """Where an item stands. The newest answer decides between labelled and skipped.

        free ────────▶ pending ────────▶ labelled
         ▲     record     │    a class    │    ▲
         │           SKIP │          SKIP │    │
         │  release       ▼               │    │
         └───────────── skipped ◀─────────┘    │
                           └───────────────────┘
                                  a class

    An answer for a free item (nobody asked, or late after a release) leads straight to labelled or skipped.
    `withdraw` leads from every state to withdrawn, which is final.
    """

    FREE = "free"
    PENDING = "pending"
    LABELLED = "labelled"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


class QuestionState(StrEnum):
    """Where a question (one item of one query) stands; open and answered ones count against the budget.

    withdrawn ◀──────── open ────────▶ answered
               withdraw  │    a class   │   ▲
                    SKIP │         SKIP │   │
                         ▼              │   │
                       skipped ◀────────┘   │
                          └─────────────────┘
                                a class
    """

    OPEN = "open"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    WITHDRAWN = "withdrawn"


project = table(
    "project",
    column("id", Integer),
    column("seed", Integer),
    column("budget", Integer),
    column("created", String),
)
class_ = table("class", column("number", Integer), column("name", String), column("merged_into", Integer))
item = table(
    "item",
    column("number", Integer),
    column("id", String),
    column("state", String),
    column("label", Integer),
    column("query", Integer),
)
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
