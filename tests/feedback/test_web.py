"""The routes, the door and the login, over HTTP, with a stand-in for the model: what programs and strangers may do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feedback import experiment_routes, health, identity, login, problems, review_routes, routes
from feedback.acceptance import Agreement
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.limits import Limits
from feedback.records import Experiment, Variant
from feedback.staff import Staff
from feedback.store import Store
from feedback.words import Words
from tests.conftest import ROOT, WordsModel

HTTPS = "https://demo.example"
JSON = {"content-type": "application/json"}


class Site:
    """The feedback room's app over a fresh home, and clients of it."""

    def __init__(self, home: Home, store: Store, demo: Demo) -> None:
        self.home, self.store, self.demo = home, store, demo
        self.staff = Staff(home)
        self.experiments = Experiments(store)
        self.experiments.begin(1, "test")
        limits = Limits(demo.limits)
        desk = Desk(store, WordsModel(), self.experiments, Agreement(2), limits=limits)
        words = Words([ROOT / "feedback" / "words.toml"])
        self.app = FastAPI(docs_url="/api/docs", openapi_url="/api/openapi.json")
        problems.install(self.app)
        identity.install(self.app, home=home, staff=self.staff, demo=demo)
        self.app.include_router(health.router(demo.name, home.identity, store, self.experiments, lambda _: True))
        self.app.include_router(routes.router(desk, store, home.backups))
        self.app.include_router(review_routes.router(desk.reviewing, store))
        self.app.include_router(experiment_routes.router(self.experiments, demo.experiment.declared()))
        self.app.include_router(login.router(self.staff, limits, words, identity.login_cookie(demo.name), demo.server.embed))

    def client(self, token: str = "", **headers: str) -> TestClient:
        """Return a client with a cookie jar of its own."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return TestClient(self.app, headers=headers, client=("127.0.0.1", 5000))


def demo_of(tmp_path: Path, **settings: object) -> Demo:
    """Return a demo with these settings."""
    return Demo.model_validate(
        {"path": tmp_path / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}, **settings}
    )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with default settings."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        yield Site(home, store, demo_of(tmp_path))


def ask(client: TestClient, text: str = "one") -> str:
    """Ask for an answer; return its id."""
    response = client.post("/api/v1/predictions", json={"input": text})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def test_predict_correct_list_withdraw(site: Site) -> None:
    """One visitor's whole way through the routes, with the documented shapes."""
    client = site.client()
    answer = client.post("/api/v1/predictions", json={"input": "one"}).json()
    assert {"id", "output", "confidence", "variant", "version"} <= set(answer)
    sent = client.post("/api/v1/corrections", json={"prediction_id": answer["id"], "output": {"label": "v3"}, "comment": "c"})
    assert (sent.status_code, sent.json()["status"]) == (201, "pending")
    (given,) = client.get("/api/v1/corrections").json()
    assert (given["id"], given["shown"], given["output"], given["comment"]) == (
        sent.json()["id"],
        {"label": "v1"},
        {"label": "v3"},
        "c",
    )
    assert client.delete(f"/api/v1/corrections/{given['id']}").status_code == 204
    assert client.get("/api/v1/corrections").json()[0]["status"] == "withdrawn"


def test_the_cookie_makes_the_contributor(site: Site) -> None:
    """With a jar one contributor; without, a new one at each call, who sees nothing of the other's."""
    client = site.client()
    id_ = ask(client)
    ask(client)
    ask(site.client())
    assert site.store.rows("SELECT count(DISTINCT contributor) AS n FROM predictions")[0]["n"] == 2
    stranger = site.client().post("/api/v1/corrections", json={"prediction_id": id_, "output": {"label": "v2"}})
    assert stranger.status_code == 404


def test_a_forged_cookie_is_a_stranger(site: Site) -> None:
    """A cookie whose signature is not ours is ignored and replaced."""
    client = site.client()
    ask(client)
    (cookie,) = [c for c in client.cookies.jar if c.name == "amend_t"]
    forged = site.client()
    forged.cookies.set("amend_t", str(cookie.value)[:-3] + "AAA")
    ask(forged)
    assert site.store.rows("SELECT count(DISTINCT contributor) AS n FROM predictions")[0]["n"] == 2


def test_cookie_attributes_follow_https_and_embedding(tmp_path: Path) -> None:
    """HttpOnly always; Secure behind https only; SameSite=None and Partitioned where the demo may be embedded."""
    for embed in (False, True):
        home = Home(tmp_path / str(embed))
        with Store(home.directory) as store:
            site = Site(home, store, demo_of(tmp_path, server={"embed": embed}))
            plain = site.client().get("/healthz").headers["set-cookie"]
            secure = site.client(**{"x-forwarded-proto": "https"}).get("/healthz").headers["set-cookie"]
        assert "HttpOnly" in plain
        assert "Secure" not in plain
        assert "HttpOnly" in secure
        assert "Secure" in secure
        assert ("SameSite=None" in secure and "Partitioned" in secure) is embed


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/api/v1/predictions", {"content-type": "text/plain"}, '{"input": "x"}', 415),
        ("POST", "/api/v1/predictions", {"content-type": "application/x-www-form-urlencoded"}, "input=x", 415),
        ("POST", "/api/v1/predictions", {**JSON, "origin": "https://evil.example"}, '{"input": "x"}', 403),
        ("POST", "/api/v1/predictions", {**JSON, "origin": "null"}, '{"input": "x"}', 403),
        ("DELETE", "/api/v1/corrections/c_1", {"origin": "https://evil.example"}, "", 403),
        ("POST", "/api/v1/predictions", {**JSON, "origin": "http://testserver"}, '{"input": "x"}', 201),
        ("POST", "/api/v1/predictions", JSON, "{not json", 422),
        ("POST", "/api/v1/predictions", JSON, '{"inptu": "x"}', 422),
        ("POST", "/api/v1/predictions", JSON, '{"input": ""}', 422),
        ("POST", "/api/v1/predictions", JSON, json.dumps({"input": "x" * 300_000}), 413),
        ("GET", "/api/v1/nowhere", {}, "", 404),
        ("PUT", "/api/v1/predictions", JSON, "{}", 405),
        ("POST", "/api/v1/reviews", JSON, '{"correction_id": "c", "verdict": "accept"}', 401),
        ("GET", "/api/v1/exports/predictions", {}, "", 401),
        ("POST", "/api/v1/experiments/e", JSON, '{"action": "pause"}', 401),
        ("POST", "/api/v1/backups", JSON, "{}", 401),
    ],
)
def test_the_door(site: Site, method: str, path: str, headers: dict[str, str], body: str, status: int) -> None:
    """Content type, Origin, size, shape and staff are checked; every refusal is a problem document with words."""
    response = site.client().request(method, path, headers=headers, content=body)
    assert response.status_code == status, response.text
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert response.json()["detail"]


@pytest.mark.parametrize(
    "sent", [{"prediction_id": "\ud800"}, {"prediction_id": ["p"]}, {"comment": 5}, {"comment": "\udc00"}, {"comment": "\x00"}]
)
def test_values_that_are_no_text_are_refused_in_words(site: Site, sent: dict[str, object]) -> None:
    """Wrong types and characters that cannot be stored: 422 with words, no statement and nobody's id in them."""
    client = site.client()
    body = {"prediction_id": ask(client), "output": {"label": "v2"}, **sent}
    response = client.post("/api/v1/corrections", headers=JSON, content=json.dumps(body))
    assert response.status_code == 422, response.text
    assert "SELECT" not in response.text


def test_uploads_are_refused(site: Site) -> None:
    """No page needs a file of a visitor: Gradio's upload address is closed."""
    response = site.client().post("/gradio_api/upload", files={"files": b"x"})
    assert response.status_code == 403
    assert "files are not taken" in response.json()["detail"]


def test_a_body_without_length_is_cut_off_at_the_limit(site: Site) -> None:
    """A chunked body that grows past the limit is refused with 413 too."""

    def chunks() -> Iterator[bytes]:
        yield b'{"input": "'
        for _ in range(40):
            yield b"x" * 10_000
        yield b'"}'

    assert site.client().post("/api/v1/predictions", headers=JSON, content=chunks()).status_code == 413


def test_staff_review_by_token(site: Site) -> None:
    """A token's holder sees the queue and judges; a wrong token is nobody."""
    client = site.client()
    id_ = client.post("/api/v1/corrections", json={"prediction_id": ask(client), "output": {"label": "v2"}}).json()["id"]
    staff = site.client(site.staff.make_token("robot"))
    assert [item["id"] for item in staff.get("/api/v1/reviews/queue").json()] == [id_]
    made = staff.post("/api/v1/reviews", json={"correction_id": id_, "verdict": "amend", "output": {"label": "v3"}})
    assert (made.status_code, made.json()["status"]) == (201, "accepted")
    assert site.store.rows("SELECT reviewer FROM reviews")[0]["reviewer"] == "robot"
    assert site.client("amend_wrong").get("/api/v1/reviews/queue").status_code == 401


def test_reviewers_routes(site: Site) -> None:
    """By token: why an item comes first, others' words only after one's own verdict, undo, the unanimous, progress, agreement."""
    ids = []
    for label in ("v2", "v3"):
        client = site.client()
        body = {"prediction_id": ask(client), "output": {"label": label}}
        ids.append(client.post("/api/v1/corrections", json=body).json()["id"])
    staff = site.client(site.staff.make_token("robot"))
    reviews = "/api/v1/reviews"
    assert "disagreement" in staff.get(f"{reviews}/queue").json()[0]["reasons"]
    assert [answer["version"] for answer in staff.get(f"{reviews}/{ids[0]}/answers").json()] == [1]
    blind = staff.get(f"{reviews}/{ids[0]}/others")
    assert (blind.status_code, "judged it yourself" in blind.json()["detail"]) == (409, True)
    made = staff.post(reviews, json={"correction_id": ids[0], "verdict": "accept"}).json()
    assert [said["output"] for said in staff.get(f"{reviews}/{ids[0]}/others").json()["said"]] == [{"label": "v3"}]
    assert staff.get(f"{reviews}/progress", params={"since": "2026-01-01T00:00:00+08:00"}).json()["mine"] == 1
    assert staff.post(f"{reviews}/undo", json={"reviews": [made["id"]]}).json() == {"corrections": [ids[0]]}
    assert staff.get(f"{reviews}/unanimous").json() == []
    assert staff.post(f"{reviews}/unanimous", json={"corrections": ids}).json() == {"reviews": [], "left_out": 2}
    assert {row["label"] for row in staff.get(f"{reviews}/agreement").json()} == {"", "v2", "v3"}
    assert staff.post(f"{reviews}/release", json={"page": "p"}).status_code == 204
    visitor = site.client()
    for path in ("queue", "progress", "agreement", "unanimous", f"{ids[0]}/others", f"{ids[0]}/answers"):
        assert visitor.get(f"{reviews}/{path}").status_code == 401, path


def test_rate_limit_answers_429_with_retry_after(tmp_path: Path) -> None:
    """Past the limit: 429, Retry-After in whole seconds; by network prefix too, for those who drop their cookies."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        site = Site(home, store, demo_of(tmp_path, limits={"predictions_per_minute": 2, "per_network_factor": 2}))
        client = site.client()
        assert [client.post("/api/v1/predictions", json={"input": "x"}).status_code for _ in range(3)] == [201, 201, 429]
        refused = client.post("/api/v1/predictions", json={"input": "x"})
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        cookieless = [site.client().post("/api/v1/predictions", json={"input": "x"}).status_code for _ in range(6)]
        assert cookieless[-1] == 429
        far = site.client(**{"x-forwarded-for": "198.51.100.7"})
        assert far.post("/api/v1/predictions", json={"input": "x"}).status_code == 201


def test_no_address_is_stored(site: Site) -> None:
    """The log holds a hash of the network's prefix: equal within a prefix, and never the address."""
    for address in ("203.0.113.5", "203.0.113.9", "198.51.100.1"):
        ask(site.client(**{"x-forwarded-for": address}))
    networks = [row["network"] for row in site.store.rows("SELECT network FROM predictions ORDER BY created")]
    assert networks[0] == networks[1] != networks[2]
    assert all(re.fullmatch("[0-9a-f]{16}", network) for network in networks)


def test_the_channel_is_kept_with_prediction_and_exposure(site: Site) -> None:
    """?channel= of the call is stored; a name with odd characters is not."""
    site.experiments.declare(Experiment("e", 1, "running", (Variant("champion", 1, 0.5), Variant("b", 2, 0.5))))
    client = site.client()
    client.post("/api/v1/predictions?channel=clinic-7", json={"input": "x"})
    client.post("/api/v1/predictions?channel=<script>", json={"input": "x"})
    assert [row["channel"] for row in site.store.rows("SELECT channel FROM predictions ORDER BY created")] == ["clinic-7", ""]
    assert site.store.rows("SELECT channel FROM exposures")[0]["channel"] == "clinic-7"


def test_kill_switch_by_route(site: Site) -> None:
    """POST /experiments/e {"action": "pause"} sends the next request to the control."""
    site.experiments.declare(Experiment("e", 1, "running", (Variant("champion", 1, 0.0), Variant("b", 2, 1.0))))
    client, staff = site.client(), site.client(site.staff.make_token("robot"))
    assert client.post("/api/v1/predictions", json={"input": "x"}).json()["version"] == 2
    assert staff.post("/api/v1/experiments/e", json={"action": "pause", "reason": "broken"}).json()["state"] == "paused"
    assert client.post("/api/v1/predictions", json={"input": "x"}).json()["version"] == 1


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_exports_while_the_app_runs(site: Site, form: str) -> None:
    """An analyst with a token gets every table; an unknown one names the choices."""
    ask(site.client())
    staff = site.client(site.staff.make_token("analyst"))
    assert len(staff.get(f"/api/v1/exports/predictions?format={form}").content) > 100
    assert "available are" in staff.get(f"/api/v1/exports/passwords?format={form}").json()["detail"]


def test_login_gives_a_cookie_and_is_throttled(site: Site) -> None:
    """The right password opens, a wrong one does not, the ninth try in a minute is refused, a new password ends logins."""
    password = site.staff.first_password()
    assert password is not None
    assert site.staff.first_password() is None
    client = site.client()
    assert client.get("/api/v1/reviews/queue").status_code == 401
    assert client.post("/studio/login", data={"name": "owner", "password": "wrong"}).status_code == 403
    opened = client.post("/studio/login", data={"name": "owner", "password": password}, follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/studio/")
    assert client.get("/api/v1/reviews/queue").status_code == 200
    site.staff.set_password("owner", "a longer password")
    assert client.get("/api/v1/reviews/queue").status_code == 401
    tries = [client.post("/studio/login", data={"name": "owner", "password": "guess"}).status_code for _ in range(8)]
    assert tries[-1] == 429


def test_secrets_are_hashed_and_private(site: Site) -> None:
    """Neither password nor token stands in a file in the clear, but the owner's own token file, mode 600."""
    token, password = site.staff.make_token("robot"), "correct horse battery"
    site.staff.set_password("owner", password)
    for path in site.home.secrets.iterdir():
        assert token.encode() not in path.read_bytes()
        assert password.encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path
    assert site.staff.owner_token() == site.staff.owner_token()
    assert site.staff.holder(site.staff.owner_token()) == "owner"


def test_a_proxys_path_prefix_is_honoured(site: Site) -> None:
    """Behind a proxy that strips /amend, cookies are set for that path and routes are found."""
    response = site.client(**{"x-forwarded-prefix": "/amend"}).get("/healthz")
    assert response.status_code == 200
    assert "Path=/amend" in response.headers["set-cookie"]


def test_the_openapi_description_names_every_route(site: Site) -> None:
    """Every documented route of this room is in the description."""
    paths = site.client().get("/api/openapi.json").json()["paths"]
    assert {
        "/api/v1/predictions",
        "/api/v1/corrections",
        "/api/v1/corrections/{correction_id}",
        "/api/v1/reviews",
        "/healthz",
    } <= set(paths)
