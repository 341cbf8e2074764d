"""The fast lane: some seconds after feedback is accepted, a cheap method has learned it and a challenger serves it.

A resident process (resident.py) refits, on everything that is accepted now, and the same gate judges. Where a head on the frozen
network is a serious model (texts), it is the one method; else the methods are tried from the cheapest until one passes.
It learns only while its candidate could be offered: an experiment that has begun to tell something is not disturbed.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import replace
from typing import Any, NamedTuple

from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.records import Experiment, TrainingRun
from feedback.store import Store
from feedback.training_set import accepted, part_of
from feedback.watcher import Watcher
from feedback.webhook import Webhook
from model.gate import FEEDBACK_LEAST
from model.network_task import NetworkTask
from model.offering import Offering
from model.own_model import OWN
from model.resident import Resident
from model.rounds import LANE, Rounds
from model.task import task_type

AUTHOR = f"policy:{LANE}"
GROWTH = 0.1
"""A round waits until what is accepted has grown by a tenth: each looks at the gate's items again, so there must not be many."""
FEWEST = 20
"""A challenger of the lane that fewer people have met is replaced by the lane's next: an analysis begins with 20 (analysis/metrics.py)."""
_SECONDS = 1.0
_IDLE_SECONDS = 1800.0
_log = logging.getLogger("amend.lane")


class State(NamedTuple):
    """What the lane does: `off`, `running`, `few` (too little to judge on), `experiment` (one runs), `ready` (waits for more)."""

    name: str
    new: int = 0
    needed: int = 0
    experiment: str = ""


class Served(NamedTuple):
    """A challenger of the lane: the seconds from the newest acceptance that it learned to the moment when it was offered."""

    version: int
    seconds: float


class Lane:
    """Watches what is accepted, has it learned, and offers what passes. One round at a time, beside a retraining."""

    def __init__(
        self, rounds: Rounds, offering: Offering, store: Store, resident: Resident, webhook: Webhook | None = None
    ) -> None:
        self._rounds = rounds
        self._offering = offering
        self._store = store
        self._resident = resident
        self._experiments: Experiments = rounds.experiments
        self._webhook = webhook or Webhook("", rounds.demo.name)
        kind = task_type(rounds.demo.task)
        network = ("head",) if kind.frozen_head else ("head", "top")
        self._methods = network if issubclass(kind, NetworkTask) else (OWN,)
        self._watcher = Watcher("lane", self._look, _SECONDS, _log, "the fast lane stumbled; it goes on")
        self._lock = threading.Lock()
        self._run: TrainingRun | None = None
        self._cancelled_by = ""
        self._closing = False
        self._seen: Any = ()
        self._used = time.monotonic()

    # -- asking --------------------------------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether the demo has a fast lane."""
        return self._rounds.demo.retraining.lane_after_accepted > 0

    def state(self) -> State:
        """Return what the lane does, or waits for."""
        if not self.on:
            return State("off")
        if self._run is not None:
            return State("running")
        current = self._experiments.current
        if current is not None and not self._replaceable(current):
            return State("experiment", experiment=current.name)
        new, needed = self._counted()
        if new >= needed:
            judging = self._judging()
            if judging < FEEDBACK_LEAST:
                return State("few", judging, FEEDBACK_LEAST)
        return State("ready", new, needed)

    def last_served(self) -> Served | None:
        """Return the newest challenger of the lane and how soon it served; None before the first."""
        offered = self._store.rows(
            "SELECT created, variants->1->>'version' AS version FROM experiments WHERE author = ? AND number = 1 "
            "ORDER BY created DESC LIMIT 1",
            [AUTHOR],
        )
        if not offered:
            return None
        version = int(offered[0]["version"])
        seconds = self._store.rows(
            """SELECT epoch($1::TIMESTAMP - max(r.created)) AS seconds FROM reviews r JOIN uses u ON u.correction_id = r.correction_id
               WHERE u.version = $2 AND r.created <= (SELECT max(began) FROM current_training_runs WHERE version = $2)""",
            [offered[0]["created"], version],
        )[0]["seconds"]
        return None if seconds is None else Served(version, float(seconds))

    # -- the app's life --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Watch from now on, where the demo has a lane."""
        if self.on:
            self._watcher.begin()

    def close(self) -> None:
        """Stop watching and end the resident process; a round under way is noted as cancelled."""
        self._closing = True
        self.forget("the end of the app")
        self._watcher.close()
        self._resident.stop()

    def forget(self, author: str) -> None:
        """End the resident process, which remembers features of people's texts; a round under way is cancelled by `author`."""
        with self._lock:
            if self._run is not None:
                self._cancelled_by = author
            self._resident.stop()

    def _look(self) -> None:
        if self._resident.running and time.monotonic() - self._used > _IDLE_SECONDS:
            self._resident.stop()
        reviews = self._store.rows("SELECT count(*) AS n, max(created) AS newest FROM reviews")[0]
        current = self._experiments.current
        seen = (reviews["n"], reviews["newest"], self._experiments.champion, current and (current.name, current.number))
        if seen == self._seen:
            return
        self._seen = seen
        state = self.state()
        if state.name == "ready" and state.new >= state.needed:
            self.round()
        elif state.name == "ready" and state.new:
            self._warm()

    def _warm(self) -> None:
        """Have the process ready by the time that enough is accepted."""
        if self._resident.running:
            return
        self._used = time.monotonic()
        error = self._resident.warm(self._rounds.demo.path, self._rounds.versions.path(self._experiments.champion))
        if error and not self._closing:
            _log.warning("the fast lane's process could not be warmed: %s", error)

    # -- a round ---------------------------------------------------------------------------------------------------

    def round(self) -> TrainingRun:
        """Learn what is accepted now by the cheapest method that passes the gate, and offer it. Returns the last run's end."""
        for method in self._methods:
            ended = self._learned(method)
            if ended.state not in ("refused", "undecided"):
                break
        if ended.state == "passed":
            self._offer(int(ended.version or 0))
        return ended

    def _learned(self, method: str) -> TrainingRun:
        with self._rounds.erasing:
            frozen = self._rounds.freeze(LANE, AUTHOR)
            job = self._rounds.learning_job(frozen, method)
            run = replace(frozen.run, detail=f"method {method}" + (f"; {frozen.run.detail}" if frozen.run.detail else ""))
            self._rounds.begin(run)
            with self._lock:
                self._run, self._cancelled_by = run, "the end of the app" if self._closing else ""
        directory = self._rounds.directory(run.id)
        file = directory.path / "job.json"
        file.write_text(job.to_json(), encoding="utf-8")
        error = self._resident.run(file)
        self._used = time.monotonic()
        with self._rounds.erasing:  # an erasure has cancelled the round by now, or will find its version and the uses of it
            with self._lock:
                cancelled, self._run = self._cancelled_by, None
            if error or cancelled:
                ended = self._rounds.dropped(run, cancelled_by=cancelled, words=error)
            else:
                ended = self._rounds.registered(run, directory.candidate)
            self._rounds.end(ended)
        self._webhook.tell("candidate", run=run.id, state=ended.state, version=ended.version, detail=ended.detail)
        return ended

    def _offer(self, version: int) -> None:
        """Offer what passed; a challenger of the lane that hardly anybody has met makes room for it."""
        current = self._experiments.current
        if current is not None and self._rounds.demo.experiment.offer == "automatic" and self._replaceable(current):
            met = self._met(current)
            try:
                self._experiments.act(
                    current.name, "stop", AUTHOR, f"version {version} has learned more; {met} people had met this one"
                )
            except AmendError as error:  # somebody changed it meanwhile: the new one waits for its turn
                _log.warning("%s could not be replaced: %s", current.name, error)
        self._offering.offer_waiting(None)

    # -- what is due -----------------------------------------------------------------------------------------------

    def _counted(self) -> tuple[int, int]:
        """Return how many corrections were accepted since the last round, and how many are needed for one."""
        total, new = self._rounds.feedback(self._rounds.last_lane_start())
        return new, max(self._rounds.demo.retraining.lane_after_accepted, math.ceil(GROWTH * (total - new)))

    def _judging(self) -> int:
        """Return how many accepted items judge and are never learned from."""
        return sum(part_of(e.input_hash) == "gate" for e in accepted(self._store))

    def _replaceable(self, current: Experiment) -> bool:
        return current.state == "running" and self._first_author(current) == AUTHOR and self._met(current) < FEWEST

    def _first_author(self, current: Experiment) -> str:
        return self._experiments.numbers(current.name)[0].author

    def _met(self, current: Experiment) -> int:
        """Return how many people have met the challenger."""
        sql = "SELECT count(DISTINCT contributor) AS n FROM exposures WHERE experiment = ? AND variant <> ?"
        return int(self._store.rows(sql, [current.name, current.control.name])[0]["n"])
