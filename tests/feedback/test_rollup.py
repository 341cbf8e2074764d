"""The rollup: what each user did on each day, right without any fold, and the same after one."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from feedback import rollup
from feedback.errors import StorageFull
from feedback.records import Correction, Exposure, Prediction, Withdrawal
from feedback.rollup import COUNTS
from feedback.schema import MIGRATIONS
from feedback.store import Store
from feedback.transfer import import_rows

START = datetime(2026, 5, 1)
Sums = dict[tuple[str, int, str, str, date], dict[str, float]]


def moment(day: float) -> datetime:
    """Return the time that many days after the start."""
    return START + timedelta(days=day)


def prediction(id_: str, who: str = "ann", day: float = 1.0, **other: Any) -> Prediction:
    """Return a prediction in experiment x unless told otherwise."""
    given = {"input": "in", "experiment": "x", "experiment_number": 1, "variant": "v2", "version": 2, "latency_ms": 20.0, **other}
    return Prediction(id=id_, contributor=who, input_hash="h", output="out", confidence=0.5, created=moment(day), **given)


def exposure(who: str = "ann", day: float = 0.5, variant: str = "v2", number: int = 1) -> Exposure:
    """Return a first meeting in experiment x."""
    return Exposure("x", number, who, variant, 2, 0.5, created=moment(day))


def correction(
    id_: str, of: str, day: float, who: str = "ann", confirmation: bool = False, edits: float | None = 2.0
) -> Correction:
    """Return an answer to a prediction."""
    return Correction(id_, of, who, "right", confirmation, created=moment(day), edits=edits)


def user_days(store: Store) -> Sums:
    """Return the view, its rows added up; days on which nothing is left are dropped."""
    made: Sums = defaultdict(lambda: dict.fromkeys(COUNTS, 0.0))
    for row in store.rows("SELECT * FROM user_days"):
        key = (row["experiment"], row["experiment_number"], row["contributor"], row["variant"], row["day"])
        for name in COUNTS:
            made[key][name] += row[name]
    return _rounded(made)


def _rounded(sums: Sums) -> Sums:
    kept = {key: {name: round(value, 9) + 0.0 for name, value in row.items()} for key, row in sums.items()}
    return {key: row for key, row in kept.items() if any(row.values())}


def by_hand(rows: Iterable[Any]) -> Sums:
    """Return what user_days must hold, from the records one by one: the definition in plain Python."""
    rows = list(rows)
    first: dict[tuple[str, str], datetime] = {}
    for row in (r for r in rows if isinstance(r, Exposure)):
        key = (row.experiment, row.contributor)
        first[key] = min(row.created, first.get(key, row.created))
    made: Sums = defaultdict(lambda: dict.fromkeys(COUNTS, 0.0))
    shown = {row.id: row for row in rows if isinstance(row, Prediction)}
    answers = {row.id: row for row in rows if isinstance(row, Correction)}

    def cell(p: Prediction, day: date) -> dict[str, float]:
        return made[p.experiment, p.experiment_number, p.contributor, p.variant, day]

    def early(p: Prediction) -> bool:
        return p.created < first.get((p.experiment, p.contributor), p.created)

    def answer(c: Correction, day: date, sign: int) -> None:
        p = shown[c.prediction_id]
        if p.forced or early(p) or p.contributor != c.contributor:
            return
        found = cell(p, day)
        found["confirmed" if c.confirmation else "corrected"] += sign
        found["edits"] += sign * (c.edits or 0.0)
        found["unscored"] += sign * (c.edits is None)

    for row in rows:
        if isinstance(row, Prediction) and not row.forced:
            found = cell(row, row.created.date())
            if early(row):
                found["skewed"] += 1
                continue
            found["predictions"] += 1
            if math.isfinite(row.latency_ms) and row.latency_ms > 0:
                found["timings"] += 1
                found["log_latency"] += math.log(row.latency_ms)
        elif isinstance(row, Correction):
            answer(row, row.created.date(), 1)
        elif isinstance(row, Withdrawal):
            answer(answers[row.correction_id], row.created.date(), -1)
    return _rounded(made)


def random_log(seed: int) -> list[Any]:
    """Return a log of some 150 rows in the order of their storing: a dozen users, all sorts of awkward rows."""
    chance = random.Random(seed)
    rows: list[Any] = []
    shown: list[Prediction] = []
    said: list[Correction] = []
    taken: set[str] = set()
    for who in (f"u{index}" for index in range(12)):
        for number in (1, 2)[: chance.randint(0, 2)]:
            rows.append(exposure(who, chance.uniform(0, 2), chance.choice(("v2", "champion")), number))
    for index in range(120):
        who, kind = f"u{chance.randrange(12)}", chance.random()
        if kind < 0.6 or not shown:
            inside = chance.random() < 0.8
            shown.append(
                prediction(
                    f"p{index}", who, chance.uniform(0, 5), forced=chance.random() < 0.1,
                    experiment="x" if inside else "", experiment_number=chance.choice((1, 2)) if inside else 0,
                    variant=chance.choice(("v2", "champion")),
                    latency_ms=chance.choice((5.0, 80.0, 80.0, 0.0, -1.0, math.nan, math.inf)),
                )
            )  # fmt: skip
            rows.append(shown[-1])
        elif kind < 0.9 or not said:
            of = chance.choice(shown)
            giver = of.contributor if chance.random() < 0.9 else who
            if any(c.prediction_id == of.id and c.contributor == giver for c in said):
                continue
            day = (of.created - START) / timedelta(days=1) + chance.choice((0.001, 1.5))
            edits = chance.choice((None, 0.0, 3.0))
            said.append(correction(f"c{index}", of.id, day, giver, chance.random() < 0.4, edits))
            rows.append(said[-1])
        else:
            back = chance.choice(said)
            if back.id not in taken:
                taken.add(back.id)
                rows.append(Withdrawal(back.id, back.contributor, back.created + timedelta(days=chance.uniform(0, 2))))
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("step", [7, 1_000_000])
def test_random_logs_add_up_to_their_definition(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int, step: int) -> None:
    """Unfolded, folded in two goes with a tail, folded whole and made anew: always what plain Python counts."""
    monkeypatch.setattr(rollup, "STEP", step)
    rows = random_log(seed)
    exposures, events = [r for r in rows if isinstance(r, Exposure)], [r for r in rows if not isinstance(r, Exposure)]
    store.add(*exposures)
    for part in (events[:40], events[40:80]):
        for row in part:
            store.add(row)
        assert user_days(store) == by_hand([*exposures, *events[: events.index(part[-1]) + 1]])
        store.fold()
    for row in events[80:]:
        store.add(row)
    wanted = by_hand(rows)
    assert len(wanted) > 20
    assert user_days(store) == wanted
    store.fold()
    assert user_days(store) == wanted
    assert store.rows("SELECT count(*) AS n FROM folded_user_days")[0]["n"] >= len(wanted)
    store.refold()
    assert user_days(store) == wanted
    marks = {row["source"]: row["rows"] for row in store.rows("FROM folded")}
    kinds = Counter(type(row) for row in rows)
    assert marks == {"predictions": kinds[Prediction], "corrections": kinds[Correction], "withdrawals": kinds[Withdrawal]}


def test_each_change_counts_on_its_own_day(store: Store) -> None:
    """Shown on day 1, corrected on day 2, taken back on day 4: the page's rate of day 3 stays what it was on day 3."""
    store.add(exposure(), prediction("p"))
    store.fold()
    store.add(correction("c", "p", 2))
    store.fold()
    store.add(Withdrawal("c", "ann", moment(4)))
    by_day = {key[4].day - 1: (row["predictions"], row["corrected"], row["edits"]) for key, row in user_days(store).items()}
    assert by_day == {1: (1, 0, 0), 2: (0, 1, 2), 4: (0, -1, -2)}


def test_a_prediction_from_before_the_first_exposure_is_skewed_and_nothing_else(store: Store) -> None:
    """Neither it nor the answer to it counts; outside of an experiment there is nothing to be early for."""
    store.add(exposure(day=2), prediction("early"), correction("c", "early", 3))
    store.add(prediction("free", experiment="", experiment_number=0, variant="champion"))
    assert {(key[0], row["predictions"], row["skewed"], row["corrected"]) for key, row in user_days(store).items()} == {
        ("x", 0, 1, 0),
        ("", 1, 0, 0),
    }


def test_rows_that_are_gone_make_the_next_fold_begin_anew(store: Store) -> None:
    """Where the counts of a source do not add up, the rollup is made from what is there now."""
    store.add(exposure(), exposure("bob"), prediction("p1"), prediction("p2", "bob"), correction("c", "p1", 2))
    store.fold()
    store._con.execute("DELETE FROM predictions WHERE contributor = 'ann'")
    store._con.execute("DELETE FROM corrections WHERE contributor = 'ann'")
    store.fold()
    assert {key[2] for key in user_days(store)} == {"bob"}


class FailingLate:
    """A connection that refuses the last statement of a fold; everything else is the real one's."""

    def __init__(self, con: Any) -> None:
        self._con = con

    def __getattr__(self, name: str) -> Any:
        return getattr(self._con, name)

    def execute(self, sql: str, *rest: Any) -> Any:
        """Refuse to move the marks."""
        if sql.startswith("INSERT INTO folded SELECT"):
            raise duckdb.IOException("no space left")
        return self._con.execute(sql, *rest)


@pytest.mark.parametrize("verb", [Store.fold, Store.refold])
def test_a_fold_that_fails_changes_nothing(store: Store, verb: Callable[[Store], None]) -> None:
    """Sums that are in and marks that are not would count twice: both are rolled back, and the next fold goes on."""
    store.add(exposure(), prediction("p1"))
    store.fold()
    store.add(prediction("p2"))
    wanted, real = user_days(store), store._con
    store._con = FailingLate(real)  # type: ignore[assignment]
    with pytest.raises(StorageFull, match="no stored row is lost"):
        verb(store)
    store._con = real
    assert user_days(store) == wanted
    assert store.rows("SELECT sum(predictions) AS n FROM folded_user_days")[0]["n"] == 1
    store.fold()
    assert user_days(store) == wanted


def test_the_writer_folds_before_its_own_checkpoints(tmp_path: Path) -> None:
    """Nobody has to ask: what a report must add up itself stays as small as the write-ahead log."""
    with Store(tmp_path, checkpoint_bytes=20_000) as store:
        store.add(exposure())
        for index in range(60):
            store.add(prediction(f"p{index}", day=1 + index / 100, input="x" * 900))
        folded = {row["source"]: row["rows"] for row in store.rows("FROM folded")}
        assert folded["predictions"] > 20
        assert sum(row["predictions"] for row in user_days(store).values()) == 60
    with Store(tmp_path) as store:
        assert sum(row["predictions"] for row in user_days(store).values()) == 60


def test_an_import_of_older_rows_makes_the_rollup_anew(store: Store) -> None:
    """An exposure that comes in after its predictions were folded decides which of them are skewed."""
    store.add(prediction("p1", day=1), prediction("p2", day=3))
    store.fold()
    columns = Exposure.__dataclass_fields__
    import_rows(store, "exposures", [{name: getattr(exposure(day=2), name) for name in columns}])
    (row,) = [row for key, row in user_days(store).items() if key[4] == date(2026, 5, 2)]
    assert (row["skewed"], row["predictions"]) == (1, 0)
    assert store.rows("SELECT sum(skewed) AS n FROM folded_user_days")[0]["n"] == 1


def _log_of(directory: Path, version: int) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(directory / "log.duckdb"))
    con.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
    for migration in MIGRATIONS[:version]:
        migration.apply(con)
        con.execute("INSERT INTO migrations VALUES (?, ?, now()::TIMESTAMP)", [migration.number, migration.name])
    return con


_EVENTS = """
INSERT INTO exposures VALUES ('x', 1, 'ann', 'v2', 2, .5, '', '', '', TIMESTAMP '2026-05-01 12:00:00');
INSERT INTO predictions VALUES ('p', 'ann', 'x', 1, 'v2', 2, '"in"', 'h', '"out"', .5, 20.0, false, '', '',
    TIMESTAMP '2026-05-02 00:00:00');
"""


def test_a_log_of_version_2_opens_with_its_rows_rolled_up(tmp_path: Path) -> None:
    """The rows of before the rollup are in the view at once, and in a fold."""
    with _log_of(tmp_path, 2) as con:
        con.execute(_EVENTS)
        con.execute("INSERT INTO corrections VALUES ('c', 'p', 'ann', '\"b\"', false, '', TIMESTAMP '2026-05-02 01:00:00', 1.5)")
    with Store(tmp_path) as store:
        wanted = {("x", 1, "ann", "v2", date(2026, 5, 2)): (1, 1, 1.5)}
        for _ in range(2):
            found = {key: (row["predictions"], row["corrected"], row["edits"]) for key, row in user_days(store).items()}
            assert found == wanted
            store.fold()
    assert (tmp_path / "log.before-migration-3.duckdb").exists()


def test_a_log_of_version_1_opens(tmp_path: Path) -> None:
    """Its experiments get the defaults of what was added, its confirmations 0 edits; corrections nobody counted have none."""
    with _log_of(tmp_path, 1) as con:
        con.execute(_EVENTS)
        con.execute("""INSERT INTO experiments VALUES ('x', 1, 'running', '[{"name": "champion", "version": 1, "share": 1.0,
            "settings": {}}]', 'correction_rate', 'horizon', 2000, .05, 's', '', 'ann', '', TIMESTAMP '2026-05-01 00:00:00')""")
        for id_, confirmation in (("c1", True), ("c2", False)):
            con.execute(
                "INSERT INTO corrections VALUES (?, 'p', ?, '\"b\"', ?, '', TIMESTAMP '2026-05-03 00:00:00')",
                [id_, "ann" if confirmation else "bob", confirmation],
            )
    with Store(tmp_path) as store:
        (row,) = store.rows("SELECT mode, coverage, covariate, segments::VARCHAR AS segments FROM current_experiments")
        assert row == {"mode": "assigned", "coverage": 1.0, "covariate": "", "segments": '["channel", "language", "device"]'}
        edits = {row["id"]: row["edits"] for row in store.rows("SELECT id, edits FROM corrections")}
        assert edits == {"c1": 0.0, "c2": None}
        assert user_days(store)["x", 1, "ann", "v2", date(2026, 5, 3)]["confirmed"] == 1
