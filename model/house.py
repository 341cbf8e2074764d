"""One demo's opened rooms: log, versions, predictor, experiments, retrainer, and the feedback room. It wires; it decides nothing."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import NamedTuple

from feedback.asking import Asking
from feedback.backups import Backups
from feedback.conditions import Conditions
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.errors import NotFound
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.limits import Limits
from feedback.measured import Measured
from feedback.metrics import Meter
from feedback.pairs import Pairs
from feedback.room import Room, open_room
from feedback.staff import Staff
from feedback.store import Store
from feedback.webhook import Webhook
from feedback.words import Words
from model.card import Card
from model.cleaner import Cleaner
from model.data import task_of
from model.drift import InputDrift
from model.gold import lay_traps
from model.lane import Lane
from model.live import Live
from model.observing import observe
from model.offering import Offering
from model.resident import Resident
from model.retrain import Retrainer
from model.rounds import Rounds
from model.serve import Predictor
from model.serving import predictor_of
from model.starter import ensure_versions, first_experiment
from model.task import Task
from model.versions import Versions


class House(NamedTuple):
    """The opened rooms of one demo; `close` lets go of them in order."""

    demo: Demo
    home: Home
    store: Store
    versions: Versions
    predictor: Predictor
    experiments: Experiments
    retrainer: Retrainer
    room: Room
    webhook: Webhook
    staff: Staff
    words: Words
    cleaner: Cleaner
    lane: Lane
    meter: Meter
    backups: Backups
    conditions: Conditions
    live: Live | None
    drift: InputDrift | None

    @property
    def desk(self) -> Desk:
        """Return the use cases of the people at the page."""
        return self.room.desk

    @property
    def pairs(self) -> Pairs:
        """Return the use cases of side by side."""
        return self.room.pairs

    @property
    def asking(self) -> Asking:
        """Return the use case of second opinions."""
        return self.room.asking

    @property
    def limits(self) -> Limits:
        """Return the limits on rates."""
        return self.room.limits

    def begin(self) -> None:
        """Take up what a kill cut short, and look after log and training from now on."""
        self.room.begin()
        if self.live:
            self.live.begin()
        self.retrainer.begin()
        self.lane.begin()
        self.backups.begin()
        self.conditions.begin()

    def close(self) -> None:
        """Stop watching and predicting, then close the log."""
        self.conditions.close()
        self.backups.close()
        if self.live:
            self.live.close()
        self.room.close()
        self.cleaner.close()
        self.lane.close()
        self.retrainer.close()
        self.predictor.close()
        self.store.close()
        self.home.running_file.unlink(missing_ok=True)


def _task(demo: Demo, card: Card) -> Task:
    """Return the task whose rules the pages follow: as the demo says, with what the champion knows besides."""
    task = task_of(demo)
    if task.catalogued:
        return task
    found = tuple(dict.fromkeys((*task.labels, *card.labels)))  # the data may have grown a label since
    return type(task)(demo.labels or found, demo.limits.max_chars, demo.fallback_label or card.fallback_label)


def open_house(demo: Demo, home: Home, words: Words) -> House:
    """Open log, versions and model; train the starter first where there is none."""
    store = Store(home.directory)
    try:
        versions = Versions(home.directory)
        variants = ensure_versions(demo, home, versions)
        experiments = Experiments(store)
        if not store.rows("SELECT 1 FROM promotions LIMIT 1"):
            experiments.begin(versions.numbers()[0], "demo")
            declared = first_experiment(demo, variants)
            if declared:
                experiments.declare(declared)
        task = _task(demo, versions.card(experiments.champion))
        lay_traps(demo, task, store)
        predictor = predictor_of(demo, home, versions, task)
        for version in experiments.serving():
            predictor.warm(version)
        experiments.before_serving(lambda variant: predictor.warm(variant.version, variant.settings))
        webhook, erasing = Webhook(demo.server.webhook, demo.name), threading.Lock()
        rounds = Rounds(demo, home, store, experiments, versions, erasing)
        offering = Offering(rounds, store)
        retrainer = Retrainer(rounds, offering, webhook)
        lane = Lane(rounds, offering, store, Resident(home.directory / "lane.log"), webhook)

        def interrupt(snapshots: frozenset[str]) -> None:
            lane.forget("policy:erasure")  # it remembers features of texts
            for run in rounds.begun():
                if run["snapshot"] in snapshots:
                    # While the app closes the run is gone already; the next start begins it anew, from what is left.
                    with contextlib.suppress(NotFound):
                        retrainer.cancel(run["id"], "policy:erasure")

        meter = Meter(demo.name)
        room = open_room(
            demo, home, store, Measured(predictor, meter), task.widget, experiments, words,
            cards=versions, interrupt=interrupt, tell=webhook.tell, replies=predictor.replies,
            cut=lambda text: predictor.words(experiments.champion, text), erasing=erasing,
        )  # fmt: skip
        live = Live(store, task.catalogue, task.additions) if task.catalogued else None
        backups = Backups(demo.backups, store, home.backups, demo.path, webhook.tell, erasing)
        conditions = observe(meter, home, store, predictor, experiments, retrainer, room, backups, webhook)
    except BaseException:
        store.close()
        raise
    return House(
        demo,
        home,
        store,
        versions,
        predictor,
        experiments,
        retrainer,
        room,
        webhook,
        Staff(home),
        words,
        Cleaner(demo, store),
        lane,
        meter,
        backups,
        conditions,
        live,
        InputDrift(demo, store, json.loads) if task.form in ("text", "dialogue") and demo.data.train else None,
    )
