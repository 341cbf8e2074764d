"""What is seen of an opened house from outside: its gauges for Prometheus, and the conditions that its rooms may be in. It wires."""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import partial
from typing import Protocol

from feedback import probes
from feedback.backups import Backups
from feedback.checkpoint import wal_bytes
from feedback.conditions import Conditions
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.metrics import Kept, Meter
from feedback.records import now
from feedback.room import Room
from feedback.store import Store
from feedback.webhook import Webhook
from model.retrain import Retrainer

_COUNTED_SECONDS = 30.0
"""Gauges that count rows of the whole log are read anew this often, however often somebody scrapes."""


class Serving(Protocol):
    """What is looked at of the predictor."""

    @property
    def waiting(self) -> int:
        """How many requests wait for a worker."""

    def loaded(self) -> list[int]:
        """Return the versions in memory."""

    def warm(self, version: int) -> None:
        """Load a version."""


def observe(
    meter: Meter, home: Home, store: Store, serving: Serving, experiments: Experiments,
    retrainer: Retrainer, room: Room, backups: Backups, webhook: Webhook,
) -> Conditions:  # fmt: skip
    """Register every gauge with the meter and return the conditions; both read the rooms when they are asked."""
    store.listen(meter)
    refusals, turned_away = probes.Refusals(), probes.Lately()
    store.listen(refusals)
    meter.busy_hooks.append(turned_away.happened)
    conditions = Conditions(
        {
            "disk_low": partial(probes.disk_low, store.file),
            "log_refuses": refusals.probe,
            "backup_failed": partial(probes.backup_failed, backups),
            "backup_old": partial(probes.backup_old, backups),
            "retraining_failing": partial(probes.retraining_failing, store),
            "predictor_saturated": partial(probes.saturated, turned_away),
            "version_unloadable": partial(probes.unloadable, experiments.serving, serving.loaded, serving.warm),
            "clock_back": probes.Clock(store).probe,
        },
        webhook.tell,
    )
    _gauges(meter, home, store, serving, experiments, retrainer, room, backups)
    meter.watch("amend_condition", "1 while the condition stands", lambda: _stands(conditions), "name")
    return conditions


def _gauges(
    meter: Meter, home: Home, store: Store, serving: Serving, experiments: Experiments,
    retrainer: Retrainer, room: Room, backups: Backups,
) -> None:  # fmt: skip
    watch = meter.watch
    watch("amend_predictor_waiting", "Requests that wait in the model's queue", lambda: float(serving.waiting))
    watch("amend_log_waiting", "Writes that wait for the log's writer", lambda: float(store.waiting()))
    watch("amend_version_loaded", "1 for each version in memory", lambda: {str(v): 1.0 for v in serving.loaded()}, "version")
    watch("amend_champion", "The version that serves", lambda: float(experiments.champion))
    watch("amend_disk_free_bytes", "Bytes free under the home", lambda: float(shutil.disk_usage(home.directory).free))
    watch("amend_log_bytes", "Bytes of the log's file", lambda: float(store.file.stat().st_size))
    watch("amend_log_wal_bytes", "Bytes of the log's write-ahead log", lambda: float(wal_bytes(store.file)))
    unlearned = Kept(partial(_unlearned, retrainer), _COUNTED_SECONDS)
    watch("amend_retraining_new", "Accepted corrections that no training has seen", unlearned)
    watch("amend_retraining_running", "1 while a training runs", lambda: float(retrainer.progress() is not None))
    watch(
        "amend_alarms_standing",
        "Alarms about rejection rates that nobody has cleared",
        lambda: float(len(room.alarms.standing())),
    )
    watch("amend_corrections", "Corrections by status", Kept(partial(_by_status, store), _COUNTED_SECONDS), "status")
    watch(
        "amend_policy_rejection_ratio",
        "Share of each policy's verdicts of seven days that refuse",
        Kept(partial(_rejections, store), _COUNTED_SECONDS),
        "policy",
    )
    watch("amend_backup_age_seconds", "Age of the newest verified backup", lambda: _age(backups))


def _by_status(store: Store) -> dict[str, float]:
    rows = store.rows("SELECT status, count(*) AS n FROM current_corrections GROUP BY status")
    return {str(row["status"]): float(row["n"]) for row in rows}


def _unlearned(retrainer: Retrainer) -> float:
    return float(retrainer.feedback()[1])


def _rejections(store: Store) -> dict[str, float]:
    rows = store.rows(
        """SELECT reviewer, avg((verdict IN ('reject', 'undecided'))::INTEGER) AS share FROM reviews
           WHERE starts_with(reviewer, 'policy:') AND created > ? GROUP BY reviewer""",
        [now() - timedelta(days=7)],
    )
    return {str(row["reviewer"]): float(row["share"]) for row in rows}


def _age(backups: Backups) -> float:
    newest = backups.newest()
    return (now() - newest.made).total_seconds() if newest else float("nan")


def _stands(conditions: Conditions) -> dict[str, float]:
    standing = {condition.name for condition in conditions.standing()}
    return {name: float(name in standing) for name in conditions.names}
