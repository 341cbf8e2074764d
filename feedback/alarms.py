"""Raises an alarm where a policy or a reviewer suddenly refuses far more than before; a person clears it. It judges no correction.

An arena dropped every honest vote for three months when its captcha timed out: a filter that fails must not fail silently.
What is counted: the first verdict that a source (a policy, or a reviewer) gave on a correction, of that the first a week and
contributor, so that one busy contributor is one observation and not a hundred. Refused is `reject` or `undecided`. Corrections
of blocked contributors, of imports and of our own policies are left out. The test and its false alarms: rate_jump.py.

Raised alarms and what cleared them are kept in one file of the home (`alarms.json`); they name sources and
numbers, no contributor and no text.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from feedback.errors import AmendError, BadInput, Conflict, LogBroken, NotFound
from feedback.home import write_atomically
from feedback.rate_jump import Jump, JumpRule, Observation, Rate, look
from feedback.records import new_id, now
from feedback.store import Store
from feedback.watcher import Watcher
from feedback.webhook import Tell

_LOG = logging.getLogger(__name__)
_MAX_REASON = 1000
_STARTS = 60  # days in which a bet may have begun; before them are the baseline's own days

_VERDICTS = """
WITH first AS (
    SELECT r.reviewer AS source, r.correction_id, min(r.created) AS created, arg_min(r.verdict, r.created) AS verdict
    FROM reviews r WHERE r.verdict <> 'reopen' GROUP BY r.reviewer, r.correction_id)
SELECT f.source, f.created, f.verdict IN ('reject', 'undecided') AS refused
FROM first f JOIN corrections c ON c.id = f.correction_id
ANTI JOIN (SELECT contributor FROM current_blocks WHERE blocked) b ON b.contributor = c.contributor
WHERE f.created >= ? AND f.created <= ?
  AND NOT starts_with(c.contributor, 'policy:') AND NOT starts_with(c.contributor, 'import:')
QUALIFY row_number() OVER (
    PARTITION BY f.source, c.contributor, date_trunc('week', f.created) ORDER BY f.created, f.correction_id) = 1
ORDER BY f.created, f.correction_id
"""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The share of refusals by `source` has jumped. `cleared` is None while it stands.

    `recent` counts contributors in the seven days up to `raised`, `before` those of its baseline, whose upper bound is `bound`.
    """

    id: str
    source: str
    raised: datetime
    recent: Rate
    before: Rate
    bound: float
    noticed: datetime
    cleared: datetime | None = None
    author: str = ""
    reason: str = ""
    normal: bool = False  # cleared as the new normal: what came before is no baseline any more


class Watched(NamedTuple):
    """What the test says of one source now; `alarm` is the one that stands, if any."""

    source: str
    jump: Jump
    alarm: Alarm | None


class Alarms:
    """Looks at every source, keeps what was raised, and lets people clear it. Safe to use from many threads."""

    def __init__(
        self,
        store: Store,
        file: Path,
        tell: Tell | None = None,
        *,
        rule: JumpRule | None = None,
        seconds: float = 300.0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._file = file
        self._tell = tell
        self._rule = rule or JumpRule()
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = _read(file)
        self._watcher = Watcher(
            "alarms",
            self.watched,
            seconds,
            _LOG,
            "the rejection rates could not be looked at",
            at_once=True,
            expected=(AmendError, OSError),
        )

    # -- reading -------------------------------------------------------------------------------------------------

    def all(self) -> list[Alarm]:
        """Return every alarm that was ever raised, newest first."""
        with self._lock:
            return sorted(self._kept.values(), key=lambda alarm: alarm.raised, reverse=True)

    def standing(self) -> list[Alarm]:
        """Return the alarms that nobody has cleared, newest first."""
        return [alarm for alarm in self.all() if alarm.cleared is None]

    def watched(self) -> list[Watched]:
        """Look at every source; keep and tell what is newly raised. Sources are in the order of their names."""
        at = self._clock()
        span = timedelta(days=self._rule.recent + self._rule.memory + _STARTS)
        seen: dict[str, list[Observation]] = {}
        for row in self._store.rows(_VERDICTS, [at - span, at]):
            seen.setdefault(str(row["source"]), []).append(Observation(row["created"], bool(row["refused"])))
        return [self._look(source, seen[source], at) for source in sorted(seen)]

    def _look(self, source: str, seen: list[Observation], at: datetime) -> Watched:
        with self._lock:
            earlier = [alarm for alarm in self._kept.values() if alarm.source == source]
            start: datetime | None = None
            for alarm in earlier:
                if alarm.cleared is not None:
                    start = alarm.cleared if start is None else max(start, alarm.cleared)
                    seen = [o for o in seen if not _left_out(o, alarm, self._rule)]
            jump = look(seen, at, self._rule, watch_from=start)
            stands = next((alarm for alarm in earlier if alarm.cleared is None), None)
            if stands is not None or jump.raised is None:
                return Watched(source, jump, stands)
            raised = Alarm(new_id("a"), source, jump.raised, jump.recent, jump.before, round(jump.bound, 4), at)
            self._keep(raised)
        if self._tell:
            self._tell(
                "rejection_rate_alarm",
                alarm=raised.id,
                source=source,
                raised=raised.raised.isoformat(timespec="seconds"),
                refused=raised.recent.yes,
                of=raised.recent.of,
                refused_before=raised.before.yes,
                of_before=raised.before.of,
            )
        return Watched(source, jump, raised)

    # -- clearing ------------------------------------------------------------------------------------------------

    def clear(self, alarm_id: str, author: str, reason: str, *, normal: bool = False) -> Alarm:
        """Clear an alarm for a stated reason; watching goes on from now.

        By default what went wrong has been mended: the days of the alarm are no baseline, those before it are. With
        `normal` the new rate is as it should be: the baseline is learnt anew from the alarm on.
        """
        reason = reason.strip()
        if not reason or len(reason) > _MAX_REASON:
            raise BadInput(
                f"the reason has {len(reason)} characters: between 1 and {_MAX_REASON} are needed", code="reason_needed"
            )
        with self._lock:
            alarm = self._kept.get(alarm_id)
            if alarm is None:
                raise NotFound(f"no alarm {alarm_id!r}", code="no_alarm")
            if alarm.cleared is not None:
                raise Conflict(
                    f"{alarm.author} has cleared this alarm already: {alarm.reason}",
                    code="alarm_cleared",
                    values={"author": alarm.author, "reason": alarm.reason},
                )
            cleared = replace(alarm, cleared=self._clock(), author=author, reason=reason, normal=normal)
            self._keep(cleared)
        return cleared

    def _keep(self, alarm: Alarm) -> None:
        """Write all alarms with this one's new state, whole, before it counts."""
        kept = {**self._kept, alarm.id: alarm}
        rows = [asdict(each) for each in kept.values()]
        write_atomically(self._file, json.dumps(rows, default=lambda value: value.isoformat(), ensure_ascii=False, indent=1))
        self._kept = kept

    # -- watching by itself --------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start looking now and then."""
        self._watcher.begin()

    def close(self) -> None:
        """Stop looking; a look under way is finished first."""
        self._watcher.close()


def _left_out(seen: Observation, alarm: Alarm, rule: JumpRule) -> bool:
    """Return whether a cleared alarm takes an observation out of the baselines that follow."""
    if alarm.normal:
        return seen.created < alarm.raised
    return alarm.raised - timedelta(days=rule.recent) <= seen.created < (alarm.cleared or alarm.raised)


def _read(file: Path) -> dict[str, Alarm]:
    if not file.exists():
        return {}
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {str(row["id"]): _alarm(row) for row in rows}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LogBroken(f"{file}: not the alarms as this app writes them; move it away to start without: {error}") from error


def _alarm(raw: dict[str, Any]) -> Alarm:
    times = {name: datetime.fromisoformat(raw[name]) if raw[name] else None for name in ("raised", "noticed", "cleared")}
    return Alarm(**{**raw, **times, "recent": Rate(*raw["recent"]), "before": Rate(*raw["before"])})
