"""What Prometheus reads: who may, what is counted, and that no stranger can make a label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from feedback import metrics_routes
from feedback.errors import BadInput, Busy, StorageFull
from feedback.home import Home
from feedback.measured import Measured
from feedback.metrics import MOST, OTHER, Kept, Meter
from feedback.records import Prediction, Review, TrainingRun
from feedback.request_log import UNMATCHED, RequestLog
from feedback.store import Store
from tests.conftest import WordsModel
from tests.feedback.test_web import Site, ask, demo_of

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """Return every sample of a scrape by name and sorted labels; the library's own parser reads it."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    """Return one sample, 0 where there is none."""
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def read(meter: Meter) -> Samples:
    """Scrape a meter without HTTP."""
    return samples(generate_latest(meter.registry).decode())


@pytest.fixture
def metered(tmp_path: Path) -> Iterator[tuple[Site, Meter]]:
    """A site whose requests and rows are counted, with /metrics."""
    home = Home(tmp_path / "home")
    demo = demo_of(tmp_path, server={"trusted_proxies": ["127.0.0.1"], "metrics_from": ["127.0.0.1"]})
    with Store(home.directory) as store:
        site, meter = Site(home, store, demo), Meter("t")
        store.listen(meter)
        site.app.add_middleware(RequestLog, meter=meter, trusted=demo.server.trusted_proxies)
        site.app.include_router(metrics_routes.router(meter.registry, demo.server.metrics_from))
        yield site, meter


def test_a_visit_is_counted_where_it_belongs(metered: tuple[Site, Meter]) -> None:
    """A prediction and a confirmation: by route and status, by variant and version, by kind; times in both histograms."""
    site, _ = metered
    client = site.client()
    sent = client.post("/api/v1/corrections", json={"prediction_id": ask(client), "output": {"label": "v1"}})
    assert sent.status_code == 201
    found = samples(client.get("/metrics").text)
    assert value(found, "amend_requests_total", method="POST", route="/api/v1/predictions", status="201") == 1
    assert value(found, "amend_predictions_total", variant="champion", version="1") == 1
    assert value(found, "amend_prediction_seconds_count", variant="champion", version="1") == 1
    assert value(found, "amend_request_seconds_count", method="POST", route="/api/v1/corrections") == 1
    assert value(found, "amend_corrections_sent_total", kind="confirmation") == 1
    assert found["process_resident_memory_bytes", ()] > 1e6


def test_a_stranger_makes_no_label(metered: tuple[Site, Meter]) -> None:
    """After the first of each kind no made-up path, method or id adds a line, and nobody's words or id are in the scrape."""
    site, _ = metered
    client = site.client()
    ask(client, "my secret sickness")
    lengths = []
    for number in range(100):
        client.get(f"/api/v1/made-up-{number}?q=my-secret")
        client.request(f"MAKE{number}", "/elsewhere")
        client.delete(f"/api/v1/corrections/c_{number}")
        if number in (0, 1, 99):
            lengths.append(len((text := client.get("/metrics").text).splitlines()))
    found = samples(text)
    assert value(found, "amend_requests_total", method="GET", route=UNMATCHED, status="404") == 100
    assert value(found, "amend_requests_total", method="OTHER", route=UNMATCHED, status="404") == 100
    assert value(found, "amend_requests_total", method="DELETE", route="/api/v1/corrections/{correction_id}", status="404") == 100
    assert lengths[1] == lengths[2]  # the first scrape itself is a new route for the second
    (person,) = (row["contributor"] for row in site.store.rows("SELECT DISTINCT contributor FROM predictions"))
    for private in ("secret", "made-up", person):
        assert private not in text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host"])
def test_a_proxy_on_this_machine_is_not_this_machine(metered: tuple[Site, Meter], header: str) -> None:
    """Whoever comes through a proxy needs a token, though the proxy's own address may read."""
    site, _ = metered
    refused = site.client().get("/metrics", headers={header: "203.0.113.7"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    allowed = site.client(site.staff.make_token("prometheus")).get("/metrics", headers={header: "203.0.113.7"})
    assert (allowed.status_code, allowed.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_other_addresses_need_a_token(metered: tuple[Site, Meter]) -> None:
    """A peer that is not in metrics_from is refused, and cannot say that it is another."""
    site, _ = metered
    client = site.client()
    client._transport.client = ("198.51.100.4", 5000)  # type: ignore[attr-defined]
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 401


def test_verdicts_runs_and_refusals(store: Store) -> None:
    """A person's name is no label; policies are; a gate's verdict is counted; a duplicate is no refusal of the disk."""
    meter = Meter("t")
    store.listen(meter)
    store.add(Review("r_1", "c_1", "reject", None, "policy:agreement"), Review("r_2", "c_2", "accept", None, "sue"))
    store.add(TrainingRun("t_1", "refused", "s", 3, 2, "count", "policy:count"))
    meter.refused(BadInput("x"))
    meter.refused(StorageFull("x"))
    found = read(meter)
    assert value(found, "amend_reviews_total", source="policy:agreement", verdict="reject") == 1
    assert value(found, "amend_reviews_total", source="person", verdict="accept") == 1
    assert value(found, "amend_gate_verdicts_total", result="refused") == 1
    assert value(found, "amend_training_runs_total", trigger="count", state="refused") == 1
    assert [v for (name, _), v in found.items() if name == "amend_log_refused_total"] == [1]


def test_imports_are_no_visits() -> None:
    """An imported prediction is counted as imported, and its time is in no histogram."""
    meter = Meter("t")
    meter.stored([Prediction("p_1", "import:sue", "", 0, "champion", 1, "x", "h", {}, 0.5, 3.0)])
    found = read(meter)
    assert value(found, "amend_imported_total", kind="prediction") == 1
    assert value(found, "amend_predictions_total", variant="champion", version="1") == 0


def test_too_many_names_become_other() -> None:
    """The variants past MOST share one series."""
    meter = Meter("t")
    for number in range(MOST + 50):
        meter.stored([Prediction(f"p_{number}", "u", "e", 1, f"variant-{number}", 1, "x", "h", {}, 0.5, 3.0)])
    found = read(meter)
    assert value(found, "amend_predictions_total", variant=OTHER, version=OTHER) == 50
    assert len([1 for name, _ in found if name == "amend_predictions_total"]) == MOST + 1


def test_a_busy_model_is_counted_and_still_raises() -> None:
    """Refusals by their code, the hooks of conditions are called, and nothing stays pending."""
    meter, called = Meter("t"), []
    meter.busy_hooks.append(lambda: called.append(1))

    class Full(WordsModel):
        def predict(self, version: int, input_: object, settings: object) -> object:  # type: ignore[override]
            assert meter.pending() == 1
            raise Busy("256 requests wait already", code="busy")

    with pytest.raises(Busy):
        Measured(Full(), meter).predict(1, "x", {})  # type: ignore[arg-type]
    assert value(read(meter), "amend_predictor_refused_total", reason="busy") == 1
    assert (called, meter.pending()) == ([1], 0)
    assert Measured(WordsModel(), meter).predict(2, "x", {}).output == {"label": "v2"}


def test_a_gauge_that_fails_spoils_no_scrape() -> None:
    """What cannot be read is left out; the rest is there. Two meters in one process do not meet."""
    meter, other = Meter("t"), Meter("u")

    def gone() -> float:
        raise OSError("no such disk")

    meter.watch("amend_gone", "A gauge that cannot be read", gone)
    meter.watch("amend_loaded", "A gauge by version", lambda: {"1": 1.0, "2": 0.0}, "version")
    found = read(meter)
    assert not any(name == "amend_gone" for name, _ in found)
    assert value(found, "amend_loaded", version="1") == 1
    assert not any(name == "amend_loaded" for name, _ in read(other))


def test_a_dear_reading_is_kept() -> None:
    """Within its seconds it is read once."""
    values = iter((1.0, 2.0))
    kept, anew = Kept(lambda: next(values), 60), Kept(iter((1.0, 2.0)).__next__, 0)
    assert (kept(), kept()) == (1.0, 1.0)
    assert (anew(), anew()) == (1.0, 2.0)


def test_every_name_is_ours_and_plain(metered: tuple[Site, Meter]) -> None:
    """Names begin with amend_ or process_, and are Prometheus's letters."""
    site, _ = metered
    names = {name for name, _ in samples(site.client().get("/metrics").text)}
    assert all(re.fullmatch(r"(amend|process)_[a-z_]+", name) for name in names)
