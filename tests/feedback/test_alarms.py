"""The rejection-rate alarm: the test's own error rates, and its life from verdicts in the log to a person who clears it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from feedback.alarms import Alarms
from feedback.errors import BadInput, Conflict, LogBroken, NotFound
from feedback.rate_jump import JumpRule, Observation, look, upper
from feedback.records import Block, Correction, Prediction, Review
from feedback.store import Store

BEGIN = datetime(2026, 1, 5)  # a Monday


def stream(rng: random.Random, days: int, rate: float, *, jump: int = 10**6, to: float = 0.0) -> list[Observation]:
    """Return ten observations a day; from day `jump` on the rate is `to`."""
    return [
        Observation(BEGIN + timedelta(days=day, minutes=140 * k), rng.random() < (to if day >= jump else rate))
        for day in range(days)
        for k in range(10)
    ]


def test_the_bound_is_clopper_pearsons() -> None:
    """The one-sided 95 % bound of 3 of 30 is that of scipy's exact binomial test, and 1 where all were refused."""
    exact = stats.binomtest(3, 30, alternative="less").proportion_ci(0.95, method="exact").high
    assert upper(3, 30, 0.05) == pytest.approx(exact, rel=1e-9)
    assert upper(30, 30, 0.05) == 1.0


def test_a_steady_rate_seldom_alarms() -> None:
    """40 years of ten observations a day at rate .1: the module's simulation says that .4 % have an alarm, so .2 of 40; the
    binomial law's 99.9 % quantile is 2. The promise itself, a year between alarms, would allow most of them one."""
    rng = random.Random(2)
    end = BEGIN + timedelta(days=365)
    alarms = sum(look(stream(rng, 365, 0.1), end).raised is not None for _ in range(40))
    assert alarms <= stats.binom.ppf(0.999, 40, 0.004)


def test_a_jump_is_seen_soon_and_stays_seen() -> None:
    """From .1 to everything refused on day 70: the module's simulation has a median of some observations; here all of 50 within two
    days. Looking later, with more refusals in the log, finds the same moment."""
    rng = random.Random(3)
    for _ in range(50):
        seen = stream(rng, 90, 0.1, jump=70, to=1.0)
        found = look(seen, BEGIN + timedelta(days=90))
        assert found.raised is not None
        if found.raised < BEGIN + timedelta(days=70):  # a false alarm, at the rate of the test above
            continue
        assert found.raised < BEGIN + timedelta(days=72)
        cut = [one for one in seen if one.created <= found.raised]
        assert look(cut, found.raised) == found


def test_too_little_past_says_nothing() -> None:
    """With 29 observations in the baseline, whatever comes is not judged; rules out of range are refused."""
    seen = [Observation(BEGIN + timedelta(hours=k), False) for k in range(29)]
    seen += [Observation(BEGIN + timedelta(days=10, minutes=k), True) for k in range(60)]
    found = look(seen, BEGIN + timedelta(days=11))
    assert (found.state, found.bound, found.recent.yes, found.before.of) == ("learning", 1.0, 60, 29)
    for bad in ({"needed": 0}, {"between": 1.0}, {"odds": (1.0,)}, {"recent": 0.0}):
        with pytest.raises(BadInput):
            JumpRule(**bad)


class Log:
    """A log that is filled with verdicts, a clock that the test moves, and what the webhook was told."""

    def __init__(self, store: Store, directory: Path) -> None:
        self.store, self.file, self.clock = store, directory / "alarms.json", BEGIN
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.alarms = self.open()
        self._count = 0

    def open(self) -> Alarms:
        """Open the alarms as a start of the app does."""
        return Alarms(self.store, self.file, lambda event, **facts: self.told.append((event, facts)), clock=lambda: self.clock)

    def judge(self, verdict: str, reviewer: str = "policy:agreement", contributor: str = "", times: int = 1) -> None:
        """Store `times` corrections by new contributors, or by one, each with a verdict a minute after the other."""
        rows: list[Any] = []
        for _ in range(times):
            self._count += 1
            self.clock += timedelta(minutes=1)
            n, who = self._count, contributor or f"u_{self._count}"
            rows += [
                Prediction(f"p{n}", who, "", 0, "champion", 1, "t", "h", {"label": "v1"}, 0.5, 1.0, created=self.clock),
                Correction(f"c{n}", f"p{n}", who, {"label": "v2"}, False, created=self.clock),
                Review(f"r{n}", f"c{n}", verdict, None, reviewer, created=self.clock),  # type: ignore[arg-type]
            ]
        self.store.add(*rows)

    def usual(self, reviewer: str = "policy:agreement", days: int = 20) -> None:
        """Let twenty days pass with five contributors a day, every tenth refused."""
        for day in range(days):
            self.judge("reject" if day % 2 else "accept", reviewer)
            self.judge("accept", reviewer, times=4)
            self.clock += timedelta(days=1)


@pytest.fixture
def log(store: Store, tmp_path: Path) -> Log:
    """An empty log."""
    return Log(store, tmp_path)


def test_a_policy_that_fails_is_told_once_and_cleared_by_a_person(log: Log) -> None:
    """A policy that leaves everything undecided raises one alarm with its numbers; it stands over a restart until it is cleared."""
    log.usual()
    assert [(item.source, item.jump.state) for item in log.alarms.watched()] == [("policy:agreement", "steady")]
    log.judge("undecided", times=12)
    (watched,) = log.alarms.watched()
    assert watched.alarm is not None
    assert watched.alarm.before.share == pytest.approx(0.1, abs=0.02)
    assert watched.alarm.recent.yes >= 4
    log.alarms.watched()
    ((event, facts),) = log.told
    assert (event, facts["source"], facts["refused"]) == ("rejection_rate_alarm", "policy:agreement", watched.alarm.recent.yes)
    again = log.open()
    assert again.standing() == [watched.alarm]
    with pytest.raises(BadInput):
        again.clear(watched.alarm.id, "ann", " ")
    cleared = again.clear(watched.alarm.id, "ann", "the gold file was wrong")
    with pytest.raises(Conflict, match="ann"):
        again.clear(watched.alarm.id, "bob", "me too")
    with pytest.raises(NotFound):
        again.clear("a_none", "ann", "x")
    assert log.open().all() == [cleared]
    assert again.standing() == []


def test_what_was_mended_is_no_baseline_and_a_second_failure_is_seen(log: Log) -> None:
    """Cleared as mended, the usual rate stays what it was: the same failure a day later raises again."""
    log.usual()
    log.judge("undecided", times=12)
    (first,) = log.alarms.watched()
    assert first.alarm
    log.clock += timedelta(hours=1)
    log.alarms.clear(first.alarm.id, "ann", "mended")
    assert log.alarms.watched()[0].alarm is None
    log.judge("accept", times=5)
    log.judge("undecided", times=12)
    (second,) = log.alarms.watched()
    assert second.alarm
    assert second.alarm.id != first.alarm.id
    assert second.alarm.before.share < 0.15


def test_a_new_normal_is_learnt_anew(log: Log) -> None:
    """Cleared as the new normal, the same rate raises nothing more, and the baseline is that of the new days."""
    log.usual()
    log.judge("reject", times=12)
    (first,) = log.alarms.watched()
    assert first.alarm
    log.alarms.clear(first.alarm.id, "ann", "a stricter guideline", normal=True)
    for _ in range(20):
        log.judge("reject", times=3)
        log.clock += timedelta(days=1)
    (now,) = log.alarms.watched()
    assert (now.alarm, now.jump.state) == (None, "steady")
    assert now.jump.before.share > 0.5


def test_a_reviewer_is_watched_apart(log: Log) -> None:
    """A reviewer who suddenly rejects everybody raises their own alarm; the policy beside them has none."""
    log.usual("carol")
    log.clock = BEGIN
    log.usual()
    log.judge("reject", "carol", times=15)
    states = {item.source: item.alarm is not None for item in log.alarms.watched()}
    assert states == {"carol": True, "policy:agreement": False}


def test_one_busy_contributor_is_one_observation(log: Log) -> None:
    """A hundred refusals of one contributor within a week count once: no alarm. Blocked ones and imports do not count at all."""
    log.usual()
    before = log.alarms.watched()[0].jump.recent
    log.judge("reject", contributor="u_flood", times=100)
    flooded = log.alarms.watched()[0]
    assert flooded.alarm is None
    assert flooded.jump.recent.yes <= before.yes + 1
    log.store.add(Block("u_flood", True, "ann", "floods", log.clock))
    log.judge("reject", contributor="import:1:a", times=3)
    assert log.alarms.watched()[0].jump.recent.yes <= before.yes


def test_a_verdict_that_changes_counts_as_it_first_was(log: Log) -> None:
    """A policy that takes back what it had accepted, after a block say, has refused nobody anew."""
    log.usual()
    accepted = log.store.rows("SELECT correction_id FROM reviews WHERE verdict = 'accept'")
    log.store.add(
        *(Review(f"again{i}", row["correction_id"], "undecided", None, "policy:agreement", created=log.clock)
          for i, row in enumerate(accepted))
    )  # fmt: skip
    assert log.alarms.watched()[0].alarm is None


def test_a_broken_file_is_told(log: Log) -> None:
    """Alarms that cannot be read stop the start, with the file's name; half a file cannot come about (it is renamed whole)."""
    log.usual()
    log.judge("undecided", times=12)
    log.alarms.watched()
    whole = log.file.read_text(encoding="utf-8")
    for broken in (whole[:40], "[{}]", "7"):
        log.file.write_text(broken, encoding="utf-8")
        with pytest.raises(LogBroken, match=r"alarms\.json"):
            log.open()


def test_it_looks_by_itself(log: Log) -> None:
    """The thread looks at once when it begins, and stops when it is closed."""
    log.usual()
    log.judge("undecided", times=12)
    log.alarms.begin()
    log.alarms.close()
    assert [event for event, _ in log.told] == ["rejection_rate_alarm"]
