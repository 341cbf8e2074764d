"""A whole app as Prometheus, a load balancer and its owner see it from outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import Served, served, small_demo


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One app for the module."""
    directory = tmp_path_factory.mktemp("outside")
    with served(small_demo(directory), directory / "home") as running:
        yield running


def scraped(app: Served) -> dict[str, dict[tuple[str, ...], float]]:
    """Return every sample by name and its labels' values, as a scraper on this machine gets them."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    with app.visitor() as client:
        response = client.get("/metrics")
    assert response.status_code == 200
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_the_gauges_of_a_house(app: Served) -> None:
    """The first scrape, since counts of rows are kept for a while: queues, log, disk, versions, training, conditions, corrections."""
    with app.visitor() as client, app.staff() as staff:
        shown = client.post("/api/v1/predictions", json={"input": "my money back for the lamp"}).json()
        sent = client.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": "track"}}).json()
        staff.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "accept"})
    found = scraped(app)
    assert found["amend_predictor_pending"][()] == found["amend_log_waiting"][()] == found["amend_retraining_running"][()] == 0
    assert (found["amend_predictor_waiting"][()], found["amend_retraining_new"][()]) == (0, 1)
    assert found["amend_version_loaded"] == {("1",): 1}
    assert found["amend_champion"][()] == 1
    assert found["amend_log_bytes"][()] > 10_000
    assert found["amend_log_wal_bytes"][()] > 0
    assert found["amend_disk_free_bytes"][()] > 1e8
    assert found["amend_corrections"] == {("accepted",): 1}
    assert found["amend_reviews_total"] == {("person", "accept"): 1}
    assert found["amend_predictions_total"] == {("champion", "1"): 1}
    assert found["amend_alarms_standing"][()] == 0
    assert {name for (name,) in found["amend_condition"]} == set(app.house.conditions.names)
    assert len(found["amend_condition"]) >= 14  # of the app itself, and of the model that serves
    assert set(found["amend_condition"].values()) <= {0, 1}


def test_pages_are_counted_by_their_template(app: Served) -> None:
    """Both languages and the studio under their mounts; files of a page under one template; strangers' paths under none."""
    with app.visitor() as client, app.staff() as staff:
        for path in ("/", "/zh/", "/static/img/a.svg", "/static/img/b.svg", "/zh/nowhere/1", "/zh/nowhere/2", "/wp-admin.php"):
            client.get(path)
        assert staff.get("/studio/").status_code == 200
        assert staff.get("/zh/studio/").status_code == 200
    routes = {labels[1] for labels in scraped(app)["amend_requests_total"]}
    assert {"/", "/zh/", "/studio/", "/zh/studio/", "/static/{path:path}", "unmatched"} <= routes
    assert not any("nowhere" in route or "wp-admin" in route or "img" in route for route in routes)


def test_readiness_says_what_it_knows(app: Served) -> None:
    """Ready with the champion, the storage and the queue; a version that left memory makes it unready, and is loaded again."""
    with app.visitor() as client, app.staff() as staff:
        assert client.get("/readyz").json() == {
            "ready": True, "champion": 1, "storage": "ok", "pending": 0, "writes_waiting": 0,
        }  # fmt: skip
        app.house.predictor.drop(1)
        unready = client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "version 1 is loading")
        assert "version_unloadable" not in {one["name"] for one in staff.get("/api/v1/conditions").json()}
        assert client.get("/readyz").status_code == 200


def test_a_version_whose_files_are_gone(app: Served) -> None:
    """It is a condition until they are back, in the studio's list and in the metrics."""
    version = app.house.versions.path_of(1)
    away = version.with_name(".away")
    with app.staff() as staff:
        version.rename(away)
        app.house.predictor.drop(1)
        try:
            (one,) = (one for one in staff.get("/api/v1/conditions").json() if one["name"] == "version_unloadable")
            assert one["values"]["version"] == 1
            assert scraped(app)["amend_condition"][("version_unloadable",)] == 1
        finally:
            away.rename(version)
        assert "version_unloadable" not in {one["name"] for one in staff.get("/api/v1/conditions").json()}
    assert scraped(app)["amend_condition"][("version_unloadable",)] == 0


def test_a_backup_over_http_is_verified(app: Served) -> None:
    """The route's answer is a file that was read through, and the metrics know its age."""
    with app.staff() as staff:
        made = staff.post("/api/v1/backups", json={})
    assert made.status_code == 201, made.text
    newest = app.house.backups.newest()
    assert newest is not None
    assert str(newest.file) == made.json()["path"]
    assert 0 <= scraped(app)["amend_backup_age_seconds"][()] < 600
