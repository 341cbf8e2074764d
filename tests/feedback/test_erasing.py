"""Erasing a contributor: their rows and the bytes of their texts are gone, from the log and every copy; others keep theirs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from feedback.acceptance import Agreement, apply_policy
from feedback.backups import back_up
from feedback.desk import Desk
from feedback.erasing import Erased, Eraser, NoCards, count_of
from feedback.errors import NotFound, StorageFull
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import (
    Asked,
    Block,
    Correction,
    Exposure,
    Json,
    Pair,
    Prediction,
    Review,
    Trap,
    Use,
    Visitor,
    Vote,
    Withdrawal,
    input_hash,
    new_id,
    now,
)
from feedback.rewriting import rewrite_copy
from feedback.schema import MIGRATIONS
from feedback.store import Store
from feedback.training_set import accepted, freeze, read_snapshot
from feedback.transfer import check_log
from tests.conftest import WordsModel

SECRET = "the secret zebra of Ann 肺炎"
COMMENT = "a remark about zebras"
REASON = "the reviewer's zebra reason"
MARKS = ("zebra", "u_ann")


class Known:
    """Cards that remember what they were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, frozenset[str], tuple[int, ...]]] = []

    def forget(self, erasure: str, contributor: str, hashes: frozenset[str], learned: tuple[int, ...]) -> None:
        """Remember."""
        self.told.append((erasure, contributor, hashes, learned))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The home of the fresh log."""
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    """A fresh log in that home."""
    with Store(home.directory) as opened:
        yield opened


def eraser_of(home: Home, store: Store, cards: Known | NoCards | None = None) -> Eraser:
    """Return an eraser whose policy believes two contributors."""
    policy = Agreement(2)
    return Eraser(home, store, cards or Known(), lambda hash_, input_: apply_policy(store, policy, hash_, input_))


def shown(contributor: str, text: str, id_: str = "") -> Prediction:
    """Return a prediction row."""
    label: Json = {"label": "v1"}
    return Prediction(id_ or new_id("p"), contributor, "e", 1, "champion", 1, text, input_hash(text), label, 0.5, 1.0)


def said(on: Prediction, contributor: str = "", label: str = "v2", comment: str = "") -> Correction:
    """Return a correction row."""
    return Correction(new_id("c"), on.id, contributor or on.contributor, {"label": label}, False, comment, edits=1.0)


def a_life(store: Store) -> dict[str, str]:
    """Give Ann a row in every table there is, and Bob his own; return the ids that a test asks for."""
    for who in ("u_ann", "u_bob"):
        store.add(Exposure("e", 1, who, "champion", 1, 1.0))
    mine, left, right = (shown("u_ann", SECRET, f"p_{n}") for n in ("mine", "left", "right"))
    his, asked_on_hers = shown("u_bob", "what Bob wrote"), shown("u_bob", SECRET)
    store.add(mine, left, right, his, asked_on_hers)
    correction, of_bob, bob_on_hers = said(mine, comment=COMMENT), said(his), said(asked_on_hers)
    store.add(correction, of_bob, bob_on_hers)
    store.add(Review(new_id("r"), correction.id, "amend", {"label": "v3"}, "rita", REASON))
    store.add(Review(new_id("r"), of_bob.id, "accept", None, "rita", "fine"))
    store.add(Pair("d_1", "u_ann", "e", 1, left.id, right.id), Vote("d_1", "u_ann", "left"))
    store.add(Asked(asked_on_hers.id, "u_bob", "opinion", input_hash(SECRET)))
    store.add(Trap(input_hash(SECRET), SECRET, {"label": "v3"}, "unanimous", "policy:traps"))
    store.add(Block("u_ann", True, "rita", REASON), Block("u_ann", False, "rita"))
    store.add(Use(correction.id, 2, "s_1", "train"), Use(of_bob.id, 2, "s_1", "train"), Use(correction.id, 3, "s_2", "gate"))
    withdrawn = shown("u_ann", "another zebra")
    store.add(withdrawn, late := said(withdrawn), Withdrawal(late.id, "u_ann"))
    return {"correction": correction.id, "of_bob": of_bob.id}


def bytes_with(directory: Path, marks: tuple[str, ...] = MARKS) -> list[str]:
    """Return the files under a directory that hold one of these words, whatever they are; Parquet is read too."""
    found = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        raw = file.read_bytes()
        if file.suffix == ".parquet":
            raw += pd.read_parquet(file).to_json(force_ascii=False).encode()
        found += [f"{file.relative_to(directory)}: {mark}" for mark in marks if mark.encode() in raw]
    return found


def test_a_deleted_row_stays_readable_in_the_file_without_a_rewrite(tmp_path: Path) -> None:
    """Why the log is written anew: after DELETE, CHECKPOINT and VACUUM the text is still in the bytes (DuckDB 2.0)."""
    file = tmp_path / "a.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("CREATE TABLE t (id VARCHAR PRIMARY KEY, text VARCHAR)")
        con.execute("INSERT INTO t SELECT 'a' || i, hash(i)::VARCHAR FROM range(3000) r(i)")
        con.execute("INSERT INTO t VALUES ('mine', 'the secret zebra')")
        con.execute("CHECKPOINT")
        con.execute("DELETE FROM t WHERE id = 'mine'")
        for statement in ("CHECKPOINT", "VACUUM", "CHECKPOINT"):
            con.execute(statement)
    assert b"zebra" in file.read_bytes()


def test_rows_and_bytes_are_gone_from_log_snapshots_and_copies(home: Home, store: Store) -> None:
    """One life in every table, frozen, backed up, copied before a migration, half copied by a kill: nothing of it is left."""
    ids = a_life(store)
    snapshot = freeze(accepted(store), home.snapshots)
    assert {e.contributor for e in (*snapshot.train, *snapshot.gate)} >= {"u_ann", "u_bob"}
    backup = back_up(store, home.backups)
    shutil.copy(backup, home.directory / "log.before-migration-4.duckdb")
    shutil.copy(backup, home.backups / "log-1.duckdb.partial")
    shutil.copy(backup, home.directory / "log.duckdb.broken")
    run = home.runs / "t_1"
    run.mkdir()
    (run / "output.txt").write_text(f"could not read {SECRET!r}\n", encoding="utf-8")
    store.checkpoint()
    assert bytes_with(home.directory)

    cards = Known()
    done = eraser_of(home, store, cards).erase("u_ann")

    assert bytes_with(home.directory) == []
    assert (done.versions, done.snapshots, done.copies, done.left) == ((2,), 1, 2, ())
    assert not any(count_of(store, "u_ann").values())
    assert store.rows("SELECT count(*) AS n FROM traps")[0]["n"] == 0
    # Bob was asked about Ann's text: that row holds her words, and goes; what he wrote himself stays.
    assert [r["id"] for r in store.rows("SELECT id FROM corrections")] == [ids["of_bob"]]
    assert [r["input"] for r in store.rows("SELECT input->>'$' AS input FROM predictions")] == ["what Bob wrote"]
    assert store.rows("SELECT correction_id, version FROM uses") == [{"correction_id": ids["of_bob"], "version": 2}]
    assert check_log(store) == []
    (row,) = store.rows("SELECT * FROM erasures")
    assert (row["author"], row["versions"], row["rows"]) == ("contributor", "[2]", done.rows)
    assert cards.told == [(done.id, "u_ann", frozenset({input_hash(SECRET), input_hash("another zebra")}), (2,))]
    left = read_snapshot(home.snapshots / snapshot.id)  # its manifest and sha256 agree again
    assert [e.correction_id for e in (*left.train, *left.gate)] == [ids["of_bob"]]
    assert (
        f'"erased": {len(snapshot.train) + len(snapshot.gate) - 1}'
        in (home.snapshots / snapshot.id / "manifest.json").read_text()
    )
    with Store(home.directory.parent / "restored") as restored:
        restored.close()
        shutil.copy(backup, restored.file)
    with Store(home.directory.parent / "restored") as restored:  # a backup is a whole log still
        assert check_log(restored) == []
        assert [r["contributor"] for r in restored.rows("SELECT contributor FROM corrections")] == ["u_bob"]


def test_the_rollup_counts_what_is_left(home: Home, store: Store) -> None:
    """The sums by user and day are made anew: they equal those of a log that never knew the erased user."""
    a_life(store)
    store.fold()
    eraser_of(home, store).erase("u_ann")
    sums = store.rows("SELECT contributor, sum(predictions) AS n, sum(corrected) AS c FROM user_days GROUP BY ALL")
    assert sums == [{"contributor": "u_bob", "n": 1, "c": 1}]
    assert store.rows("SELECT DISTINCT contributor FROM folded_user_days") == [{"contributor": "u_bob"}]
    store.add(shown("u_bob", "later"))
    assert store.rows("SELECT sum(predictions) AS n FROM user_days")[0]["n"] == 2


def test_words_that_somebody_else_wrote_too_stay_theirs(store: Store, home: Home) -> None:
    """Two people wrote the same: only one's rows go; and what their agreement had accepted is judged anew."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    desk = Desk(store, WordsModel(), experiments, Agreement(2))
    for name in ("u_ann", "u_bob"):
        visitor = Visitor(name)
        _, status = desk.correct(visitor, desk.predict(visitor, "Same words").id, {"label": "v2"})
    assert status == "accepted"
    done = eraser_of(home, store).erase("u_ann")
    assert store.rows("SELECT contributor, status FROM current_corrections") == [{"contributor": "u_bob", "status": "undecided"}]
    assert done.rows == 3  # prediction, correction, and the policy's review of it
    assert "Same words" in store.rows("SELECT input->>'$' AS text FROM predictions")[0]["text"]


def test_the_owners_gold_items_stay(store: Store, home: Home) -> None:
    """A text that is the owner's trap is not the contributor's own, though they wrote it too."""
    store.add(shown("u_ann", "gold text"), other := shown("u_bob", "gold text"))
    store.add(Asked(other.id, "u_bob", "trap", input_hash("gold text")))
    store.add(Trap(input_hash("gold text"), "gold text", {"label": "v1"}, "gold", "owner"))
    eraser_of(home, store).erase("u_ann")
    assert store.rows("SELECT contributor FROM predictions") == [{"contributor": "u_bob"}]
    assert store.rows("SELECT count(*) AS n FROM current_traps")[0]["n"] == 1


def test_nobody_is_erased_twice_or_by_a_wrong_id(store: Store, home: Home) -> None:
    """An id of which nothing is stored is told so, and the log is not touched."""
    a_life(store)
    eraser = eraser_of(home, store)
    eraser.erase("u_ann")
    for wrong in ("u_ann", "nobody", "' OR 1=1 --"):
        with pytest.raises(NotFound, match="nothing in the log"):
            eraser.erase(wrong)
    assert len(eraser.all()) == 1


def test_an_erasure_that_a_kill_cut_short_is_finished_at_the_next_start(home: Home) -> None:
    """Cut after the log, before snapshots and backups: the next start finishes from the plan, and strikes the plan out."""
    with Store(home.directory) as store:
        a_life(store)
        freeze(accepted(store), home.snapshots)
        back_up(store, home.backups)

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        eraser = Eraser(home, store, Known(), lambda *_: None, killed)
        with pytest.raises(KeyboardInterrupt):
            eraser.erase("u_ann")
        assert not any(count_of(store, "u_ann").values())
        assert any(name.startswith("backups/") for name in bytes_with(home.directory))
    with Store(home.directory) as store:
        cards = Known()
        assert eraser_of(home, store, cards).resume() == 1
        assert bytes_with(home.directory) == []
        assert [told[3] for told in cards.told] == [(2,)]
        assert len(store.rows("SELECT 1 FROM erasures")) == 1
        assert eraser_of(home, store).resume() == 0


def test_beside_no_app_the_cards_wait_for_its_start_without_a_text(home: Home, store: Store) -> None:
    """The command knows no versions: it leaves a plan for the app, in which no text stands."""
    a_life(store)
    eraser_of(home, store, NoCards()).erase("u_ann")
    assert bytes_with(home.directory, ("zebra",)) == []
    cards = Known()
    assert eraser_of(home, store, cards).resume() == 1
    assert cards.told[0][3] == (2,)
    assert bytes_with(home.directory) == []


def test_a_copy_that_cannot_be_read_is_told(home: Home, store: Store) -> None:
    """A backup that is no database is left where it is, and named."""
    a_life(store)
    (home.backups / "log-torn.duckdb").write_bytes(b"not a database")
    done = eraser_of(home, store).erase("u_ann")
    assert [text.split(":")[0] for text in done.left] == ["log-torn.duckdb"]


def test_a_rewrite_that_fails_leaves_the_log_as_it_was(store: Store) -> None:
    """An error inside the rewriting changes nothing, leaves no file, and the log goes on."""
    store.add(shown("u_ann", SECRET))

    def broken(con: object) -> None:
        con.execute("DELETE FROM predictions")  # type: ignore[attr-defined]
        raise OSError("the disk is full")

    with pytest.raises(StorageFull, match="rewrite"):
        store.rewrite(broken)
    store.add(shown("u_ann", "after"))
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 2
    assert sorted(path.name for path in store.file.parent.glob("log*")) == ["log.duckdb", "log.duckdb.wal", "log.lock"]


@pytest.mark.parametrize("unlinked", [False, True])
def test_a_kill_in_the_swap_ends_in_the_new_log(home: Home, unlinked: bool) -> None:
    """Once the rewritten log lies ready, whoever opens the directory next puts it in place; before that the old one counts."""
    with Store(home.directory) as store:
        store.add(shown("u_ann", SECRET), shown("u_bob", "his"))
        store.backup(home.directory / "copy")
    ready = home.directory / "before-checkpoint"
    ready.mkdir()
    rewrite_copy(
        home.directory / "copy",
        ready / "log.duckdb",
        lambda con: con.execute("DELETE FROM predictions WHERE contributor = 'u_ann'"),
    )
    if unlinked:
        (home.directory / "log.duckdb").unlink()
    with Store(home.directory) as store:
        assert store.rows("SELECT contributor FROM predictions") == [{"contributor": "u_bob"}]


def test_every_row_survives_a_rewrite_in_its_order(store: Store, home: Home) -> None:
    """A rewrite that removes nothing changes nothing: each table has the rows it had, in the order it had."""
    a_life(store)
    tables = (
        "predictions",
        "corrections",
        "reviews",
        "exposures",
        "pairs",
        "votes",
        "uses",
        "traps",
        "blocks",
        "asked",
        "migrations",
    )
    before = {table: store.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in tables}
    store.rewrite(lambda _: None)
    assert {table: store.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in tables} == before
    store.close()
    with Store(store.file.parent) as again:
        assert {table: again.rows(f"SELECT * FROM {table} ORDER BY rowid") for table in tables} == before


def test_people_go_on_while_the_log_is_rewritten(store: Store) -> None:
    """Readers and writers beside three rewrites: no call fails, and no row is lost."""
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(60):
                store.add(shown(name, f"text {number}"))
                store.rows("SELECT count(*) AS n FROM predictions")
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test must see it
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"u_{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        store.rewrite(lambda _: None)
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 180


def test_copies_of_every_earlier_migration_can_be_rewritten(home: Home, store: Store, tmp_path: Path) -> None:
    """A copy from before each migration keeps its schema: it loses the contributor, and opens and migrates after that."""
    a_life(store)
    for number in range(1, MIGRATIONS[-1].number):
        file = home.directory / f"log.before-migration-{number + 1}.duckdb"
        with duckdb.connect(str(file)) as con:
            con.execute("CREATE TABLE migrations (number INTEGER PRIMARY KEY, name VARCHAR, applied TIMESTAMP)")
            for migration in MIGRATIONS[:number]:
                migration.apply(con)
                con.execute("INSERT INTO migrations VALUES (?, ?, ?)", [migration.number, migration.name, now()])
            for who in ("u_ann", "u_bob"):
                con.execute(
                    "INSERT INTO predictions VALUES (?, ?, '', 0, 'champion', 1, ?, 'h', '{}', 0.5, 1, false, '', '', ?)",
                    [f"p_{who}", who, '"a zebra"' if who == "u_ann" else '"his"', now() - timedelta(days=1)],
                )
    done: Erased = eraser_of(home, store).erase("u_ann")
    assert (done.copies, done.left) == (MIGRATIONS[-1].number - 1, ())
    assert bytes_with(home.directory) == []
    for number in range(1, MIGRATIONS[-1].number):
        (tmp_path / f"m{number}").mkdir()
        shutil.copy(home.directory / f"log.before-migration-{number + 1}.duckdb", tmp_path / f"m{number}" / "log.duckdb")
        with Store(tmp_path / f"m{number}") as opened:
            assert opened.rows("SELECT contributor FROM predictions") == [{"contributor": "u_bob"}]
