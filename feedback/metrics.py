"""What the app counts for Prometheus, in a registry of its own: requests, what the log took, how the model answered, gauges.

Labels are names that the house or its staff gave (routes, variants, versions, policies); never a text, a contributor or a path
that somebody made up. Imported rows are counted apart: nobody was served by them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback import log_lines
from feedback.errors import AmendError, Busy, StorageFull
from feedback.records import Correction, Prediction, Record, Review, TrainingRun

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the histograms' classes."""
MOST = 200
"""Label values a counter may have; what comes after them is counted as `other`."""
OTHER = "other"
_GATE = ("passed", "refused", "undecided")

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series beside every counter, which nothing here asks for

Values = float | Mapping[str, float]
"""A gauge's value, or its values by the value of its one label."""


class Meter:
    """The counters of one app. Safe to use from many threads."""

    def __init__(self, demo: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # CPU, resident memory, start time, open files
        Gauge("amend_info", "The demo that this app serves", ["demo"], registry=self.registry).labels(demo).set(1)
        self._requests = self._counter("amend_requests", "Requests answered", "method", "route", "status")
        self._request_seconds = Histogram(
            "amend_request_seconds", "Time to the first byte of an answer", ["method", "route"],
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self._predictions = self._counter("amend_predictions", "Predictions stored for visitors", "variant", "version")
        self._prediction_seconds = Histogram(
            "amend_prediction_seconds", "Time from asking the model to its answer, waiting included", ["variant", "version"],
            registry=self.registry, buckets=SECONDS,
        )  # fmt: skip
        self._corrections = self._counter("amend_corrections_sent", "Corrections stored, confirmations among them", "kind")
        self._imported = self._counter("amend_imported", "Predictions and corrections of imported files and of feeds", "kind")
        self._reviews = self._counter("amend_reviews", "Verdicts, by policy or by people", "source", "verdict")
        self._runs = self._counter("amend_training_runs", "States that training runs have come to", "trigger", "state")
        self._gate = self._counter("amend_gate_verdicts", "Verdicts of the gate", "result")
        self._refused = self._counter("amend_predictor_refused", "Requests that the predictor refused", "reason")
        self._log_refused = self._counter("amend_log_refused", "Writes that the log refused", "reason")
        self._lock = threading.Lock()
        self._asked = 0
        self.watch(
            "amend_predictor_pending", "Requests that the model was asked and has not answered", lambda: float(self.pending())
        )
        self._known: dict[str, set[tuple[str, ...]]] = {}
        self.busy_hooks: list[Callable[[], object]] = []

    # -- what happens ----------------------------------------------------------------------------------------------

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        labels = self._bounded("requests", method, route)
        self._requests.labels(*labels, str(status)).inc()
        self._request_seconds.labels(*labels).observe(seconds)

    def stored(self, rows: Sequence[Record]) -> None:
        """Count records that the log has just taken."""
        for row in rows:
            if isinstance(row, Prediction):
                self._prediction(row)
            elif isinstance(row, Correction):
                kind = "confirmation" if row.confirmation else "correction"
                (self._imported if _is_import(row) else self._corrections).labels(kind).inc()
            elif isinstance(row, Review):
                source = row.reviewer if row.reviewer.startswith("policy:") else "person"
                self._reviews.labels(*self._bounded("reviews", source), row.verdict).inc()
            elif isinstance(row, TrainingRun):
                self._runs.labels(*self._bounded("runs", row.trigger), row.state).inc()
                if row.state in _GATE:
                    self._gate.labels(row.state).inc()

    def refused(self, error: AmendError) -> None:
        """Count a write that the log did not take."""
        if isinstance(error, (StorageFull, Busy)):
            self._log_refused.labels("storage_full" if isinstance(error, StorageFull) else "busy").inc()

    def _prediction(self, row: Prediction) -> None:
        if _is_import(row):
            self._imported.labels("prediction").inc()
            return
        log_lines.note(variant=row.variant, version=row.version)
        labels = self._bounded("predictions", row.variant, str(row.version))
        self._predictions.labels(*labels).inc()
        self._prediction_seconds.labels(*labels).observe(row.latency_ms / 1000)

    def pending(self) -> int:
        """Return how many requests the model was asked and has not answered."""
        with self._lock:
            return self._asked

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count what is asked of the predictor inside the block while it is, and where it is refused."""
        self._ask(1)
        try:
            yield
        except Busy as error:
            self._refused.labels(error.code or OTHER).inc()
            for hook in self.busy_hooks:
                hook()
            raise
        finally:
            self._ask(-1)

    def _ask(self, change: int) -> None:
        with self._lock:
            self._asked += change

    def _bounded(self, name: str, *labels: str) -> tuple[str, ...]:
        """Return the labels, or `other` for each where too many have been seen: a name must not fill the memory."""
        known = self._known.setdefault(name, set())
        if labels not in known:
            if len(known) >= MOST:
                return (OTHER,) * len(labels)
            known.add(labels)
        return labels

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, registry=self.registry)

    # -- what is -----------------------------------------------------------------------------------------------------

    def watch(self, name: str, words: str, read: Callable[[], Values], label: str = "") -> None:
        """Ask `read` for a gauge's value at every scrape; with `label` for its values by label. What fails is left out."""
        self.registry.register(_Read(name, words, read, label))


class _Read(Collector):
    """A gauge that is read when it is asked for."""

    def __init__(self, name: str, words: str, read: Callable[[], Values], label: str) -> None:
        self._name, self._words, self._read, self._label = name, words, read, label

    def describe(self) -> Iterable[Metric]:
        """Return the family without values: registering reads nothing."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """Return the family with what is read now."""
        family = self._family()
        try:
            values = self._read()
        except (AmendError, OSError):  # a missing value says it: a scrape shows the rest all the same
            return [family]
        if isinstance(values, Mapping):
            for key, value in values.items():
                family.add_metric([key], value)
        else:
            family.add_metric([], values)
        return [family]

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._words, labels=[self._label] if self._label else [])


T = TypeVar("T")


class Kept(Generic[T]):
    """A reading that is kept for some seconds: what it costs is paid once, however often somebody scrapes."""

    def __init__(self, read: Callable[[], T], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._value: tuple[T, ...] = ()
        self._until = 0.0

    def __call__(self) -> T:
        """Return the value, read anew where it is too old."""
        if not self._value or perf_counter() >= self._until:
            self._value = (self._read(),)
            self._until = perf_counter() + self._seconds
        return self._value[0]


def _is_import(row: Prediction | Correction) -> bool:
    """Neither a visitor's nor answered while one waited: a file's, or a feed's."""
    return row.contributor.startswith(("import:", "feed:"))
