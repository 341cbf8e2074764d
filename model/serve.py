"""The predictor: requests of many threads, answered in small batches by a few workers. It stores nothing and assigns nobody.

A worker takes whatever waits, without waiting for more: an idle server answers at once, a busy one in full batches. The queue is
bounded, and so is the time that anybody waits: past either the answer is Busy, with the seconds after which to come again.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import torch

from feedback.errors import Busy
from feedback.records import Answer, Json
from model.answering import BATCH, Answerer, answer_all, open_version
from model.engine import PackedEngine
from model.task import Answering, Task
from model.versions import Versions

__all__ = ["KEPT", "PATIENCE", "Predictor", "answer_all"]

KEPT = 4  # versions in memory: champion, challenger, and two that just left
PATIENCE = 20.0
"""Seconds after which a request that was not answered is given up."""
_ROUND = 4 * BATCH  # requests taken at once; sorting by length needs some to choose from
_MOST_WORKERS = 4
_LONGEST_WAIT = 30

Open = Callable[[Path], Answering]


class _Request(NamedTuple):
    version: int
    input: Json
    settings: Mapping[str, float]
    until: float  # time.monotonic() after which nobody waits for it
    answer: Future[Answer]


class Predictor:
    """Answers with any version on disk. Two variants of one version share its network, two versions the weights they have in common.

    `queue`: requests that may wait; `threads`: processor cores to use, 0 for all; `opened`: how a version is loaded, by default
    with the engine of torch; `patience`: seconds that a request waits at most.
    """

    def __init__(
        self,
        versions: Versions,
        *,
        task: Task | None = None,
        queue: int = 256,
        threads: int = 0,
        opened: Open = open_version,
        patience: float = PATIENCE,
    ) -> None:
        self._versions = versions
        self._task = task
        self._open = opened
        self._patience = patience
        self._waiting = _queue(queue)
        self._loaded: OrderedDict[int, Answering] = OrderedDict()
        self._lock = threading.Lock()
        self._doors: dict[int, threading.Lock] = {}  # one a version: it is loaded once, however many ask
        self._closed = False
        self._busy = 0
        self._rate = 0.0  # answers a second, of late
        self.refused = 0
        self.shared_bytes = 0
        self._threads = threads or torch.get_num_threads()
        # On a GPU one worker fills the device; on a CPU two small batches side by side beat one batch on two cores.
        count = 1 if torch.cuda.is_available() else min(_MOST_WORKERS, self._threads)
        self._workers = [threading.Thread(target=self._work, name=f"predictor-{i}", daemon=True) for i in range(count)]
        for worker in self._workers:
            worker.start()

    # -- what the desk asks ----------------------------------------------------------------------------------------

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output (None stays None) in canonical form; raise BadInput where a rule is broken."""
        task = self.task
        checked = task.check_input(input_)
        return checked, None if output is None else task.check_output(checked, output)

    def edits(self, shown: Json, output: Json) -> float:
        """Return how many marks were added, removed or changed between two checked outputs."""
        return self.task.edits(shown, output)

    def answers(self, version: int, inputs: Sequence[Json], settings: Mapping[str, float]) -> list[Json]:
        """Return a version's outputs for checked inputs, in this thread and not in the visitors' queue: for reports."""
        return [answer.output for answer in self.replies(version, inputs, settings)]

    def replies(self, version: int, inputs: Sequence[Json], settings: Mapping[str, float] | None = None) -> list[Answer]:
        """Return a version's answers to checked inputs, in this thread and not in the visitors' queue: for feeds and reports."""
        answerer = self._answerer(version)
        made: list[Answer] = []
        for start in range(0, len(inputs), BATCH):
            part = list(inputs[start : start + BATCH])
            made.extend(answerer.answer(part, [settings or {}] * len(part)))
        return made

    def words(self, version: int, text: str) -> list[tuple[int, int]]:
        """Return the words of a text as this version learns and answers by them; see Answerer.words. In this thread."""
        return self._answerer(version).words(text)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Return the version's answer to a checked input. Raises Busy where the queue is full or it took too long, NotFound, BadInput."""
        if self._closed:
            raise Busy("the predictor is closed", code="closing")
        self.task.check_settings(settings)
        request = _Request(version, input_, dict(settings), time.monotonic() + self._patience, Future())
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            raise self._too_busy(f"{self._waiting.maxsize} requests wait already: try again in a moment") from None
        try:
            return request.answer.result(self._patience + 1)
        except TimeoutError:
            raise self._too_busy(f"no answer within {self._patience:g} s: try again in a moment") from None

    @property
    def task(self) -> Task:
        """Return the task whose rules inputs and corrections follow: the one given, or the newest version's."""
        if self._task is None:
            self._task = self._versions.cards()[-1].bound_task()
        return self._task

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return self._waiting.qsize()

    def _too_busy(self, detail: str) -> Busy:
        """Count a refusal; return the error that says when what waits now will be answered, in 1 to 30 s."""
        with self._lock:
            self.refused += 1
            rate = self._rate
        wait = math.ceil(self.waiting / rate) if rate else 2
        return Busy(detail, max(1, min(_LONGEST_WAIT, wait)), code="busy")

    # -- which versions are in memory --------------------------------------------------------------------------------

    def warm(self, version: int, settings: Mapping[str, float] | None = None) -> None:
        """Load a version now, and answer once with it, so that the first visitor does not wait. Raises BadInput for bad settings."""
        self.task.check_settings(settings or {})
        self._answerer(version).answer([self.task.samples[0][0]], [settings or {}])

    def drop(self, version: int) -> None:
        """Let go of a version; requests under way keep it until they are answered."""
        with self._lock:
            self._loaded.pop(version, None)

    def loaded(self) -> list[int]:
        """Return the versions in memory, the least recently used first."""
        with self._lock:
            return list(self._loaded)

    def engines(self) -> dict[int, str]:
        """Return what computes each version in memory, in words."""
        with self._lock:
            return {version: answerer.name for version, answerer in sorted(self._loaded.items())}

    def close(self) -> None:
        """Answer what waits, then stop."""
        if self._closed:
            return
        self._closed = True
        for _ in self._workers:
            self._waiting.put(None)
        for worker in self._workers:
            worker.join()
        while not self._waiting.empty():  # came in between the last look and the end
            late = self._waiting.get_nowait()
            if late is not None:
                late.answer.set_exception(Busy("the predictor is closed", code="closing"))

    def _answerer(self, version: int) -> Answering:
        """Return a loaded version. While one loads, answering with another goes on."""
        with self._lock:
            known = self._loaded.get(version)
            if known is not None:
                self._loaded.move_to_end(version)
                return known
            door = self._doors.setdefault(version, threading.Lock())
        with door:  # the first to come loads, the others wait here for it
            with self._lock:
                known = self._loaded.get(version)
                others = list(self._loaded.values())
            if known is None:
                known = self._open(self._versions.path(version))
                shared = _shared(known, others)
                with self._lock:
                    self.shared_bytes += shared
            with self._lock:
                self._loaded[version] = known
                self._loaded.move_to_end(version)
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
            return known

    # -- the workers ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            if first is None:
                return
            taken, ending = [first], False
            # A fair share of what waits: the other workers want some too, and smaller batches answer their first texts sooner.
            share = min(_ROUND, max(BATCH // 2, math.ceil((self._waiting.qsize() + 1) / len(self._workers))))
            while len(taken) < share:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True  # what was taken is answered first
                    break
                taken.append(more)
            by_version: dict[int, list[_Request]] = {}
            now = time.monotonic()
            for request in taken:
                if request.until < now:  # who asked has given up: an answer would only keep others waiting
                    request.answer.set_exception(Busy(f"no answer within {self._patience:g} s: try again in a moment"))
                else:
                    by_version.setdefault(request.version, []).append(request)
            for version, requests in by_version.items():
                self._answer(version, requests)
            if ending:
                return

    def _answer(self, version: int, requests: list[_Request]) -> None:
        """Answer requests of one version; an error goes to those who asked, never to the worker."""
        began = time.monotonic()
        try:
            answerer = self._answerer(version)
            with self._lock:
                self._busy += 1
                busy = self._busy
            try:
                torch.set_num_threads(
                    max(1, self._threads // busy)
                )  # of this thread: all cores for one worker, fewer for each of more
                answers = answerer.answer([r.input for r in requests], [r.settings for r in requests])
            finally:
                with self._lock:
                    self._busy -= 1
        except Exception as error:  # noqa: BLE001  the worker's outer edge: the asking thread raises it
            for request in requests:
                request.answer.set_exception(error)
            return
        for request, answer in zip(requests, answers, strict=True):
            request.answer.set_result(answer)
        with self._lock:
            rate = busy * len(requests) / max(1e-6, time.monotonic() - began)
            self._rate = 0.8 * self._rate + 0.2 * rate if self._rate else rate


def _shared(fresh: Answering, others: Sequence[Answering]) -> int:
    """Let a version that was just loaded use the weights it has in common with others; return the bytes saved."""
    engines = [other.engine for other in others if isinstance(other, Answerer) and isinstance(other.engine, PackedEngine)]
    if not isinstance(fresh, Answerer) or not isinstance(fresh.engine, PackedEngine):
        return 0
    return sum(fresh.engine.share(engine) for engine in engines)


def _queue(size: int) -> queue.Queue[_Request | None]:
    return queue.Queue(maxsize=size)
