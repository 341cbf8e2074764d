"""The predictor: requests of many threads, answered in small batches by one worker. It stores nothing and assigns nobody.

The worker takes whatever waits, without waiting for more: an idle server answers at once, a busy one in full batches.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import torch

from feedback.errors import Busy
from feedback.records import Answer, Json
from model.answering import BATCH, Answerer, answer_all, open_version
from model.task import Task
from model.versions import Versions

__all__ = ["KEPT", "Predictor", "answer_all"]

KEPT = 4  # versions in memory: champion, challenger, and two that just left
_ROUND = 8 * BATCH  # requests taken at once; sorting by length needs some to choose from


class _Request(NamedTuple):
    version: int
    input: Json
    settings: Mapping[str, float]
    answer: Future[Answer]


class Predictor:
    """Answers with any version on disk. Two variants of one version share its network: settings apply at decoding."""

    def __init__(
        self, versions: Versions, *, task: Task | None = None, queue: int = 256, threads: int = 0, device: str = "auto"
    ) -> None:
        self._versions = versions
        self._task = task
        self._device = device
        self._waiting = _queue(queue)
        self._loaded: OrderedDict[int, Answerer] = OrderedDict()
        self._lock = threading.Lock()
        self._doors: dict[int, threading.Lock] = {}  # one a version: it is loaded once, however many ask
        self._closed = False
        if threads:
            torch.set_num_threads(threads)
        self._worker = threading.Thread(target=self._work, name="predictor", daemon=True)
        self._worker.start()

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
        answerer = self._answerer(version)
        made: list[Json] = []
        for start in range(0, len(inputs), BATCH):
            part = list(inputs[start : start + BATCH])
            made.extend(answer.output for answer in answerer.answer(part, [settings] * len(part)))
        return made

    def words(self, version: int, text: str) -> list[tuple[int, int]]:
        """Return the words of a text as this version learns and answers by them; see Answerer.words. In this thread."""
        return self._answerer(version).words(text)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Return the version's answer to a checked input. Raises Busy where the queue is full, NotFound, BadInput."""
        if self._closed:
            raise Busy("the predictor is closed", code="closing")
        self.task.check_settings(settings)
        request = _Request(version, input_, dict(settings), Future())
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            raise Busy(f"{self._waiting.maxsize} requests wait already: try again in a moment", code="busy") from None
        return request.answer.result()

    @property
    def task(self) -> Task:
        """Return the task whose rules inputs and corrections follow: the one given, or the newest version's."""
        if self._task is None:
            self._task = self._versions.cards()[-1].bound_task()
        return self._task

    # -- which versions are in memory --------------------------------------------------------------------------------

    def warm(self, version: int, settings: Mapping[str, float] | None = None) -> None:
        """Load a version now, and answer once with it, so that the first visitor does not wait. Raises BadInput for bad settings."""
        self.task.check_settings(settings or {})
        self._answerer(version).answer(["warm"], [settings or {}])

    def drop(self, version: int) -> None:
        """Let go of a version; requests under way keep it until they are answered."""
        with self._lock:
            self._loaded.pop(version, None)

    def loaded(self) -> list[int]:
        """Return the versions in memory, the least recently used first."""
        with self._lock:
            return list(self._loaded)

    def close(self) -> None:
        """Answer what waits, then stop."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        self._worker.join()
        while not self._waiting.empty():  # came in between the last look and the end
            late = self._waiting.get_nowait()
            if late is not None:
                late.answer.set_exception(Busy("the predictor is closed", code="closing"))

    def _answerer(self, version: int) -> Answerer:
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
            known = known or open_version(self._versions.path(version), self._device)
            with self._lock:
                self._loaded[version] = known
                self._loaded.move_to_end(version)
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
            return known

    # -- the worker ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            first = self._waiting.get()
            taken = [first]
            while len(taken) < _ROUND and taken[-1] is not None:
                try:
                    taken.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            by_version: dict[int, list[_Request]] = {}
            for request in taken:
                if request is not None:
                    by_version.setdefault(request.version, []).append(request)
            for version, requests in by_version.items():
                self._answer(version, requests)
            if taken[-1] is None:
                return

    def _answer(self, version: int, requests: list[_Request]) -> None:
        """Answer requests of one version; an error goes to those who asked, never to the worker."""
        try:
            answers = self._answerer(version).answer([r.input for r in requests], [r.settings for r in requests])
        except Exception as error:  # noqa: BLE001  the worker's outer edge: the asking thread raises it
            for request in requests:
                request.answer.set_exception(error)
            return
        for request, answer in zip(requests, answers, strict=True):
            request.answer.set_result(answer)


def _queue(size: int) -> queue.Queue[_Request | None]:
    return queue.Queue(maxsize=size)
