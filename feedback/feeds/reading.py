"""Reads the feed's sources by itself and takes what the HTTP route brings: each item once, answered by the champion in batches.

An item is stored as a prediction (forced: nobody was assigned anything) of the contributor `feed:SOURCE`, who is nobody and
counts in no experiment, and a FeedItem beside it, both or neither. What a kill cut short is read again, and stored once.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

from feedback.demo import Demo
from feedback.errors import AmendError, BadInput, Conflict, TooLarge
from feedback.experiments import Experiments
from feedback.feeds.item import Item
from feedback.feeds.sources import Mark, Read, Source, source_of
from feedback.home import write_atomically
from feedback.records import CHAMPION, Answer, FeedItem, Json, Prediction, input_hash, keyed_id, now
from feedback.store import Duplicate, Store
from feedback.watcher import Watcher

PREFIX = "feed:"
CHANNEL = "feed"
_AHEAD = timedelta(minutes=10)
_LOG = logging.getLogger(__name__)


class Checks(Protocol):
    """What is needed of the desk's model."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output in canonical form; raise BadInput."""


Replies = Callable[[int, Sequence[Json]], list[Answer]]
"""(version, checked inputs) -> answers, in this thread and not in the visitors' queue."""


class Taken(NamedTuple):
    """What came of some items. `known` were there already, `old` from before what the demo keeps; `problems` were no items."""

    stored: int = 0
    known: int = 0
    old: int = 0
    problems: tuple[str, ...] = ()

    def plus(self, other: Taken) -> Taken:
        """Add up; of the problems the first hundred."""
        return Taken(
            self.stored + other.stored, self.known + other.known, self.old + other.old, (*self.problems, *other.problems)[:100]
        )  # fmt: skip


class Standing(NamedTuple):
    """How a source stood when it was read last; `failed` is why it could not be, or ""."""

    source: str
    read: datetime
    taken: Taken
    failed: str


class Feeds:
    """The feed of one demo. Safe to use from many threads; one batch is answered at a time."""

    def __init__(
        self, demo: Demo, store: Store, model: Checks, replies: Replies, experiments: Experiments, marks: Path,
        clock: Callable[[], datetime] = now,
    ) -> None:  # fmt: skip
        self.settings = demo.feed
        self._store, self._model, self._replies, self._experiments = store, model, replies, experiments
        self._keep_days = demo.privacy.keep_days
        self._sources: list[Source] = [source_of(at, demo.path.parent) for at in demo.feed.sources]
        self._marks, self._clock = marks, clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._standing: dict[str, Standing] = {}
        self._watcher = Watcher(
            "feed", self.read, 60 * demo.feed.every_minutes, _LOG, "the feed could not be read", at_once=True,
            expected=(AmendError, OSError),
        )  # fmt: skip

    # -- what comes ------------------------------------------------------------------------------------------------

    def post(self, items: Sequence[Item]) -> Taken:
        """Take what a program brings: all is checked before anything is stored. Raises Conflict, TooLarge, BadInput, Busy."""
        if not self.settings.enabled:
            raise Conflict("this demo reads no feed: [feed] enabled = true in its TOML allows it", code="no_feed")
        if len(items) > self.settings.most:
            raise TooLarge(f"{len(items)} items: at most {self.settings.most} a call; send the rest in another")
        for number, item in enumerate(items, 1):
            try:
                self._model.check(item.text)
            except BadInput as error:
                raise BadInput(f"item {number}: {error.detail}") from error
        return self._all([Read(item, "", {}) for item in items], None)

    def read(self) -> Taken:
        """Read every source once, on from where it was left; return what came. A source that fails keeps no other back."""
        total, marks = Taken(), self._read_marks()
        for source in self._sources:
            if self._stopping.is_set():
                break
            taken, failed = Taken(), ""
            try:
                taken = self._all(source.read(marks.get(source.name, {})), source.name)
            except BadInput as error:
                failed = error.detail
                _LOG.warning("%s", failed)
            self._standing[source.name] = Standing(source.name, self._clock(), taken, failed)
            total = total.plus(taken)
        return total

    def standing(self) -> list[Standing]:
        """Return how each source stood when it was read last, by name."""
        return [self._standing[name] for name in sorted(self._standing)]

    def failing(self) -> dict[str, object] | None:
        """Return the first source that could not be read, with its reason, or None: a probe (conditions.py)."""
        failed = [one for one in self.standing() if one.failed]
        return {"source": failed[0].source, "detail": failed[0].failed[:200]} if failed else None

    def begin(self) -> None:
        """Read at once, and every some minutes from now on, where the demo names sources."""
        if self._sources:
            self._watcher.begin()

    def close(self) -> None:
        """Stop reading; a batch under way is finished first."""
        self._stopping.set()
        self._watcher.close()

    # -- one batch after the other -----------------------------------------------------------------------------------

    def _all(self, reads: Iterable[Read], source: str | None) -> Taken:
        """Take batch after batch; remember how far `source` was read after each."""
        total, waiting = Taken(), iter(reads)
        while part := list(islice(waiting, self.settings.batch)):
            problems = tuple(read.problem for read in part if read.problem)
            if problems:
                _LOG.warning("feed source %s: %d rows are no items, the first: %s", source, len(problems), problems[0])
            with self._lock:
                total = total.plus(self._batch([read.item for read in part if read.item], strict=source is None))
                if source and part[-1].mark:
                    self._write_mark(source, part[-1].mark)
            total = total.plus(Taken(problems=problems))
            if self._stopping.is_set():
                break
        return total

    def _batch(self, items: Sequence[Item], *, strict: bool) -> Taken:
        at = self._clock()
        recent = [item for item in items if not self._of_age(item, at)]
        fresh, problems = [], []
        for item in self._unknown(recent):
            try:
                fresh.append((item, self._model.check(item.text)[0]))
            except BadInput as error:
                if strict:
                    raise
                problems.append(f"{item.source}: {error.detail}")
        stored = self._store_new(fresh, at) if fresh else 0
        return Taken(stored, len(recent) - stored - len(problems), len(items) - len(recent), tuple(problems))

    def _of_age(self, item: Item, at: datetime) -> bool:
        """Return whether the text would be removed for its age at once: such are not read at all."""
        return bool(self._keep_days and item.published and item.published < at - timedelta(days=self._keep_days))

    def _unknown(self, items: Sequence[Item]) -> list[Item]:
        """Return the items that are not in the log: neither by id nor by source, time and text."""
        by_id = {item.id: item for item in items}
        rows = self._store.rows(
            """SELECT f.id, f.source, f.published, p.input_hash FROM feed_items f JOIN predictions p ON p.id = f.prediction_id
               WHERE f.id IN (SELECT unnest($1::VARCHAR[])) OR p.input_hash IN (SELECT unnest($2::VARCHAR[]))""",
            [list(by_id), [input_hash(item.text) for item in items]],
        )
        ids = {str(row["id"]) for row in rows}
        said = {(row["source"], row["published"], row["input_hash"]) for row in rows}
        made = []
        for item in by_id.values():
            key = (item.source, item.published, input_hash(item.text))
            if item.id not in ids and (item.published is None or key not in said):
                made.append(item)
                said.add(key)
        return made

    def _store_new(self, fresh: Sequence[tuple[Item, Json]], at: datetime) -> int:
        version, began = self._experiments.champion, time.perf_counter()
        answers = self._replies(version, [input_ for _, input_ in fresh])
        took = (time.perf_counter() - began) * 1000 / len(fresh)
        pairs = [
            self._rows(item, input_, answer, version, took, at) for (item, input_), answer in zip(fresh, answers, strict=True)
        ]
        try:
            self._store.add(*(row for pair in pairs for row in pair))
            return len(pairs)
        except Duplicate:  # one of them came another way in this moment: each on its own
            return sum(self._one(*pair) for pair in pairs)

    def _one(self, prediction: Prediction, item: FeedItem) -> bool:
        try:
            self._store.add(prediction, item)
        except Duplicate:
            return False
        return True

    def _rows(
        self, item: Item, input_: Json, answer: Answer, version: int, took: float, at: datetime
    ) -> tuple[Prediction, FeedItem]:
        id_ = keyed_id("p", PREFIX, item.id)
        prediction = Prediction(
            id_, f"{PREFIX}{item.source}", "", 0, CHAMPION, version, input_, input_hash(input_), answer.output, answer.confidence,
            took, forced=True, channel=CHANNEL, created=at,
        )  # fmt: skip
        published = item.published or at
        if published > at + _AHEAD:  # a clock or a zone that is wrong: it cannot have come out after it came in
            published = at
        return prediction, FeedItem(item.id, id_, item.source, published, item.link, at)

    # -- marks -------------------------------------------------------------------------------------------------------

    def _read_marks(self) -> dict[str, Mark]:
        try:
            kept = json.loads(self._marks.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # without marks everything is read again, and stored once
            return {}
        return kept if isinstance(kept, dict) else {}

    def _write_mark(self, source: str, mark: Mark) -> None:
        marks = self._read_marks()
        if marks.get(source) != mark:
            write_atomically(self._marks, json.dumps({**marks, source: mark}, ensure_ascii=False))
