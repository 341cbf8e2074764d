"""Enough new feedback? Snapshot, train in a process of its own, gate, register, offer. It learns nothing itself.

`python -m model.retrain` asks the running app, or does the round itself where no app runs.
"""

from __future__ import annotations

import json
import logging
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from feedback.demo import Demo
from feedback.errors import AmendError, Busy, Conflict, NotFound
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Json, TrainingRun, Use, new_id, now
from feedback.store import Store
from feedback.training_set import Snapshot, freeze_accepted, read_snapshot, weighing_of
from feedback.webhook import Delivery, Webhook
from model.job import Job, Kind
from model.ledger import Ledger, ledger_of
from model.lineage import carries_erased, clean_parent
from model.process import Progress, RunDirectory
from model.versions import Card, Versions

_log = logging.getLogger("amend.retrain")
_TICK_SECONDS = 5.0


class Retrainer:
    """Starts, watches, cancels and ends retrainings; one at a time. Safe to use from many threads.

    `erasing` is the lock that an erasure holds (erasing.py): a run begins, and its version is registered, before or after
    an erasure and never in the midst of one. It is taken before this one's own lock, as an erasure does that cancels a run.
    """

    def __init__(
        self,
        demo: Demo,
        home: Home,
        store: Store,
        experiments: Experiments,
        versions: Versions,
        webhook: Webhook | None = None,
        erasing: threading.Lock | None = None,
    ) -> None:
        self._demo = demo
        self._home = home
        self._store = store
        self._experiments = experiments
        self._versions = versions
        self._webhook = webhook or Webhook("", demo.name)
        self._erasing = erasing or threading.Lock()
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._run: TrainingRun | None = None
        self._cancelled_by = ""
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._ticker: threading.Thread | None = None

    # -- asking --------------------------------------------------------------------------------------------------

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest runs, newest first, in their last state."""
        return self._store.rows("SELECT * FROM current_training_runs ORDER BY began DESC LIMIT ?", [limit])

    def progress(self) -> Progress | None:
        """Return where the running training is, or None where none runs."""
        run = self._run
        return None if run is None else self._directory(run.id).progress()

    def waiting(self) -> Card | None:
        """Return the passed candidate that waits for its turn: the newest one that no experiment has tried.

        One that carries what was erased since is left out: the next retraining makes one that does not.
        """
        tried = {variant.version for experiment in self._experiments.all() for variant in experiment.variants}
        tried.add(self._experiments.champion)
        tried |= {int(row["version"]) for row in self._store.rows("SELECT DISTINCT version FROM promotions")}
        cards, erased = self._lineage()
        newer = [
            card for card in cards.values()
            if card.number > max(tried) and card.verdict == "passed" and not carries_erased(card.number, cards, erased)
        ]  # fmt: skip
        return newer[-1] if newer else None

    def feedback(self) -> tuple[int, int]:
        """Return how many corrections stand accepted, and how many of them are newer than the last retraining."""
        rows = self._store.rows(
            """SELECT count(*) AS n, count(*) FILTER (WHERE reviewed > coalesce(?::TIMESTAMP, TIMESTAMP '1970-01-01')) AS fresh
               FROM current_corrections WHERE status = 'accepted'""",
            [self._last_start()],
        )
        return int(rows[0]["n"]), int(rows[0]["fresh"])

    def believed_contributors(self) -> tuple[int, int]:
        """Return how many contributors gave what stands accepted without a reviewer, and how many the cap on each needs."""
        sql = """SELECT count(DISTINCT contributor) AS n FROM current_corrections
                 WHERE status = 'accepted' AND starts_with(reviewer, 'policy:')"""
        return int(self._store.rows(sql)[0]["n"]), self._demo.acceptance.caps().fewest

    def weighing(self, card: Card) -> Mapping[str, Json]:
        """Return how the feedback that a version learned was weighed (weighing.Round.told); empty where nothing tells."""
        return weighing_of(self._home.snapshots / card.snapshot) if card.snapshot else {}

    def ledger(self, card: Card) -> Ledger | None:
        """Return how often the items had judged that judged a version; None where no gate did."""
        return ledger_of(self._store, card)

    def last_delivery(self) -> Delivery | None:
        """Return how the last message to the webhook went."""
        return self._webhook.last

    # -- acting --------------------------------------------------------------------------------------------------

    def start(self, trigger: str, author: str) -> TrainingRun:
        """Freeze the accepted feedback and start a training process. Raises Conflict while one runs, BadInput without feedback.

        It starts from the champion's weights, or from its newest ancestor's that carry nothing erased (lineage.py).
        """
        with self._erasing, self._lock:
            self._refuse_second()
            champion = self._experiments.champion
            parent = clean_parent(champion, *self._lineage())
            snapshot = freeze_accepted(self._store, self._home.snapshots, self._demo.acceptance.caps())
            passed = parent != champion
            detail = f"from version {parent}: version {champion} learned from what was erased since" if passed else ""
            run = TrainingRun(new_id("t"), "started", snapshot.id, len(snapshot.train), None, trigger, author, detail)
            job = self._job(run, "retrain", champion, snapshot)
            if passed:
                job = replace(job, parent=str(self._versions.path(parent)), parent_version=parent, passed_over=champion)
            return self._launch(run, job)

    def add(self, directory: Path, author: str) -> TrainingRun:
        """Gate a foreign checkpoint and register it like a retrained one."""
        with self._erasing, self._lock:
            self._refuse_second()
            run = TrainingRun(
                new_id("t"), "started", self._newest_snapshot(), 0, None, "added", author, f"added from {directory}"
            )
            job = replace(self._job(run, "added", self._experiments.champion, None), candidate=str(directory))
            if run.snapshot:
                job = replace(job, snapshot=str(self._home.snapshots / run.snapshot))
            return self._launch(run, job)

    def regate(self, number: int, author: str) -> TrainingRun:
        """Gate a registered version against the champion of today; its card gets the new result."""
        with self._erasing, self._lock:
            self._refuse_second()
            card = self._versions.card(number)
            detail = f"gate of version {number} against the champion of today"
            run = TrainingRun(new_id("t"), "started", card.snapshot or self._newest_snapshot(), 0, number, "gate", author, detail)
            job = replace(self._job(run, "added", self._experiments.champion, None), candidate=str(self._versions.path(number)))
            if run.snapshot and (self._home.snapshots / run.snapshot).is_dir():
                job = replace(job, snapshot=str(self._home.snapshots / run.snapshot))
            return self._launch(run, job)

    def cancel(self, run_id: str, author: str) -> None:
        """End the running training; nothing of it is registered. Raises NotFound where it is not the running one."""
        with self._lock:
            if self._run is None or self._run.id != run_id or self._process is None:
                raise NotFound(f"no running training {run_id!r}; running: {self._run.id if self._run else 'none'}")
            self._cancelled_by = author
            self._process.terminate()

    def offer(self, number: int, share: float | None, author: str, reason: str = "") -> Any:
        """Make a version the challenger. What the gate did not pass is offered only with a reason."""
        card = self._versions.card(number)
        self._ask_reason(card, reason, "offered")
        settings = self._demo.experiment
        chosen = settings.challenger_share if share is None else share
        return self._experiments.offer(number, share=chosen, author=author, reason=reason, defaults=settings.declared())

    def promote(self, number: int, author: str, reason: str = "") -> Any:
        """Make a version the champion. What the gate did not pass is promoted only with a reason."""
        self._ask_reason(self._versions.card(number), reason, "promoted")
        return self._experiments.promote(number, author, reason)

    def _ask_reason(self, card: Card, reason: str, what: str) -> None:
        if card.verdict not in ("passed", "first") and not reason.strip():
            raise Conflict(f"the gate's verdict on version {card.number} is {card.verdict!r}: it is {what} only with a reason")

    # -- the app's life --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take up what a kill cut short, offer what waits, and watch count and schedule from now on."""
        self._recover()
        self._experiments.on_change(self._offer_waiting)
        self._offer_waiting()
        self._ticker = threading.Thread(target=self._tick_forever, name="retrain-ticker", daemon=True)
        self._ticker.start()

    def close(self) -> None:
        """Stop watching; a running training is ended and will be taken up at the next start."""
        self._stopping.set()
        process, watcher = self._process, self._watcher
        if process is not None:
            process.terminate()
        for thread in (watcher, self._ticker):
            if thread is not None and thread is not threading.current_thread():
                thread.join(timeout=30)

    def wait(self, timeout: float | None = None) -> None:
        """Block until the running training has ended and is registered."""
        if self._watcher is not None:
            self._watcher.join(timeout)

    def due(self) -> str | None:
        """Return the trigger that calls for a retraining now: `count`, `schedule` or None."""
        settings = self._demo.retraining
        if self._run is not None or not (settings.after_accepted or settings.every_hours):
            return None
        _, new = self.feedback()
        if settings.after_accepted and new >= settings.after_accepted:
            return "count"
        last = self._last_start()
        waited = last is None or now() - last >= timedelta(hours=settings.every_hours)
        return "schedule" if settings.every_hours and new >= settings.at_least and waited else None

    def _last_start(self) -> Any:
        rows = self._store.rows(
            "SELECT max(created) AS last FROM training_runs WHERE state = 'started' AND \"trigger\" NOT IN ('gate', 'added')"
        )
        return rows[0]["last"]

    def _tick_forever(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            try:
                trigger = self.due()
                if trigger:
                    self.start(trigger, f"policy:{trigger}")
                else:
                    self._offer_waiting()
            except AmendError as error:  # tried again at the next tick
                _log.warning("a retraining that was due did not start: %s", error)
            except Exception:  # noqa: BLE001  # the thread's outer edge: without it count and schedule would stop unseen
                _log.exception("the watch over count and schedule stumbled; it goes on")

    def _recover(self) -> None:
        cut = [row for row in self.runs() if row["state"] == "started"]
        for row in cut:
            self._directory(row["id"]).drop_candidate()
            fields = {name: row[name] for name in ("id", "snapshot", "examples", "version", "trigger", "author")}
            self._store.add(TrainingRun(state="interrupted", detail="the app ended while it ran; started anew", **fields))
        again = [row for row in cut if row["trigger"] not in ("gate", "added")]
        crashed = [row for row in self.runs(3)[1:] if row["state"] == "interrupted"]
        if again and len(crashed) < 2:  # a round that brings the app down twice in a row is left to a person
            try:
                self.start(again[0]["trigger"], again[0]["author"])
            except AmendError as error:  # everything may have been withdrawn since
                _log.warning("a retraining that was cut short was not started anew: %s", error)
        self._heal_lineage()

    def _heal_lineage(self) -> None:
        """Give versions whose uses were not stored (a kill, a full disk) the lineage that their snapshot tells."""
        known = {int(row["version"]) for row in self._store.rows("SELECT DISTINCT version FROM uses")}
        for card in self._versions.cards():
            if card.kind == "retrain" and card.snapshot and card.number not in known:
                try:
                    self._store.add(*_uses(card, read_snapshot(self._home.snapshots / card.snapshot)))
                except AmendError as error:
                    _log.warning("the lineage of version %d could not be told: %s", card.number, error)

    # -- one run ---------------------------------------------------------------------------------------------------

    def _refuse_second(self) -> None:
        if self._run is not None:
            raise Conflict(f"training {self._run.id} is running: wait for it, or cancel it")
        if self._stopping.is_set():
            raise Busy("the app is stopping")

    def _lineage(self) -> tuple[dict[int, Card], set[int]]:
        """Return the cards by number, and the numbers of the versions that erasures name."""
        named = self._store.rows("SELECT versions FROM erasures")
        return {card.number: card for card in self._versions.cards()}, {n for row in named for n in json.loads(row["versions"])}

    def _job(self, run: TrainingRun, kind: Kind, champion: int, snapshot: Snapshot | None) -> Job:
        directory = self._directory(run.id)
        directory.path.mkdir(parents=True)
        return Job(
            demo=str(self._demo.path),
            out=str(directory.candidate),
            progress=str(directory.progress_file),
            method=self._demo.training.method,
            kind=kind,
            number=self._versions.next_number(),
            parent=str(self._versions.path(champion)) if snapshot else None,
            parent_version=champion if snapshot else None,
            champion=str(self._versions.path(champion)),
            champion_version=champion,
            snapshot=str(self._home.snapshots / snapshot.id) if snapshot else None,
            trigger=run.trigger,
        )

    def _launch(self, run: TrainingRun, job: Job) -> TrainingRun:
        self._store.add(run)
        try:
            self._process = self._directory(run.id).launch(job)
        except OSError as error:
            self._store.add(replace(run, state="failed", detail=f"the training process could not start: {error}", created=now()))
            raise Busy(f"the training process could not start: {error}") from error
        self._run, self._cancelled_by = run, ""
        self._watcher = threading.Thread(target=self._watch, args=(run, self._process), name=f"watch-{run.id}", daemon=True)
        self._watcher.start()
        return run

    def _watch(self, run: TrainingRun, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if self._stopping.is_set() and status != 0:
            self._run = self._process = None
            return  # the row stays "started": the next start takes it up
        with self._erasing:  # an erasure has cancelled the run by now, or will find its version and the uses of it
            ended = self._ended(run, status)
            try:
                self._store.add(ended)
            except AmendError as error:  # a full disk: the next start finds the run "started" and takes it up
                _log.error("the end of training %s (%s) could not be stored: %s", run.id, ended.state, error)
            finally:
                self._run = self._process = None
        self._webhook.tell("candidate", run=run.id, state=ended.state, version=ended.version, detail=ended.detail)
        self._offer_waiting()

    def _ended(self, run: TrainingRun, status: int) -> TrainingRun:
        """Register what came out, unless the run was cancelled in its last moment; return the run in its last state."""
        directory = self._directory(run.id)
        try:
            done = status == 0 and not self._cancelled_by
            return self._register(run, directory.candidate) if done else self._failed(run, status)
        except Exception as error:  # noqa: BLE001  # the thread's outer edge: whatever it is, the run must end and say so
            _log.exception("training %s could not be registered", run.id)
            directory.drop_candidate()
            return replace(run, state="failed", detail=f"trained, but not registered: {error}", created=now())

    def _register(self, run: TrainingRun, candidate: Path) -> TrainingRun:
        if run.trigger == "gate" and run.version is not None:
            gated = self._versions.regated(run.version, candidate)
            return replace(run, state=_state(gated), detail=run.detail, created=now())
        number = self._versions.adopt(candidate)
        card = self._versions.card(number)
        if run.trigger != "added":
            self._store.add(*_uses(card, read_snapshot(self._home.snapshots / run.snapshot)))
        return replace(run, state=_state(card), version=number, detail=run.detail, created=now())

    def _failed(self, run: TrainingRun, status: int) -> TrainingRun:
        directory = self._directory(run.id)
        directory.drop_candidate()
        if self._cancelled_by:
            return replace(run, state="cancelled", detail=f"cancelled by {self._cancelled_by}", created=now())
        said = directory.progress()
        message = said.message if said.stage == "failed" else f"the training process ended with status {status}"
        return replace(run, state="failed", detail=message, created=now())

    def _offer_waiting(self) -> None:
        """Offer the candidate that waits, once no experiment runs. One that was gated against an older champion is gated again."""
        if self._demo.experiment.offer != "automatic" or self._experiments.current is not None or self._run is not None:
            return
        card = self.waiting()
        if card is None:
            return
        try:
            if card.champion_version != self._experiments.champion:
                if not self._gate_failed(card.number):
                    self.regate(card.number, "policy:offer")
            else:
                self.offer(card.number, None, "policy:offer", "passed the gate")
        except AmendError as error:
            _log.warning("version %d could not be offered: %s", card.number, error)

    def _gate_failed(self, number: int) -> bool:
        """Whether a renewed gate of this version broke down: then a person starts it again, not a timer."""
        sql = "SELECT 1 FROM training_runs WHERE \"trigger\" = 'gate' AND version = ? AND state IN ('failed', 'cancelled')"
        return bool(self._store.rows(sql, [number]))

    def _newest_snapshot(self) -> str:
        rows = self._store.rows("SELECT snapshot FROM training_runs WHERE snapshot <> '' ORDER BY created DESC LIMIT 1")
        return str(rows[0]["snapshot"]) if rows else ""

    def _directory(self, run_id: str) -> RunDirectory:
        return RunDirectory(self._home.runs / run_id)


def _uses(card: Card, snapshot: Snapshot) -> list[Use]:
    uses = [Use(e.correction_id, card.number, snapshot.id, "train") for e in snapshot.train]
    return uses + [Use(e.correction_id, card.number, snapshot.id, "gate") for e in snapshot.gate]


def _state(card: Card) -> Any:
    return card.verdict if card.verdict in ("passed", "refused", "undecided") else "undecided"


if __name__ == "__main__":
    from model.commands import retrain_main

    raise SystemExit(retrain_main())
