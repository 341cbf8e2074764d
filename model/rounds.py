"""One round's records and files, whoever trains it: frozen, begun, registered, ended. It decides neither when nor how one is trained."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from feedback.demo import Demo
from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.records import Json, TrainingRun, Use, new_id, now
from feedback.store import Store
from feedback.training_set import Snapshot, freeze_accepted, read_snapshot, weighing_of
from model.card import Card
from model.job import Job, Kind
from model.ledger import Ledger, ledger_of
from model.lineage import clean_parent
from model.process import RunDirectory
from model.versions import Versions

LANE = "lane"
NOT_LEARNING = ("gate", "added")
"""Triggers of runs that train nothing."""
_log = logging.getLogger("amend.rounds")


class Frozen(NamedTuple):
    """What a round begins with: its row, the champion, the version whose weights it starts from, and the snapshot."""

    run: TrainingRun
    champion: int
    parent: int
    snapshot: Snapshot


class Rounds:
    """The rounds of one demo, by whatever way they are trained. `erasing`: the lock that an erasure holds (erasing.py).

    A round is frozen, and its version registered, before or after an erasure and never in the midst of one: whoever calls
    freeze and register holds the lock.
    """

    def __init__(
        self,
        demo: Demo,
        home: Home,
        store: Store,
        experiments: Experiments,
        versions: Versions,
        erasing: threading.Lock | None = None,
    ) -> None:
        self.demo = demo
        self.experiments = experiments
        self.versions = versions
        self.erasing = erasing or threading.Lock()
        self._home = home
        self._store = store

    # -- asking --------------------------------------------------------------------------------------------------

    def all(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest runs, newest first, in their last state."""
        return self._store.rows("SELECT * FROM current_training_runs ORDER BY began DESC LIMIT ?", [limit])

    def begun(self) -> list[dict[str, Any]]:
        """Return the runs that have begun and not ended."""
        return self._store.rows("SELECT * FROM current_training_runs WHERE state = 'started' ORDER BY began DESC")

    def last_start(self) -> Any:
        """Return when the newest retraining began (UTC, naive), None before the first; rounds of the fast lane are none."""
        sql = "SELECT max(began) AS last FROM current_training_runs WHERE \"trigger\" NOT IN ('gate', 'added', 'lane')"
        return self._store.rows(sql)[0]["last"]

    def last_lane_start(self) -> Any:
        """Return when the fast lane's newest round began that was not cut short, None before the first."""
        sql = """SELECT max(began) AS last FROM current_training_runs
                 WHERE "trigger" = 'lane' AND state NOT IN ('cancelled', 'interrupted')"""
        return self._store.rows(sql)[0]["last"]

    def feedback(self, since: Any) -> tuple[int, int]:
        """Return how many corrections stand accepted, and how many of them were accepted after `since` (None: all)."""
        rows = self._store.rows(
            """SELECT count(*) AS n, count(*) FILTER (WHERE reviewed > coalesce(?::TIMESTAMP, TIMESTAMP '1970-01-01')) AS fresh
               FROM current_corrections WHERE status = 'accepted'""",
            [since],
        )
        return int(rows[0]["n"]), int(rows[0]["fresh"])

    def believed_contributors(self) -> tuple[int, int]:
        """Return how many contributors gave what stands accepted without a reviewer, and how many the cap on each needs."""
        sql = """SELECT count(DISTINCT contributor) AS n FROM current_corrections
                 WHERE status = 'accepted' AND starts_with(reviewer, 'policy:')"""
        return int(self._store.rows(sql)[0]["n"]), self.demo.acceptance.caps().fewest

    def weighing(self, card: Card) -> Mapping[str, Json]:
        """Return how the feedback that a version learned was weighed (weighing.Round.told); empty where nothing tells."""
        return weighing_of(self._home.snapshots / card.snapshot) if card.snapshot else {}

    def ledger(self, card: Card) -> Ledger | None:
        """Return how often the items had judged that judged a version; None where no gate did."""
        return ledger_of(self._store, card)

    def lineage(self) -> tuple[dict[int, Card], set[int]]:
        """Return the cards by number, and the numbers of the versions that erasures name."""
        named = self._store.rows("SELECT versions FROM erasures")
        return {card.number: card for card in self.versions.cards()}, {n for row in named for n in json.loads(row["versions"])}

    def directory(self, run_id: str) -> RunDirectory:
        """Return where the files of a run lie."""
        return RunDirectory(self._home.runs / run_id)

    def newest_snapshot(self) -> str:
        """Return the id of the snapshot that was frozen last; empty where none was."""
        rows = self._store.rows("SELECT snapshot FROM training_runs WHERE snapshot <> '' ORDER BY created DESC LIMIT 1")
        return str(rows[0]["snapshot"]) if rows else ""

    # -- a round's life ------------------------------------------------------------------------------------------

    def freeze(self, trigger: str, author: str) -> Frozen:
        """Freeze what stands accepted now for a run to begin. Raises BadInput without feedback, Conflict without a clean version.

        It starts from the champion's weights, or from its newest ancestor's that carry nothing erased (lineage.py).
        """
        champion = self.experiments.champion
        parent = clean_parent(champion, *self.lineage())
        snapshot = freeze_accepted(self._store, self._home.snapshots, self.demo.acceptance.caps())
        detail = f"from version {parent}: version {champion} learned from what was erased since" if parent != champion else ""
        run = TrainingRun(new_id("t"), "started", snapshot.id, len(snapshot.train), None, trigger, author, detail)
        return Frozen(run, champion, parent, snapshot)

    def from_base_is_due(self) -> bool:
        """Whether the next retraining starts from the base: so many since the last that did came from their champions."""
        every = self.demo.retraining.from_base_every
        made = [c for c in self.versions.cards() if c.kind == "retrain" and c.trigger != LANE]
        since = next((i for i, card in enumerate(reversed(made)) if card.parent is None), len(made))
        return bool(every) and since >= every - 1

    def learning_job(self, frozen: Frozen, method: str, *, from_base: bool = False) -> Job:
        """Return the job that learns from what was frozen, from the parent's weights or from the base's."""
        if from_base:
            job = self.job(frozen.run, "retrain", frozen.champion, frozen.snapshot.id)
            return replace(job, method=method, from_base=True)
        passed = {"passed_over": frozen.champion} if frozen.parent != frozen.champion else {}
        return replace(
            self.job(frozen.run, "retrain", frozen.champion, frozen.snapshot.id),
            method=method,
            parent=str(self.versions.path(frozen.parent)),
            parent_version=frozen.parent,
            **passed,  # type: ignore[arg-type]  # one name with its type
        )

    def job(self, run: TrainingRun, kind: Kind, champion: int, snapshot: str) -> Job:
        """Return a job without a parent: the gate judges against `champion`, on the feedback of `snapshot` ("": none)."""
        directory = self.directory(run.id)
        directory.path.mkdir(parents=True)
        return Job(
            demo=str(self.demo.path),
            out=str(directory.candidate),
            progress=str(directory.progress_file),
            method=self.demo.training.method,
            kind=kind,
            number=self.versions.next_number(),
            champion=str(self.versions.path(champion)),
            champion_version=champion,
            anchor=self._anchor(champion),
            snapshot=str(self._home.snapshots / snapshot) if snapshot else None,
            trigger=run.trigger,
            track=str(directory.tracking),
        )

    def _anchor(self, champion: int) -> str | None:
        """Return the directory of the version with the best validation score that has been champion; None where the champion is it."""
        cards = {card.number: card for card in self.versions.cards()}

        def score(number: int) -> float:
            return cards[number].scores.get("validation", {}).get("main", -1.0)

        known = [int(row["version"]) for row in self._store.rows("SELECT DISTINCT version FROM promotions ORDER BY version")]
        past = [n for n in known if n in cards and cards[n].labels == cards[champion].labels]
        best = max(past, key=score, default=champion)
        return str(self.versions.path(best)) if best != champion and score(best) > score(champion) else None

    def snapshot_is_there(self, snapshot: str) -> bool:
        """Whether a snapshot's files still lie in the home (an erasure or a pruning may have taken them)."""
        return bool(snapshot) and (self._home.snapshots / snapshot).is_dir()

    def begin(self, run: TrainingRun) -> None:
        """Store that a run has begun."""
        self._store.add(run)

    def end(self, run: TrainingRun) -> None:
        """Store how a run ended. Where that cannot be stored (a full disk), the next start finds it begun and takes it up."""
        try:
            self._store.add(run)
        except AmendError as error:
            _log.error("the end of training %s (%s) could not be stored: %s", run.id, run.state, error)

    def registered(self, run: TrainingRun, candidate: Path) -> TrainingRun:
        """Register what a run brought out, its lineage included, and return the run in its last state; `failed` says why not."""
        try:
            return self._register(run, candidate)
        except Exception as error:  # noqa: BLE001  # the outer edge of a run's thread: whatever it is, the run must end and say so
            _log.exception("training %s could not be registered", run.id)
            self.directory(run.id).drop_candidate()
            return replace(run, state="failed", detail=f"trained, but not registered: {error}", created=now())

    def _register(self, run: TrainingRun, candidate: Path) -> TrainingRun:
        if run.trigger == "gate" and run.version is not None:
            gated = self.versions.regated(run.version, candidate)
            return replace(run, state=_state(gated), detail=run.detail, created=now())
        number = self.versions.adopt(candidate)
        card = self.versions.card(number)
        if run.trigger != "added":
            self._store.add(*_uses(card, read_snapshot(self._home.snapshots / run.snapshot)))
        return replace(run, state=_state(card), version=number, detail=run.detail, created=now())

    def dropped(self, run: TrainingRun, *, cancelled_by: str = "", words: str = "") -> TrainingRun:
        """Remove what a run left behind and return it as cancelled, or as failed with its words."""
        self.directory(run.id).drop_candidate()
        if cancelled_by:
            return replace(run, state="cancelled", detail=f"cancelled by {cancelled_by}", created=now())
        return replace(run, state="failed", detail=words, created=now())

    def recover(self) -> list[dict[str, Any]]:
        """Note what a kill cut short as interrupted, heal the lineage, and return the learning runs that were cut, newest first."""
        cut = self.begun()
        for row in cut:
            self.directory(row["id"]).drop_candidate()
            fields = {name: row[name] for name in ("id", "snapshot", "examples", "version", "trigger", "author")}
            self._store.add(TrainingRun(state="interrupted", detail="the app ended while it ran; started anew", **fields))
        return [row for row in cut if row["trigger"] not in NOT_LEARNING]

    def heal_lineage(self) -> None:
        """Give versions whose uses were not stored (a kill, a full disk) the lineage that their snapshot tells."""
        known = {int(row["version"]) for row in self._store.rows("SELECT DISTINCT version FROM uses")}
        for card in self.versions.cards():
            if card.kind == "retrain" and card.snapshot and card.number not in known:
                try:
                    self._store.add(*_uses(card, read_snapshot(self._home.snapshots / card.snapshot)))
                except AmendError as error:
                    _log.warning("the lineage of version %d could not be told: %s", card.number, error)


def _uses(card: Card, snapshot: Snapshot) -> list[Use]:
    uses = [Use(e.correction_id, card.number, snapshot.id, "train") for e in snapshot.train]
    return uses + [Use(e.correction_id, card.number, snapshot.id, "gate") for e in snapshot.gate]


def _state(card: Card) -> Any:
    return card.verdict if card.verdict in ("passed", "refused", "undecided") else "undecided"
