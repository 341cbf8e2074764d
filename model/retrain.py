"""Enough new feedback? Snapshot, train in a process of its own, gate, register, offer. It learns nothing itself.

`python -m model.retrain` asks the running app, or does the round itself where no app runs.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from feedback.errors import AmendError, Busy, Conflict, NotFound
from feedback.records import TrainingRun, new_id, now
from feedback.webhook import Delivery, Webhook
from model.job import Job
from model.offering import Offering
from model.process import Progress, ended_words
from model.rounds import LANE, Rounds

_log = logging.getLogger("amend.retrain")
_TICK_SECONDS = 5.0


class Retrainer:
    """Starts, watches, cancels and ends retrainings; one at a time. Safe to use from many threads.

    The lock of an erasure (rounds.erasing) is taken before this one's own, as an erasure does that cancels a run.
    """

    def __init__(self, rounds: Rounds, offering: Offering, webhook: Webhook | None = None) -> None:
        self.rounds = rounds
        self.offering = offering
        self._demo = rounds.demo
        self._experiments = rounds.experiments
        self._versions = rounds.versions
        self._webhook = webhook or Webhook("", rounds.demo.name)
        self._lock = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        self._run: TrainingRun | None = None
        self._cancelled_by = ""
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._ticker: threading.Thread | None = None

    # -- asking --------------------------------------------------------------------------------------------------

    def progress(self) -> Progress | None:
        """Return where the running training is, or None where none runs."""
        run = self._run
        return None if run is None else self.rounds.directory(run.id).progress()

    def feedback(self) -> tuple[int, int]:
        """Return how many corrections stand accepted, and how many of them are newer than the last retraining."""
        return self.rounds.feedback(self.rounds.last_start())

    def last_delivery(self) -> Delivery | None:
        """Return how the last message to the webhook went."""
        return self._webhook.last

    # -- acting --------------------------------------------------------------------------------------------------

    def start(self, trigger: str, author: str) -> TrainingRun:
        """Freeze the accepted feedback and start a training process. Raises Conflict while one runs, BadInput without feedback."""
        with self.rounds.erasing, self._lock:
            self._refuse_second()
            frozen = self.rounds.freeze(trigger, author)
            from_base = self.rounds.from_base_is_due()
            run = replace(frozen.run, detail="from the base") if from_base else frozen.run
            return self._launch(run, self.rounds.learning_job(frozen, self._demo.training.method, from_base=from_base))

    def add(self, directory: Path, author: str) -> TrainingRun:
        """Gate a foreign checkpoint and register it like a retrained one."""
        with self.rounds.erasing, self._lock:
            self._refuse_second()
            run = TrainingRun(
                new_id("t"), "started", self.rounds.newest_snapshot(), 0, None, "added", author, f"added from {directory}"
            )
            judging = run.snapshot if self.rounds.snapshot_is_there(run.snapshot) else ""
            job = replace(self.rounds.job(run, "added", self._experiments.champion, judging), candidate=str(directory))
            return self._launch(run, job)

    def regate(self, number: int, author: str) -> TrainingRun:
        """Gate a registered version against the champion of today; its card gets the new result."""
        with self.rounds.erasing, self._lock:
            self._refuse_second()
            card = self._versions.card(number)
            detail = f"gate of version {number} against the champion of today"
            snapshot = card.snapshot or self.rounds.newest_snapshot()
            run = TrainingRun(new_id("t"), "started", snapshot, 0, number, "gate", author, detail)
            judging = snapshot if self.rounds.snapshot_is_there(snapshot) else ""
            job = self.rounds.job(run, "added", self._experiments.champion, judging)
            return self._launch(run, replace(job, candidate=str(self._versions.path(number))))

    def cancel(self, run_id: str, author: str) -> None:
        """End the running training; nothing of it is registered. Raises NotFound where it is not the running one."""
        with self._lock:
            if self._run is None or self._run.id != run_id or self._process is None:
                raise NotFound(
                    f"no running training {run_id!r}; running: {self._run.id if self._run else 'none'}", code="no_training"
                )
            self._cancelled_by = author
            self._process.terminate()

    # -- the app's life --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take up what a kill cut short, offer what waits, and watch count and schedule from now on."""
        self._recover()
        self._experiments.on_change(self.offer_waiting)
        self.offer_waiting()
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
        last = self.rounds.last_start()
        waited = last is None or now() - last >= timedelta(hours=settings.every_hours)
        return "schedule" if settings.every_hours and new >= settings.at_least and waited else None

    def offer_waiting(self) -> None:
        """Offer the candidate that waits, where the demo offers by itself and no experiment runs."""
        self.offering.offer_waiting(self.regate if self._run is None else None)

    def _tick_forever(self) -> None:
        while not self._stopping.wait(_TICK_SECONDS):
            try:
                trigger = self.due()
                if trigger:
                    self.start(trigger, f"policy:{trigger}")
                elif self._run is None:
                    self.offer_waiting()
            except AmendError as error:  # tried again at the next tick
                _log.warning("a retraining that was due did not start: %s", error)
            except Exception:  # noqa: BLE001  # the thread's outer edge: without it count and schedule would stop unseen
                _log.exception("the watch over count and schedule stumbled; it goes on")

    def _recover(self) -> None:
        again = [row for row in self.rounds.recover() if row["trigger"] != LANE]  # the fast lane sees for itself what is due
        crashed = [row for row in self.rounds.all(3)[1:] if row["state"] == "interrupted"]
        if again and len(crashed) < 2:  # a round that brings the app down twice in a row is left to a person
            try:
                self.start(again[0]["trigger"], again[0]["author"])
            except AmendError as error:  # everything may have been withdrawn since
                _log.warning("a retraining that was cut short was not started anew: %s", error)
        self.rounds.heal_lineage()

    # -- one run ---------------------------------------------------------------------------------------------------

    def _refuse_second(self) -> None:
        if self._run is not None:
            raise Conflict(
                f"training {self._run.id} is running: wait for it, or cancel it",
                code="training_runs",
                values={"run": self._run.id},
            )
        if self._stopping.is_set():
            raise Busy("the app is stopping", code="app_stops")

    def _launch(self, run: TrainingRun, job: Job) -> TrainingRun:
        self.rounds.begin(run)
        try:
            self._process = self.rounds.directory(run.id).launch(job)
        except OSError as error:
            self.rounds.end(self.rounds.dropped(run, words=f"the training process could not start: {error}"))
            raise Busy(
                f"the training process could not start: {error}", code="training_unstarted", values={"problem": error}
            ) from error
        self._run, self._cancelled_by = run, ""
        self._watcher = threading.Thread(target=self._watch, args=(run, self._process), name=f"watch-{run.id}", daemon=True)
        self._watcher.start()
        return run

    def _watch(self, run: TrainingRun, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if self._stopping.is_set() and status != 0:
            self._run = self._process = None
            return  # the row stays "started": the next start takes it up
        with self.rounds.erasing:  # an erasure has cancelled the run by now, or will find its version and the uses of it
            ended = self._ended(run, status)
            self.rounds.end(ended)
            self._run = self._process = None
        self._webhook.tell("candidate", run=run.id, state=ended.state, version=ended.version, detail=ended.detail)
        self.offer_waiting()

    def _ended(self, run: TrainingRun, status: int) -> TrainingRun:
        """Register what came out, unless the run was cancelled in its last moment; return the run in its last state."""
        directory = self.rounds.directory(run.id)
        if status == 0 and not self._cancelled_by:
            return self.rounds.registered(run, directory.candidate)
        said = directory.progress()
        message = said.message if said.stage == "failed" else ended_words(status)
        return self.rounds.dropped(run, cancelled_by=self._cancelled_by, words=message)


if __name__ == "__main__":
    from model.commands import retrain_main

    raise SystemExit(retrain_main())
