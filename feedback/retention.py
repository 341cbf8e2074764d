"""Texts are kept for as long as the demo's [privacy] says: what is older goes, once a day. Counts and verdicts stay.

A text is removed from its row, and the row stays: reports of experiments do not change with age. Its hash goes too,
since a short text could be found again by guessing. Outputs stay: they are labels and places, without words.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from feedback import rollup
from feedback.demo import PrivacySettings
from feedback.erasing import Cards, Eraser, stand_in
from feedback.home import Home
from feedback.kept_copies import erase_from_copies, erase_from_snapshots, partials_of, snapshots_with
from feedback.records import Erasure, new_id, now
from feedback.rewriting import rows_in
from feedback.store import Store
from feedback.watcher import Watcher

AUTHOR = "policy:retention"
_DAY = 24 * 3600.0
_LOG = logging.getLogger(__name__)


class Aged(NamedTuple):
    """What one look did. `texts`: removed from the log; `examples`: rows of snapshots; `left`: copies out of reach, and why."""

    texts: int
    examples: int
    copies: int
    left: tuple[str, ...]


class Retention:
    """Looks once a day for texts that have come of age. Does nothing where `keep_days` is 0."""

    def __init__(
        self,
        settings: PrivacySettings,
        home: Home,
        store: Store,
        eraser: Eraser,
        cards: Cards,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._settings = settings
        self._home = home
        self._store = store
        self._eraser = eraser
        self._cards = cards
        self._clock = clock
        self._watcher = Watcher("retention", self.look, _DAY, _LOG, "texts of age could not be removed", at_once=True)

    def begin(self) -> None:
        """Start looking, now and then every day, where the demo keeps texts for a number of days."""
        if self._settings.keep_days:
            self._watcher.begin()

    def close(self) -> None:
        """Stop looking; a look under way is finished first."""
        self._watcher.close()

    def look(self) -> Aged:
        """Remove what has come of age from log, snapshots and copies. Raises StorageFull."""
        if not self._settings.keep_days:
            return Aged(0, 0, 0, ())
        with self._eraser.lock:
            return self._look(self._clock() - timedelta(days=self._settings.keep_days))

    def _look(self, before: datetime) -> Aged:
        keep = self._settings.keep_accepted
        stale = partials_of(self._home)
        aged = self._store.rows(aged_sql("input_hash", keep), [before])
        texts = len(aged)
        erasure = new_id("e")

        def act(con: rollup.Connection) -> None:
            age_out(con, before, keep, self._clock())
            made = Erasure(erasure, AUTHOR, texts, (), self._clock())
            values = [made.id, made.author, made.rows, json.dumps(made.versions), made.created]
            con.execute('INSERT INTO erasures (id, author, "rows", versions, created) VALUES (?, ?, ?, ?, ?)', values)

        if aged:
            self._store.rewrite(act)
        closed = self._store.rows("SELECT DISTINCT correction_id AS id FROM reviews WHERE reviewer = ?", [AUTHOR])
        corrections = frozenset(str(row["id"]) for row in closed)
        names = snapshots_with(self._home, "", corrections, frozenset()) if corrections else []
        examples = erase_from_snapshots(self._home, names, "", corrections, frozenset())

        def needed(file: Path) -> bool:
            # Copies from before migration 4 have no traps to spare: looked at without them.
            return bool(rows_in(file, f"SELECT count(*) FROM ({aged_sql('id', keep, traps=False)})", [before])[0][0])

        def act_on_copy(con: rollup.Connection) -> None:
            age_out(con, before, keep, self._clock())

        copies, left = erase_from_copies(self._home, needed, act_on_copy, stale)
        if aged:
            self._cards.forget(erasure, "", frozenset(str(row["input_hash"]) for row in aged), ())
        for problem in left:
            _LOG.warning("texts of age could not be removed from a copy of the log: %s", problem)
        return Aged(texts, examples, copies, left)


def aged_sql(column: str, keep_accepted: bool, *, traps: bool = True) -> str:
    """Return the SELECT of a column of the predictions from before $1 whose text is to go: neither gone already nor the owner's."""
    spared = "AND id NOT IN (SELECT prediction_id FROM current_corrections WHERE status = 'accepted')" if keep_accepted else ""
    gold = "AND input_hash NOT IN (SELECT input_hash FROM traps WHERE source = 'gold')" if traps else ""
    return f"SELECT {column} FROM predictions WHERE created < $1 AND input::VARCHAR <> 'null' {spared} {gold}"


def age_out(con: rollup.Connection, before: datetime, keep_accepted: bool, at: datetime) -> None:
    """Remove the texts from before a moment, comments and reasons with them; what still waited is closed at `at` as not accepted."""
    stand_in(
        con,
        {
            "asked": "prediction_id VARCHAR, kind VARCHAR, input_hash VARCHAR",
            "traps": "input_hash VARCHAR, source VARCHAR, created TIMESTAMP",
            "feed_items": "id VARCHAR, prediction_id VARCHAR, link VARCHAR",
        },
    )
    con.execute(f"CREATE TEMP TABLE aged AS {aged_sql('id', keep_accepted)}", [before])
    con.execute(
        """CREATE TEMP TABLE closing AS SELECT id FROM current_corrections
           WHERE status IN ('pending', 'undecided', 'accepted') AND prediction_id IN (FROM temp.aged)"""
    )
    con.execute("UPDATE predictions SET input = 'null', input_hash = substr(sha256(id), 1, 32) WHERE id IN (FROM temp.aged)")
    con.execute(
        """UPDATE asked SET input_hash = substr(sha256(prediction_id), 1, 32)
           WHERE kind = 'opinion' AND prediction_id IN (FROM temp.aged)"""
    )
    con.execute(  # an id that was made of the text goes as its hash does
        """UPDATE feed_items SET link = '',
               id = CASE WHEN starts_with(id, 't_') THEN 't_' || substr(sha256(prediction_id), 1, 24) ELSE id END
           WHERE prediction_id IN (FROM temp.aged)"""
    )
    con.execute("UPDATE corrections SET comment = '' WHERE prediction_id IN (FROM temp.aged)")
    con.execute("DELETE FROM reviews WHERE correction_id IN (FROM temp.closing)")
    con.execute(
        """UPDATE reviews SET reason = ''
           WHERE correction_id IN (SELECT id FROM corrections WHERE prediction_id IN (FROM temp.aged))"""
    )
    con.execute(
        """INSERT INTO reviews (id, correction_id, verdict, output, reviewer, reason, created)
           SELECT 'r_' || substr(sha256('retention' || id), 1, 24), id, 'reject', NULL, $1, 'its text was removed for its age', $2
           FROM temp.closing""",
        [AUTHOR, at],
    )
    if not keep_accepted:
        con.execute("DELETE FROM traps WHERE source <> 'gold' AND created < $1", [before])
