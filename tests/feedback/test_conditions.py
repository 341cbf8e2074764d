"""What is wrong with the app now: every condition begins for its reason, clears by itself, and says so in both languages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from feedback import condition_routes, probes
from feedback.backups import Backups, Failure
from feedback.conditions import Condition, Conditions, Found, condition_words
from feedback.demo import BackupSettings
from feedback.errors import BadInput, LogBroken, StorageFull
from feedback.home import Home
from feedback.records import Promotion, TrainingRun, now
from feedback.store import Duplicate, Store
from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT
from tests.feedback.test_web import Site, demo_of

WORDS = Words([ROOT / "feedback" / "words.toml"])
NAMES = {
    "disk_low", "log_refuses", "backup_failed", "backup_old", "retraining_failing", "predictor_saturated",
    "version_unloadable", "clock_back",
}  # fmt: skip


def test_it_begins_once_and_ends_by_itself() -> None:
    """Told once at its beginning and once at its end, with the time of its beginning kept; the figures follow."""
    told: list[tuple[str, Any]] = []
    state: list[Found] = [None]
    at = [now()]
    conditions = Conditions(
        {"disk_low": lambda: state[0]}, lambda event, **facts: told.append((event, facts["condition"])), clock=lambda: at[0]
    )
    began = at[0]
    for state[0] in (None, {"free": 3, "needed": 9}, {"free": 2, "needed": 9}):
        found = conditions.look()
        at[0] += timedelta(minutes=1)
    assert found == [Condition("disk_low", began + timedelta(minutes=1), {"free": 2, "needed": 9})]
    assert found == conditions.standing()
    state[0] = None
    assert conditions.look() == []
    assert told == [("condition_began", "disk_low"), ("condition_ended", "disk_low")]


def test_a_probe_that_fails_changes_nothing() -> None:
    """What cannot be looked at stays as it was, and the others are asked all the same."""
    broken = [False]

    def probe() -> Found:
        if broken[0]:
            raise LogBroken("no answer")
        return {"count": 2}

    conditions = Conditions({"predictor_saturated": probe, "clock_back": lambda: {"seconds": 70} if broken[0] else None})
    assert [item.name for item in conditions.look()] == ["predictor_saturated"]
    broken[0] = True
    assert {item.name for item in conditions.look()} == {"predictor_saturated", "clock_back"}


def test_a_disk_nearly_full(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below half a gigabyte, or below three copies of the log where that is more."""
    usage = shutil.disk_usage(store.file.parent)
    free = [probes.LOW]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free[0]))
    assert probes.disk_low(store.file) is None
    free[0] -= 1
    assert probes.disk_low(store.file) == {"free": 537, "needed": 537}
    monkeypatch.setattr(probes, "log_bytes", lambda _: probes.LOW)
    free[0] = 3 * probes.LOW - 1
    assert probes.disk_low(store.file) == {"free": 1611, "needed": 1611}


def test_a_log_that_refuses_until_it_takes_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's refusal stands until a write succeeds; a duplicate or bad value is the caller's and no condition."""
    refusals = probes.Refusals()
    store.listen(refusals)
    row = Promotion("m_1", 1, None, "first", "test")
    store.add(row)
    with pytest.raises(Duplicate):
        store.add(row)
    assert refusals.probe() is None
    with monkeypatch.context() as patch:
        patch.setattr(store, "_submit", _full)
        for _ in range(2):
            with pytest.raises(StorageFull):
                store.add(Promotion("m_2", 1, None, "first", "test"))
        assert re.fullmatch(r"[\d-]+ [\d:]+", str((refusals.probe() or {})["since"]))
    store.add(Promotion("m_2", 1, None, "first", "test"))
    assert refusals.probe() is None


def _full(*_: object) -> None:
    raise StorageFull("the disk under the log refuses writes")


def test_backups_that_fail_or_are_old(store: Store, tmp_path: Path) -> None:
    """The last failure in its words; nothing verified for twice the interval, counted from the start where there is none."""
    at = [now()]
    backups = Backups(BackupSettings(every_hours=2), store, Home(tmp_path / "home").backups, clock=lambda: at[0])
    assert (probes.backup_failed(backups), probes.backup_old(backups)) == (None, None)
    at[0] += timedelta(hours=5)
    assert probes.backup_old(backups) == {"hours": 5}
    backups.failure = Failure(at[0], "no room")
    assert (probes.backup_failed(backups) or {})["detail"] == "no room"


def test_trainings_that_keep_failing(store: Store) -> None:
    """Two failures in a row; one that came to a verdict clears it, and one that a person cancelled counts for nothing."""

    def ended(name: str, state: Any, minute: int) -> None:
        at = now() - timedelta(minutes=60 - minute)
        store.add(TrainingRun(name, "started", "s", 3, None, "count", "policy:count", created=at))
        store.add(TrainingRun(name, state, "s", 3, None, "count", "policy:count", f"why {name}", at + timedelta(seconds=5)))

    ended("t_1", "failed", 1)
    assert probes.retraining_failing(store) is None
    ended("t_2", "cancelled", 2)
    ended("t_3", "interrupted", 3)
    assert probes.retraining_failing(store) == {"count": 2, "detail": "why t_3"}
    ended("t_4", "refused", 4)
    assert probes.retraining_failing(store) is None


def test_a_saturated_predictor_is_forgotten_after_five_minutes() -> None:
    """It counts what was turned away lately."""
    steady = [0.0]
    lately = probes.Lately(300, lambda: steady[0])
    assert probes.saturated(lately) is None
    lately.happened()
    steady[0] = 200
    lately.happened()
    assert probes.saturated(lately) == {"count": 2}
    steady[0] = 301
    assert probes.saturated(lately) == {"count": 1}
    steady[0] = 501
    assert probes.saturated(lately) is None


@pytest.mark.parametrize("error", [RuntimeError("bad weights"), OSError("gone"), BadInput("no such version")])
def test_a_version_that_cannot_be_loaded(error: Exception) -> None:
    """It is tried again at each look: once its files are back, the condition ends."""
    broken, loaded = [True], [1]

    def load(version: int) -> None:
        if broken[0]:
            raise error
        loaded.append(version)

    def found() -> Found:
        return probes.unloadable(lambda: [1, 2], lambda: loaded, load)

    told = found() or {}
    assert (told["version"], str(error) in str(told["detail"])) == (2, True)
    broken[0] = False
    assert found() is None
    assert loaded == [1, 2]


def test_a_clock_that_went_backwards(store: Store) -> None:
    """Behind the steady clock, or behind the log's own newest row; a minute is nothing."""
    at, steady = [now()], [0.0]
    clock = probes.Clock(store, lambda: at[0], lambda: steady[0])
    steady[0] = 100
    assert clock.probe() == {"seconds": 100}
    at[0] += timedelta(seconds=50)
    assert clock.probe() is None
    at[0] += timedelta(seconds=60)
    store.add(Promotion("m_1", 1, None, "first", "test", created=at[0] + timedelta(hours=2)))
    assert clock.probe() == {"seconds": 7200}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_condition_has_its_words(language: str) -> None:
    """The catalogue has a sentence for each name, with the same figures in each language."""
    for name in NAMES:
        wanted = {field for _, field, _, _ in Formatter().parse(WORDS.raw("en", f"condition.{name}")) if field}
        values = {field: f"<{field}>" for field in wanted}
        said = condition_words(Condition(name, now(), values), WORDS.speaker(language))
        assert all(value in said for value in values.values()), said
    assert WORDS.raw("zh", "conditions.title") != WORDS.raw("en", "conditions.title")


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Site]:
    """A site with one condition that stands."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        site = Site(home, store, demo_of(tmp_path))
        conditions = Conditions({"predictor_saturated": lambda: {"count": 7}, "clock_back": lambda: None})
        site.app.include_router(condition_routes.router(conditions, WORDS))
        yield site


def test_the_route_is_for_staff(asked: Site) -> None:
    """A stranger gets 401; staff get name, figures and the sentence."""
    assert asked.client().get("/api/v1/conditions").status_code == 401
    (one,) = asked.client(asked.staff.make_token("sue")).get("/api/v1/conditions").json()
    assert (one["name"], one["values"]) == ("predictor_saturated", {"count": 7})
    assert "7 requests were turned away" in one["words"]
