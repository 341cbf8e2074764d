"""Texts of age go, from the log and its copies; what was counted stays counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from feedback.backups import back_up
from feedback.demo import PrivacySettings
from feedback.erasing import Eraser
from feedback.home import Home
from feedback.privacy import notice
from feedback.records import Asked, Correction, Exposure, Prediction, Review, Trap, Use, input_hash, new_id, now
from feedback.retention import AUTHOR, Retention
from feedback.store import Store
from feedback.training_set import accepted, freeze, read_snapshot
from feedback.transfer import check_log
from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT
from tests.feedback.test_erasing import Known, bytes_with

OLD = now() - timedelta(days=40)


def keep(store: Store, home: Home, cards: Known | None = None, **settings: Any) -> Retention:
    """Return a retention of 30 days."""
    eraser = Eraser(home, store, Known(), lambda *_: None)
    return Retention(PrivacySettings(keep_days=30, **settings), home, store, eraser, cards or Known())


def given(store: Store, text: str, verdict: str = "", created: datetime = OLD, who: str = "u_a") -> tuple[Prediction, Correction]:
    """Store a prediction with a correction, and a person's verdict on it."""
    made = Prediction(new_id("p"), who, "e", 1, "champion", 1, text, input_hash(text), {"label": "v1"}, 0.5, 3.0, created=created)
    correction = Correction(new_id("c"), made.id, who, {"label": "v2"}, False, f"remark on {text}", created, 1.0)
    store.add(made, correction)
    if verdict:
        store.add(Review(new_id("r"), correction.id, verdict, None, "rita", f"because of {text}", created))  # type: ignore[arg-type]
    return made, correction


def statuses(store: Store) -> dict[str, str]:
    """Return correction id -> status."""
    return {row["id"]: row["status"] for row in store.rows("SELECT id, status FROM current_corrections")}


@pytest.fixture
def home(store: Store) -> Home:
    """The home of the log."""
    return Home(store.file.parent)


def test_texts_of_age_go_and_counts_stay(store: Store, home: Home) -> None:
    """Old, not accepted: text, comment and reason are in no byte of log and backup; the rollup has what it had."""
    store.add(Exposure("e", 1, "u_a", "champion", 1, 1.0, created=OLD))
    _, waiting = given(store, "an old zebra")
    _, refused = given(store, "a rejected zebra", "reject")
    _, kept = given(store, "an accepted text", "accept")
    _, young = given(store, "a young text", created=now())
    back_up(store, home.backups)
    store.checkpoint()
    before = store.rows("SELECT sum(predictions) AS p, sum(corrected) AS c, sum(edits) AS e FROM user_days")

    done = keep(store, home).look()

    assert (done.texts, done.copies, done.left) == (2, 1, ())
    assert bytes_with(home.directory, ("zebra", input_hash("an old zebra"))) == []
    assert store.rows("SELECT sum(predictions) AS p, sum(corrected) AS c, sum(edits) AS e FROM user_days") == before
    assert statuses(store) == {waiting.id: "rejected", refused.id: "rejected", kept.id: "accepted", young.id: "pending"}
    assert {example.input for example in accepted(store)} == {"an accepted text"}
    (row,) = store.rows("SELECT * FROM erasures")
    assert (row["author"], row["rows"], row["versions"]) == (AUTHOR, 2, "[]")
    assert check_log(store) == []
    assert keep(store, home).look() == (0, 0, 0, ())  # and a second look finds nothing


def test_accepted_texts_go_too_where_the_demo_says_so(store: Store, home: Home) -> None:
    """keep_accepted = false: the example is taken out of the training set and the snapshots; lineage stays."""
    _, old = given(store, "an accepted zebra", "accept")
    _, young = given(store, "a young text", "accept", now())
    store.add(Use(old.id, 2, "s", "train"))
    store.add(Trap(input_hash("a zebra trap"), "a zebra trap", {"label": "v2"}, "unanimous", "policy", created=OLD))
    snapshot = freeze(accepted(store), home.snapshots)
    cards = Known()
    done = keep(store, home, cards, keep_accepted=False).look()
    assert (done.texts, done.examples) == (1, 1)
    assert bytes_with(home.directory, ("zebra",)) == []
    assert statuses(store) == {old.id: "rejected", young.id: "accepted"}
    left = read_snapshot(home.snapshots / snapshot.id)
    assert [e.correction_id for e in (*left.train, *left.gate)] == [young.id]
    assert store.rows("SELECT correction_id FROM uses") == [{"correction_id": old.id}]
    assert cards.told[0][2] == {input_hash("an accepted zebra")}


def test_the_owners_items_have_no_age(store: Store, home: Home) -> None:
    """A gold item that was asked about keeps its text: what a contributor is worth hangs on it."""
    made, _ = given(store, "a gold text")
    store.add(Asked(made.id, "u_a", "trap", made.input_hash, OLD))
    store.add(Trap(made.input_hash, "a gold text", {"label": "v1"}, "gold", "owner", created=OLD))
    assert keep(store, home).look().texts == 0


def test_without_a_setting_nothing_is_removed(store: Store, home: Home) -> None:
    """keep_days = 0: nothing has an age."""
    given(store, "very old", created=now() - timedelta(days=4000))
    eraser = Eraser(home, store, Known(), lambda *_: None)
    retention = Retention(PrivacySettings(), home, store, eraser, Known())
    retention.begin()
    assert retention.look().texts == 0
    retention.close()


def test_the_daily_look_runs_and_ends(store: Store, home: Home) -> None:
    """Begun, it looks at once; closed, it ends."""
    given(store, "an old zebra")
    retention = keep(store, home)
    retention.begin()
    retention.close()
    assert store.rows("SELECT author FROM erasures") == [{"author": AUTHOR}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_notice_says_what_the_settings_do(language: str) -> None:
    """The number of days and the treatment of identifiers stand in it, in both languages; and always how to erase."""
    say = Words([ROOT / "feedback" / "words.toml"]).speaker(language)
    plain = notice(PrivacySettings(), say)
    assert len(notice(PrivacySettings(), say, second_opinions=True)) == len(plain) + 1
    aged = notice(PrivacySettings(keep_days=30, keep_accepted=False, identifiers="mask"), say)
    assert "30" in aged[1]
    assert aged[1] != notice(PrivacySettings(keep_days=30), say)[1]
    assert say("privacy.mask") in aged
    assert plain[-1] == aged[-1] == say("privacy.how")


def test_settings_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """Negative days and unknown ways with identifiers break the demo's file."""
    for wrong in ({"keep_days": -1}, {"identifiers": "hide"}, {"days": 3}):
        with pytest.raises(ValidationError):
            PrivacySettings.model_validate(wrong)
