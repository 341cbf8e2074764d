"""One demo's opened rooms: log, versions, predictor, experiments, retrainer, desk. It wires; it decides nothing."""

from __future__ import annotations

from typing import NamedTuple

from feedback.acceptance import Agreement
from feedback.asking import Asking
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.limits import Limits
from feedback.pairs import Pairs
from feedback.staff import Staff
from feedback.store import Store
from feedback.webhook import Webhook
from feedback.words import Words
from model.retrain import Retrainer
from model.serve import Predictor
from model.starter import ensure_versions, first_experiment
from model.task import task_type
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
    desk: Desk
    pairs: Pairs
    asking: Asking
    staff: Staff
    limits: Limits
    words: Words

    def close(self) -> None:
        """Stop watching and predicting, then close the log."""
        self.retrainer.close()
        self.predictor.close()
        self.store.close()
        self.home.running_file.unlink(missing_ok=True)


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
        card = versions.card(experiments.champion)
        labels, fallback = demo.labels or card.labels, demo.fallback_label or card.fallback_label
        task = task_type(demo.task)(labels, demo.limits.max_chars, fallback)
        predictor = Predictor(versions, task=task, queue=demo.limits.queue)
        for version in experiments.serving():
            predictor.warm(version)
        experiments.before_serving(lambda variant: predictor.warm(variant.version, variant.settings))
        webhook = Webhook(demo.server.webhook, demo.name)
        retrainer = Retrainer(demo, home, store, experiments, versions, webhook)
        limits = Limits(demo.limits)
        desk = Desk(
            store,
            predictor,
            experiments,
            Agreement(demo.acceptance.agree),
            limits=limits,
            max_comment_chars=demo.limits.max_comment_chars,
        )
        pairs = Pairs(store, predictor, experiments, limits=limits)
        asking = Asking(store, predictor, experiments, demo.acceptance, limits=limits)
    except BaseException:
        store.close()
        raise
    return House(demo, home, store, versions, predictor, experiments, retrainer, desk, pairs, asking, Staff(home), limits, words)
