"""This room's use cases over one opened log, wired together: what the routes and the pages are given. It decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from fastapi import APIRouter

from feedback import (
    asking_routes,
    contributor_routes,
    exchange_routes,
    experiment_routes,
    feed_routes,
    handed_over_routes,
    pair_routes,
    privacy_routes,
    review_routes,
    routes,
)
from feedback.acceptance import Agreement, apply_policy, judge_last
from feedback.admission import Admission
from feedback.alarms import Alarms
from feedback.asking import Asking
from feedback.believing import Believing, Kind
from feedback.blocking import Blocking, judge_anew
from feedback.contributors import Contributors
from feedback.demo import Demo
from feedback.desk import Desk, Model
from feedback.erasing import Cards, Eraser
from feedback.exchange.conll import Words as Cut
from feedback.exchange.conll import plain_words
from feedback.exchange.incoming import Importer
from feedback.exchange.uploads import Uploads
from feedback.experiments import Experiments
from feedback.feeds.reading import Feeds, Replies
from feedback.handed_over import HandedOver
from feedback.home import Home
from feedback.limits import Limits
from feedback.masking import Checking, Screen
from feedback.pairs import Pairs
from feedback.records import Review
from feedback.reliability import TrustRule
from feedback.retention import Retention
from feedback.standing import Acceptances
from feedback.store import Store
from feedback.words import Words


class Room(NamedTuple):
    """The use cases. `believing` is None where the demo's policy is agreement, which judges at once."""

    store: Store
    home: Home
    demo: Demo
    experiments: Experiments
    limits: Limits
    words: Words
    believing: Believing | None
    desk: Desk
    pairs: Pairs
    asking: Asking
    importer: Importer
    uploads: Uploads
    cut: Cut
    eraser: Eraser
    retention: Retention
    contributors: Contributors
    blocking: Blocking
    alarms: Alarms
    acceptances: Acceptances
    trust: TrustRule
    feeds: Feeds

    @property
    def handed_over(self) -> HandedOver:
        """Return the use cases of questions that a person should answer."""
        return HandedOver(self.store, self.desk)

    def begin(self) -> None:
        """Finish what a kill cut short, then look after the log by itself: judging, retention, alarms."""
        self.eraser.resume()
        if self.believing:
            self.believing.begin()
        else:
            judge_last(self.store, self.desk.judge)
        self.retention.begin()
        self.alarms.begin()
        self.feeds.begin()

    def close(self) -> None:
        """Stop looking after the log."""
        self.feeds.close()
        self.alarms.close()
        self.retention.close()
        if self.believing:
            self.believing.close()

    def routers(self, kind: Kind) -> list[APIRouter]:
        """Return this room's HTTP routes."""
        return [
            routes.router(self.desk, self.store, self.home.backups),
            review_routes.router(self.desk.reviewing, self.store),
            pair_routes.router(self.pairs, self.desk.admission),
            asking_routes.router(self.asking, self.desk.admission),
            contributor_routes.router(self.contributors, self.blocking, self.alarms, self.acceptances, self.trust),
            exchange_routes.router(self.importer, self.store, self.uploads, widget=kind, rename=self.demo.rename, words=self.cut),
            privacy_routes.router(self.eraser, self.store, self.demo, self.limits, self.words, f"amend_{self.demo.name}"),
            experiment_routes.router(self.experiments, self.demo.experiment.declared()),
            feed_routes.router(self.feeds),
            handed_over_routes.router(self.handed_over, self.desk.admission),
        ]


def open_room(
    demo: Demo,
    home: Home,
    store: Store,
    model: Model,
    kind: Kind,
    experiments: Experiments,
    words: Words,
    *,
    cards: Cards,
    interrupt: Callable[[frozenset[str]], object],
    tell: Callable[..., Any],
    replies: Replies,
    cut: Cut = plain_words,
    erasing: threading.Lock | None = None,
) -> Room:
    """Wire the room. `cards`, `interrupt` and `tell` are what erasing and alarms need of the model room and the webhook.

    `cut` cuts a text into words as the task does. `erasing` is held by an erasure, and by a training while it begins and ends.
    """
    settings, limits = demo.acceptance, Limits(demo.limits)
    screen = Screen(demo.privacy.identifiers)
    screened = Checking(model, screen)
    agreement = Agreement(settings.agree)
    believing = None
    judge: Callable[[str, str], Sequence[Review] | None] = partial(apply_policy, store, agreement)
    recompute: Callable[[str], object] = partial(judge_anew, store, agreement)
    if settings.policy == "reliability":
        believing = Believing(store, kind, settings.agree, settings.precision)
        judge, recompute = believing.heard, believing.settled_without
    eraser = Eraser(home, store, cards, judge, interrupt, erasing)
    trust = TrustRule()
    return Room(
        store=store,
        home=home,
        demo=demo,
        experiments=experiments,
        limits=limits,
        words=words,
        believing=believing,
        desk=Desk(
            store, screened, experiments, agreement, limits=limits, max_comment_chars=demo.limits.max_comment_chars,
            judge=judge, screen=screen.text, admission=Admission(demo.limits.queue),
        ),
        pairs=Pairs(store, screened, experiments, limits=limits),
        asking=Asking(store, screened, experiments, settings, limits=limits),
        importer=Importer(
            store, screened, experiments, partial(_each, judge), max_comment_chars=demo.limits.max_comment_chars, screen=screen.text
        ),
        uploads=Uploads(home.directory / "imports"),
        cut=cut,
        eraser=eraser,
        retention=Retention(demo.privacy, home, store, eraser, cards),
        contributors=Contributors(store, trust),
        blocking=Blocking(store, recompute, screen.text),
        alarms=Alarms(store, home.directory / "alarms.json", tell),
        acceptances=Acceptances(store, settings, believing),
        trust=trust,
        feeds=Feeds(demo, store, screened, replies, experiments, home.directory / "feed-marks.json"),
    )  # fmt: skip


def _each(judge: Callable[[str, str], object], inputs: Any) -> None:
    """Judge every (input_hash, input as JSON text) that an import may have changed."""
    for hash_, text in inputs:
        judge(hash_, text)
