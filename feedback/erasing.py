"""Erase what a contributor gave: from the log, snapshots, backups and cards. What learned from it is named, not unlearned.

An erasure is written down before it begins (a file of mode 600 among the secrets) and struck out when all is done, so
one that a kill cut short is finished at the next start. The log keeps an Erasure: how many rows, which versions, no id.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from feedback import rollup
from feedback.errors import NotFound
from feedback.home import Home, write_atomically
from feedback.kept_copies import erase_from_copies, erase_from_runs, erase_from_snapshots, partials_of, snapshots_with
from feedback.records import Erasure, new_id, now, text_of
from feedback.rewriting import rows_in
from feedback.store import Store

SELF = "contributor"
"""Author of an erasure that its contributor asked for."""
TABLES_OF_CONTRIBUTOR = ("exposures", "predictions", "corrections", "pairs", "votes", "asked", "withdrawals", "blocks")
_PLANS = "erasing"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What one erasure is to remove. `hashes` are of inputs that nobody but this contributor wrote, and `texts` those inputs.

    `spoken` are (input_hash, input as JSON) of other inputs that they spoke on: what is believed there is judged anew.
    """

    id: str
    contributor: str
    author: str
    corrections: tuple[str, ...]
    hashes: tuple[str, ...]
    texts: tuple[str, ...]
    spoken: tuple[tuple[str, str], ...]
    versions: tuple[int, ...]
    created: str


class Erased(NamedTuple):
    """What an erasure did. `rows`: of the log; `copies`: backups rewritten; `left`: copies that could not be, and why."""

    id: str
    rows: int
    versions: tuple[int, ...]
    snapshots: int
    copies: int
    left: tuple[str, ...]


class Cards(Protocol):
    """What is needed of the model versions: their cards name contributors and show texts that the gate found worsened."""

    def forget(self, erasure: str, contributor: str, hashes: frozenset[str], learned: tuple[int, ...]) -> None:
        """Take the contributor and these inputs out of every card; note the erasure on those that had learned from them."""


class NoCards:
    """For a command beside no app: cards are looked after when the app starts and resumes the plan."""

    def forget(self, erasure: str, contributor: str, hashes: frozenset[str], learned: tuple[int, ...]) -> None:
        """Do nothing."""


class Eraser:
    """Erases one contributor at a time. Safe to use from many threads.

    `reconsider(input_hash, input)` judges an input anew after somebody who spoke on it is gone. `interrupt(snapshots)`
    ends a training that reads one of these snapshots: it may hold rows that are about to go.
    """

    def __init__(
        self,
        home: Home,
        store: Store,
        cards: Cards,
        reconsider: Callable[[str, str], object],
        interrupt: Callable[[frozenset[str]], object] = lambda _: None,
        lock: threading.Lock | None = None,
    ) -> None:
        self._home = home
        self._store = store
        self._cards = cards
        self._reconsider = reconsider
        self._interrupt = interrupt
        # One erasure, or one look of the retention, at a time; and no training begins or ends in the midst of it.
        self.lock = lock or threading.Lock()

    def erase(self, contributor: str, author: str = SELF) -> Erased:
        """Erase everything this contributor gave. Raises NotFound where the log has nothing of them, StorageFull.

        What goes: their rows in every table, judgements on them, traps made of their texts, and other contributors'
        answers to a text that they alone wrote and others were asked about. What others wrote in the same words stays.
        """
        with self.lock:
            if not any(count_of(self._store, contributor).values()):
                raise NotFound(f"nothing in the log is of contributor {contributor[:60]!r}", code="nothing_given")
            plan = self._plan(contributor, author)
            path = self._home.secrets / f"{_PLANS}-{plan.id}.json"
            write_atomically(path, json.dumps(asdict(plan), ensure_ascii=False), 0o600)
            done = self._carry_out(plan)
            if isinstance(self._cards, NoCards):
                rest = replace(plan, texts=(), spoken=())  # the cards are left for the next start, and need no text
                write_atomically(path, json.dumps(asdict(rest)), 0o600)
            else:
                path.unlink()
            return done

    def resume(self) -> int:
        """Finish the erasures that were cut short; return how many. Called when the app starts."""
        with self.lock:
            paths = sorted(self._home.secrets.glob(f"{_PLANS}-*.json"))
            for path in paths:
                raw = json.loads(path.read_text(encoding="utf-8"))
                kept: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
                self._carry_out(Plan(**kept))
                path.unlink()
            return len(paths)

    def all(self) -> list[dict[str, Any]]:
        """Return the erasures so far, newest first."""
        rows = self._store.rows("SELECT * FROM erasures ORDER BY created DESC")
        return [{**row, "versions": json.loads(row["versions"])} for row in rows]

    def _plan(self, contributor: str, author: str) -> Plan:
        def column(sql: str) -> tuple[Any, ...]:
            return tuple(next(iter(row.values())) for row in self._store.rows(f"{_GOING}{sql}", [contributor]))

        corrections = column("SELECT id FROM going_corrections ORDER BY id")
        texts = column("SELECT DISTINCT input::VARCHAR FROM predictions WHERE input_hash IN (FROM own_hashes) ORDER BY 1")
        versions = column(
            """SELECT DISTINCT version FROM uses WHERE part = 'train' AND correction_id IN (SELECT id FROM going_corrections)
               ORDER BY version"""
        )
        spoken = self._store.rows(
            f"""{_GOING} SELECT DISTINCT p.input_hash, p.input::VARCHAR AS input
                FROM predictions p JOIN corrections c ON c.prediction_id = p.id
                WHERE c.contributor = $1 AND p.input_hash NOT IN (FROM own_hashes) ORDER BY 1, 2""",
            [contributor],
        )
        return Plan(
            new_id("e"), contributor, author, corrections, column("SELECT input_hash FROM own_hashes ORDER BY 1"),
            tuple(text_of(json.loads(text)) for text in texts), tuple((row["input_hash"], row["input"]) for row in spoken),
            versions, now().isoformat(),
        )  # fmt: skip

    def _carry_out(self, plan: Plan) -> Erased:
        corrections, hashes = frozenset(plan.corrections), frozenset(plan.hashes)
        stale = partials_of(self._home)
        rows = 0

        def act(con: rollup.Connection) -> None:
            nonlocal rows
            rows = erase_rows(con, plan.contributor)
            if con.execute("SELECT count(*) FROM erasures WHERE id = ?", [plan.id]).fetchone()[0] == 0:
                made = Erasure(plan.id, plan.author, rows, plan.versions, datetime.fromisoformat(plan.created))
                values = [made.id, made.author, made.rows, json.dumps(made.versions), made.created]
                con.execute('INSERT INTO erasures (id, author, "rows", versions, created) VALUES (?, ?, ?, ?, ?)', values)

        self._store.rewrite(act)
        for input_hash, input_ in plan.spoken:
            self._reconsider(input_hash, input_)
        snapshots = snapshots_with(self._home, plan.contributor, corrections, hashes)
        self._interrupt(frozenset(snapshots))
        erase_from_snapshots(self._home, snapshots, plan.contributor, corrections, hashes)
        erase_from_runs(self._home, plan.texts)

        def needed(file: Path) -> bool:
            return bool(rows_in(file, _ANY, [plan.contributor])[0][0])

        def act_on_copy(con: rollup.Connection) -> None:
            erase_rows(con, plan.contributor)

        copies, left = erase_from_copies(self._home, needed, act_on_copy, stale)
        self._cards.forget(plan.id, plan.contributor, hashes, plan.versions)
        for problem in left:
            _LOG.warning("an erasure could not reach a copy of the log: %s", problem)
        return Erased(plan.id, rows, plan.versions, len(snapshots), copies, left)


_ANY = "SELECT " + " OR ".join(
    f"EXISTS (FROM {table} WHERE contributor = $1)" for table in ("exposures", "predictions", "corrections")
)


def count_of(store: Store, contributor: str) -> dict[str, int]:
    """Return how many rows each table has of a contributor."""
    counts = ", ".join(f"(SELECT count(*) FROM {t} WHERE contributor = $1) AS {t}" for t in TABLES_OF_CONTRIBUTOR)
    return {table: int(number) for table, number in store.rows(f"SELECT {counts}", [contributor])[0].items()}


# An input is a contributor's own where they wrote it, nobody else wrote it, and it is none of the owner's gold items.
_GOING = """WITH own_hashes AS (
        SELECT DISTINCT input_hash FROM predictions
        WHERE contributor = $1 AND id NOT IN (SELECT prediction_id FROM asked)
          AND input_hash NOT IN (SELECT input_hash FROM predictions
              WHERE contributor <> $1 AND id NOT IN (SELECT prediction_id FROM asked))
          AND input_hash NOT IN (SELECT input_hash FROM traps WHERE source = 'gold')),
    going_predictions AS (SELECT id FROM predictions
        WHERE contributor = $1 OR (input_hash IN (FROM own_hashes) AND id IN (SELECT prediction_id FROM asked))),
    going_pairs AS (SELECT id FROM pairs WHERE contributor = $1
        OR left_prediction IN (FROM going_predictions) OR right_prediction IN (FROM going_predictions)),
    going_corrections AS (SELECT id FROM corrections WHERE contributor = $1 OR prediction_id IN (FROM going_predictions))
"""
_LISTS = {
    "own_hashes": "input_hash",
    "going_predictions": "id",
    "going_pairs": "id",
    "going_corrections": "id",
}
_DELETES = (
    "uses WHERE correction_id IN (FROM temp.going_corrections)",
    "reviews WHERE correction_id IN (FROM temp.going_corrections)",
    "withdrawals WHERE contributor = $1 OR correction_id IN (FROM temp.going_corrections)",
    "corrections WHERE id IN (FROM temp.going_corrections)",
    "votes WHERE contributor = $1 OR pair_id IN (FROM temp.going_pairs)",
    "pairs WHERE id IN (FROM temp.going_pairs)",
    "asked WHERE contributor = $1 OR prediction_id IN (FROM temp.going_predictions)",
    "traps WHERE author = $1 OR (source <> 'gold' AND input_hash IN (FROM temp.own_hashes))",
    "blocks WHERE contributor = $1",
    "feed_items WHERE prediction_id IN (FROM temp.going_predictions)",
    "exposures WHERE contributor = $1",
    "predictions WHERE id IN (FROM temp.going_predictions)",
)
_LATER = {  # tables that copies of the log from before a migration do not have
    "asked": "prediction_id VARCHAR, contributor VARCHAR, kind VARCHAR, input_hash VARCHAR",
    "traps": "input_hash VARCHAR, source VARCHAR, author VARCHAR",
    "blocks": "contributor VARCHAR",
    "pairs": "id VARCHAR, contributor VARCHAR, left_prediction VARCHAR, right_prediction VARCHAR",
    "votes": "pair_id VARCHAR, contributor VARCHAR",
    "feed_items": "prediction_id VARCHAR",
}


def erase_rows(con: rollup.Connection, contributor: str) -> int:
    """Delete a contributor's rows, and all that hangs on them, from a log of any migration; return how many rows."""
    stand_in(con, _LATER)
    for name in _LISTS:
        con.execute(f"CREATE TEMP TABLE {name} AS {_GOING} SELECT * FROM {name}", [contributor])
    total = 0
    for rest in _DELETES:
        total += int(con.execute(f"DELETE FROM {rest}", [contributor] if "$1" in rest else []).fetchone()[0])
    return total


def stand_in(con: rollup.Connection, tables: dict[str, str]) -> None:
    """Create those of the tables that this log does not have yet, empty and for this connection alone."""
    known = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    for name, columns in tables.items():
        if name not in known:
            con.execute(f"CREATE TEMP TABLE {name} ({columns})")
