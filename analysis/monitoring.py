"""The watch over one demo's feed, wired: lookout, warnings and ways to tell. It decides nothing; app.py begins and closes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from analysis.lookout import Lookout
from analysis.watch_versions import Answers
from feedback.conditions import Conditions
from feedback.demo import Demo
from feedback.errors import BadDemo
from feedback.feeds.reading import Feeds
from feedback.notifying import Notifier
from feedback.store import Store
from feedback.warnings import Warnings, sentence
from feedback.webhook import Tell
from feedback.words import Words, label_words

WIDGETS = ("choice", "choices")
"""Widgets of tasks whose answer is one label of a text, or one a head."""


class Monitor(NamedTuple):
    """What the Monitor page and the routes are given. `feeds` are the room's, which begins and closes them."""

    store: Store
    feeds: Feeds
    lookout: Lookout
    warnings: Warnings

    def begin(self) -> None:
        """Watch from now on."""
        self.warnings.begin()

    def close(self) -> None:
        """Stop watching."""
        self.warnings.close()


def open_monitor(
    demo: Demo,
    store: Store,
    feeds: Feeds,
    labels: Callable[[], Sequence[str]],
    widget: str,
    answers: Answers,
    words: Words,
    tell: Tell,
    conditions: Conditions,
) -> Monitor:
    """Wire the watch, and have the conditions ask for silent and failing sources. Raises BadDemo: addresses or heads that are none.

    `labels` are the task's, `widget` is what its answers are corrected with: only labels of a whole text can be watched.
    """
    if widget not in WIDGETS:
        raise BadDemo(f"[feed] needs a task that gives a text labels (widget {' or '.join(WIDGETS)}), and {demo.task} does not")
    lookout = Lookout(store.frame, labels, demo.watch, answers, several=widget == "choices")
    title = f"Amend: {demo.words(demo.title, 'en')}"
    say, name = words.speaker("en"), partial(label_words, demo.label_names, "en")
    notifier = Notifier(demo.watch.notify, title, lambda warning: sentence(warning, say, name))
    conditions.add("feed_failed", feeds.failing)
    conditions.add("feed_silent", lookout.silent)
    return Monitor(store, feeds, lookout, Warnings(store, lookout, tell, [notifier.send]))
