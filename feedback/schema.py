"""The tables of the log and their numbered migrations. A migration is appended, never edited.

Tables are append-only; the current state is a view. Every time is naive UTC. `input` and `output` are JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import duckdb

from feedback import rollup
from feedback.errors import Conflict
from feedback.records import now


class Migration(NamedTuple):
    """One step forward; `number` counts from 1 without gaps."""

    number: int
    name: str
    apply: Callable[[duckdb.DuckDBPyConnection], None]


_TABLES = """
CREATE TABLE exposures (
    experiment VARCHAR NOT NULL, experiment_number INTEGER NOT NULL, contributor VARCHAR NOT NULL,
    variant VARCHAR NOT NULL, version INTEGER NOT NULL, propensity DOUBLE NOT NULL,
    channel VARCHAR NOT NULL, language VARCHAR NOT NULL, device VARCHAR NOT NULL, created TIMESTAMP NOT NULL,
    PRIMARY KEY (experiment, experiment_number, contributor));
CREATE TABLE predictions (
    id VARCHAR PRIMARY KEY, contributor VARCHAR NOT NULL, experiment VARCHAR NOT NULL, experiment_number INTEGER NOT NULL,
    variant VARCHAR NOT NULL, version INTEGER NOT NULL, input JSON NOT NULL, input_hash VARCHAR NOT NULL,
    output JSON NOT NULL, confidence DOUBLE NOT NULL, latency_ms DOUBLE NOT NULL, forced BOOLEAN NOT NULL,
    channel VARCHAR NOT NULL, network VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE corrections (
    id VARCHAR NOT NULL UNIQUE, prediction_id VARCHAR NOT NULL, contributor VARCHAR NOT NULL, output JSON NOT NULL,
    confirmation BOOLEAN NOT NULL, comment VARCHAR NOT NULL, created TIMESTAMP NOT NULL,
    PRIMARY KEY (prediction_id, contributor));
CREATE TABLE reviews (
    id VARCHAR PRIMARY KEY, correction_id VARCHAR NOT NULL, verdict VARCHAR NOT NULL, output JSON,
    reviewer VARCHAR NOT NULL, reason VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE withdrawals (
    correction_id VARCHAR PRIMARY KEY, contributor VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE experiments (
    name VARCHAR NOT NULL, number INTEGER NOT NULL, state VARCHAR NOT NULL, variants JSON NOT NULL,
    primary_metric VARCHAR NOT NULL, rule VARCHAR NOT NULL, n_max INTEGER NOT NULL, alpha DOUBLE NOT NULL,
    salt VARCHAR NOT NULL, hypothesis VARCHAR NOT NULL, author VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL, PRIMARY KEY (name, number));
CREATE TABLE promotions (
    id VARCHAR PRIMARY KEY, version INTEGER NOT NULL, previous INTEGER, kind VARCHAR NOT NULL,
    author VARCHAR NOT NULL, reason VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE training_runs (
    id VARCHAR NOT NULL, state VARCHAR NOT NULL, snapshot VARCHAR NOT NULL, examples INTEGER NOT NULL, version INTEGER,
    "trigger" VARCHAR NOT NULL, author VARCHAR NOT NULL, detail VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE uses (
    correction_id VARCHAR NOT NULL, version INTEGER NOT NULL, snapshot VARCHAR NOT NULL, part VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL, PRIMARY KEY (correction_id, version));
"""

# A person's verdict outranks a policy's; within each the newest counts. A withdrawal outranks all.
_VIEWS = """
CREATE VIEW current_reviews AS
    SELECT * FROM reviews
    QUALIFY row_number() OVER (PARTITION BY correction_id
        ORDER BY (NOT starts_with(reviewer, 'policy:')) DESC, created DESC, rowid DESC) = 1;
CREATE VIEW current_corrections AS
    SELECT c.id, c.prediction_id, c.contributor, p.input, p.input_hash, p.output AS shown, c.output AS proposed,
        CASE WHEN r.verdict = 'amend' THEN r.output ELSE c.output END AS output,
        CASE WHEN w.correction_id IS NOT NULL THEN 'withdrawn'
             WHEN r.verdict IN ('accept', 'amend') THEN 'accepted'
             WHEN r.verdict = 'reject' THEN 'rejected'
             WHEN r.verdict = 'undecided' THEN 'undecided'
             ELSE 'pending' END AS status,
        c.confirmation, c.comment, coalesce(r.reviewer, '') AS reviewer, coalesce(r.reason, '') AS reason,
        p.confidence, p.experiment, p.experiment_number, p.variant, p.version, p.channel, p.network,
        c.created, r.created AS reviewed
    FROM corrections c JOIN predictions p ON p.id = c.prediction_id
    LEFT JOIN current_reviews r ON r.correction_id = c.id
    LEFT JOIN withdrawals w ON w.correction_id = c.id;
CREATE VIEW current_experiments AS
    SELECT * FROM experiments QUALIFY row_number() OVER (PARTITION BY name ORDER BY number DESC) = 1;
CREATE VIEW current_training_runs AS
    SELECT *, min(created) OVER (PARTITION BY id) AS began FROM training_runs
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY created DESC, rowid DESC) = 1;
CREATE VIEW champion AS
    SELECT * FROM promotions ORDER BY created DESC, rowid DESC LIMIT 1;
"""


def _first(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(_TABLES)
    con.execute(_VIEWS)


_DECLARED = """
ALTER TABLE experiments ADD COLUMN mode VARCHAR DEFAULT 'assigned';
ALTER TABLE experiments ADD COLUMN guardrails JSON DEFAULT '[]';
ALTER TABLE experiments ADD COLUMN segments JSON DEFAULT '["channel", "language", "device"]';
ALTER TABLE experiments ADD COLUMN covariate VARCHAR DEFAULT '';
ALTER TABLE experiments ADD COLUMN coverage DOUBLE DEFAULT 1.0;
ALTER TABLE experiments ADD COLUMN definition VARCHAR DEFAULT '';
ALTER TABLE experiments ADD COLUMN winner VARCHAR DEFAULT '';
ALTER TABLE corrections ADD COLUMN edits DOUBLE;
UPDATE corrections SET edits = 0 WHERE confirmation;
CREATE TABLE pairs (
    id VARCHAR PRIMARY KEY, contributor VARCHAR NOT NULL, experiment VARCHAR NOT NULL, experiment_number INTEGER NOT NULL,
    left_prediction VARCHAR NOT NULL, right_prediction VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE votes (
    pair_id VARCHAR NOT NULL, contributor VARCHAR NOT NULL, choice VARCHAR NOT NULL, created TIMESTAMP NOT NULL,
    PRIMARY KEY (pair_id, contributor));
"""

# Made anew: a view keeps the columns that its tables had when it was made.
_VIEWS_OF_2 = """
DROP VIEW current_experiments;
CREATE VIEW current_experiments AS
    SELECT * FROM experiments QUALIFY row_number() OVER (PARTITION BY name ORDER BY number DESC) = 1;
"""


def _second(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(_DECLARED)
    con.execute(_VIEWS_OF_2)


def _third(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(rollup.TABLES)
    con.execute(rollup.VIEW)


_BELIEVED = """
CREATE TABLE traps (
    input_hash VARCHAR NOT NULL, input JSON NOT NULL, output JSON NOT NULL, source VARCHAR NOT NULL, author VARCHAR NOT NULL,
    active BOOLEAN NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE asked (
    prediction_id VARCHAR PRIMARY KEY, contributor VARCHAR NOT NULL, kind VARCHAR NOT NULL, input_hash VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL);
CREATE TABLE blocks (
    contributor VARCHAR NOT NULL, blocked BOOLEAN NOT NULL, author VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    created TIMESTAMP NOT NULL);
CREATE TABLE erasures (
    id VARCHAR PRIMARY KEY, author VARCHAR NOT NULL, "rows" BIGINT NOT NULL, versions JSON NOT NULL, created TIMESTAMP NOT NULL);
"""

_REVIEWS_OF_4 = """CREATE VIEW current_reviews AS
    SELECT r.* FROM reviews r LEFT JOIN (
        SELECT correction_id, max(created) AS reopened FROM reviews WHERE verdict = 'reopen' GROUP BY correction_id) o
        ON o.correction_id = r.correction_id
    WHERE r.verdict <> 'reopen' AND (o.reopened IS NULL OR starts_with(r.reviewer, 'policy:') OR r.created > o.reopened)
    QUALIFY row_number() OVER (PARTITION BY r.correction_id
        ORDER BY (NOT starts_with(r.reviewer, 'policy:')) DESC, r.created DESC, r.rowid DESC) = 1;
"""

_VIEWS_OF_4 = (
    """
CREATE VIEW current_traps AS
    SELECT * FROM traps QUALIFY row_number() OVER (PARTITION BY input_hash ORDER BY created DESC, rowid DESC) = 1;
CREATE VIEW current_blocks AS
    SELECT * FROM blocks QUALIFY row_number() OVER (PARTITION BY contributor ORDER BY created DESC, rowid DESC) = 1;
DROP VIEW current_corrections;
DROP VIEW current_reviews;
-- A person who reopens gives the word back to the policy: what people said before counts no more.
"""
    + _REVIEWS_OF_4
    + """CREATE VIEW current_corrections AS
    SELECT c.id, c.prediction_id, c.contributor, p.input, p.input_hash, p.output AS shown, c.output AS proposed,
        CASE WHEN r.verdict = 'amend' THEN r.output ELSE c.output END AS output,
        CASE WHEN w.correction_id IS NOT NULL THEN 'withdrawn'
             WHEN r.verdict IN ('accept', 'amend') THEN 'accepted'
             WHEN r.verdict = 'reject' THEN 'rejected'
             WHEN r.verdict = 'undecided' THEN 'undecided'
             ELSE 'pending' END AS status,
        c.confirmation, c.comment, coalesce(r.reviewer, '') AS reviewer, coalesce(r.reason, '') AS reason,
        p.confidence, p.experiment, p.experiment_number, p.variant, p.version, p.channel, p.network,
        c.created, r.created AS reviewed, c.edits
    FROM corrections c JOIN predictions p ON p.id = c.prediction_id
    LEFT JOIN current_reviews r ON r.correction_id = c.id
    LEFT JOIN withdrawals w ON w.correction_id = c.id;
"""
)


def _fourth(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(_BELIEVED)
    con.execute(_VIEWS_OF_4)


_VIEWS_OF_5 = (
    """
DROP VIEW current_corrections;
DROP VIEW current_reviews;
"""
    + _REVIEWS_OF_4
    + """CREATE VIEW current_corrections AS
    SELECT c.id, c.prediction_id, c.contributor, p.input, p.input_hash, p.output AS shown, c.output AS proposed,
        CASE WHEN r.verdict = 'amend' THEN r.output ELSE c.output END AS output,
        CASE WHEN w.correction_id IS NOT NULL THEN 'withdrawn'
             WHEN r.verdict IN ('accept', 'amend') THEN 'accepted'
             WHEN r.verdict = 'reject' THEN 'rejected'
             WHEN r.verdict = 'undecided' THEN 'undecided'
             ELSE 'pending' END AS status,
        c.confirmation, c.comment, coalesce(r.reviewer, '') AS reviewer, coalesce(r.reason, '') AS reason,
        p.confidence, p.experiment, p.experiment_number, p.variant, p.version, p.channel, p.network,
        c.created, r.created AS reviewed, c.edits, r.probability
    FROM corrections c JOIN predictions p ON p.id = c.prediction_id
    LEFT JOIN current_reviews r ON r.correction_id = c.id
    LEFT JOIN withdrawals w ON w.correction_id = c.id;
"""
)


def _fifth(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("ALTER TABLE reviews ADD COLUMN probability DOUBLE")
    con.execute(_VIEWS_OF_5)


_WATCHED = """
CREATE TABLE feed_items (
    id VARCHAR PRIMARY KEY, prediction_id VARCHAR NOT NULL UNIQUE, source VARCHAR NOT NULL, published TIMESTAMP NOT NULL,
    link VARCHAR NOT NULL, created TIMESTAMP NOT NULL);
CREATE TABLE warnings (
    id VARCHAR NOT NULL, state VARCHAR NOT NULL, kind VARCHAR NOT NULL, topic VARCHAR NOT NULL, sentiment VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL, raised TIMESTAMP NOT NULL, seen INTEGER NOT NULL, items INTEGER NOT NULL,
    expected DOUBLE NOT NULL, evidence DOUBLE NOT NULL, threshold DOUBLE NOT NULL, version INTEGER NOT NULL,
    author VARCHAR NOT NULL, reason VARCHAR NOT NULL, created TIMESTAMP NOT NULL, PRIMARY KEY (id, state));
CREATE VIEW current_warnings AS
    SELECT *, min(created) OVER (PARTITION BY id) AS noticed FROM warnings
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY created DESC, rowid DESC) = 1;
"""


def _sixth(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(_WATCHED)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(1, "tables and views of the first version", _first),
    Migration(2, "experiments declared in full, side-by-side pairs, edits of a correction", _second),
    Migration(3, "what each user did on each day, rolled up", _third),
    Migration(4, "traps, second opinions, blocks, erasures; a verdict can be taken back", _fourth),
    Migration(5, "how probably what a policy accepted is right", _fifth),
    Migration(6, "items of feeds, and early warnings", _sixth),
)


def migrate(con: duckdb.DuckDBPyConnection, name: str, before: Callable[[int], None]) -> bool:
    """Bring a log to the newest migration, each in a transaction of its own; return whether one was applied.

    `before(number)` is called before the first of them changes a log that holds something. Raises Conflict, with the log's
    `name`, for a log that is newer than this program.
    """
    con.execute("CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
    row = con.execute("SELECT coalesce(max(number), 0) FROM migrations").fetchone()
    have = int(row[0]) if row else 0
    if have > MIGRATIONS[-1].number:
        raise Conflict(f"{name}: written by a newer Amend (migration {have}, known up to {MIGRATIONS[-1].number})")
    waiting = [m for m in MIGRATIONS if m.number > have]
    if waiting and have:
        before(waiting[0].number)
    for migration in waiting:
        con.execute("BEGIN")
        try:
            migration.apply(con)
            con.execute("INSERT INTO migrations VALUES (?, ?, ?)", [migration.number, migration.name, now()])
            con.execute("COMMIT")
        except duckdb.Error:
            con.execute("ROLLBACK")
            raise
    return bool(waiting)


TABLES = (
    "exposures",
    "predictions",
    "corrections",
    "pairs",
    "votes",
    "traps",
    "asked",
    "blocks",
    "erasures",
    "reviews",
    "withdrawals",
    "experiments",
    "promotions",
    "training_runs",
    "uses",
    "feed_items",
    "warnings",
)
VIEWS = (
    "current_traps",
    "current_blocks",
    "current_corrections",
    "current_reviews",
    "current_experiments",
    "current_training_runs",
    "current_warnings",
    "champion",
)
