"""One's own data over HTTP: by the cookie for visitors, by id for staff, in words for everybody; and nothing in the server's logs."""

from __future__ import annotations

import csv
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from feedback import privacy_routes
from feedback.demo import Demo
from feedback.erasing import Eraser
from feedback.home import Home
from feedback.limits import Limits
from feedback.privacy_commands import main as command
from feedback.records import Asked, Block, input_hash
from feedback.store import Store
from feedback.words import Words
from tests.conftest import ROOT
from tests.feedback.test_erasing import Known, bytes_with
from tests.feedback.test_web import Site, ask, demo_of

ERASE = {"confirm": "erase"}


def with_privacy(home: Home, store: Store, demo: Demo) -> Site:
    """Return a site with the routes of privacy."""
    made = Site(home, store, demo)
    eraser = Eraser(home, store, Known(), lambda *_: None)
    words = Words([ROOT / "feedback" / "words.toml"])
    made.app.include_router(privacy_routes.router(eraser, store, demo, Limits(demo.limits), words, f"amend_{demo.name}"))
    return made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with default settings."""
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        yield with_privacy(home, store, demo_of(tmp_path))


def give(client: TestClient, text: str, comment: str = "") -> dict[str, Any]:
    """Ask and correct; return the correction."""
    body = {"prediction_id": ask(client, text), "output": {"label": "v2"}, "comment": comment}
    answer: dict[str, Any] = client.post("/api/v1/corrections", json=body).json()
    return answer


def erase(client: TestClient, body: Any = ERASE) -> Any:
    """DELETE /api/v1/me with a body."""
    return client.request("DELETE", "/api/v1/me", json=body)


def test_one_sees_what_is_stored_of_oneself(site: Site) -> None:
    """Counts, statuses and the notice in one's language; a newcomer sees noughts, and nobody another's."""
    ann = site.client()
    give(ann, "first")
    ask(ann, "second")
    seen = ann.get("/api/v1/me").json()
    assert (seen["predictions"], seen["corrections"], seen["statuses"]) == (2, 1, {"pending": 1})
    assert any("cookie" in sentence for sentence in seen["notice"])
    assert "Cookie" in "".join(ann.get("/api/v1/me?lang=zh").json()["notice"])
    assert site.client().get("/api/v1/me").json()["predictions"] == 0


def test_one_takes_everything_as_json_or_csv(site: Site) -> None:
    """The zip holds the same JSON and a table each; what a spreadsheet would run as a formula is made harmless there."""
    ann = site.client()
    give(ann, "=HYPERLINK(1) 肺炎", "a remark")
    data = ann.get("/api/v1/me/data?format=json").json()
    assert [row["input"] for row in data["tables"]["predictions"]] == ["=HYPERLINK(1) 肺炎"]
    assert [(row["output"], row["comment"]) for row in data["tables"]["corrections"]] == [({"label": "v2"}, "a remark")]
    packed = ann.get("/api/v1/me/data")
    assert "attachment" in packed.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert {"data.json", "predictions.csv", "corrections.csv"} <= set(archive.namelist())
        assert json.loads(archive.read("data.json"))["tables"] == data["tables"]
        (row,) = csv.DictReader(io.StringIO(archive.read("predictions.csv").decode("utf-8-sig")))
    assert row["input"] == "'=HYPERLINK(1) 肺炎"


def test_one_cannot_tell_a_trap_from_a_question(site: Site) -> None:
    """Both kinds of asked items look the same in one's data, without the words of others; and a block is not told."""
    ann = site.client()
    for text, kind in (("somebody's words", "opinion"), ("the owner's words", "trap")):
        site.store.add(Asked(ask(ann, text), ann.get("/api/v1/me").json()["contributor"], kind, input_hash(text)))  # type: ignore[arg-type]
    site.store.add(Block(ann.get("/api/v1/me").json()["contributor"], True, "rita", "a liar"))
    answer = ann.get("/api/v1/me/data?format=json")
    rows = answer.json()["tables"]["predictions"]
    assert [(row["input"], row["asked"]) for row in rows] == [(None, True)] * 2
    assert not any(word in answer.text for word in ("trap", "opinion", "words", "liar", "block"))


def test_one_erases_oneself_and_begins_anew(site: Site) -> None:
    """With the confirmation the rows and bytes go and the cookie ends; the next visit is somebody unknown."""
    ann, bob = site.client(), site.client()
    give(ann, "a secret zebra", "about zebras")
    give(bob, "what Bob says")
    before = ann.get("/api/v1/me").json()["contributor"]
    for wrong in ({}, {"confirm": "yes"}, {"confirm": True}, {"confirm": "erase", "more": 1}):
        assert erase(ann, wrong).status_code == 422
    assert ann.get("/api/v1/me").json()["corrections"] == 1

    done = erase(ann)
    assert done.status_code == 200
    assert done.json()["rows"] == 2
    assert "Max-Age=0" in done.headers["set-cookie"]
    after = ann.get("/api/v1/me").json()
    assert (after["predictions"], after["corrections"]) == (0, 0)
    assert after["contributor"] != before
    assert bytes_with(site.home.directory, ("zebra", before)) == []
    assert [item["input"] for item in bob.get("/api/v1/corrections").json()] == ["what Bob says"]


def test_nothing_to_erase_and_too_often_are_told(site: Site) -> None:
    """A stranger has nothing to erase; and whoever erases again and again makes the log be written anew each time: two a minute."""
    ann = site.client()
    assert (erase(ann).status_code, erase(ann).json()["code"]) == (404, "nothing_given")
    give(ann, "one")
    assert erase(ann).status_code == 429


def test_a_foreign_page_cannot_erase(site: Site) -> None:
    """A request with another site's origin is refused, cookie or not."""
    ann = site.client()
    give(ann, "one")
    assert ann.request("DELETE", "/api/v1/me", json=ERASE, headers={"origin": "https://evil.example"}).status_code == 403


def test_staff_see_and_erase_by_id(site: Site) -> None:
    """By id, with the id repeated; strangers are kept out; the list of erasures names nobody."""
    ann, staff = site.client(), site.client(site.staff.make_token("rita"))
    give(ann, "a secret zebra")
    id_ = ann.get("/api/v1/me").json()["contributor"]
    site.store.add(Block(id_, True, "rita", "why"))
    assert ann.get(f"/api/v1/data/{id_}").status_code == 401
    assert ann.post("/api/v1/erasures", json={"contributor": id_, "confirm": id_}).status_code == 401
    assert ann.get("/api/v1/erasures").status_code == 401
    assert staff.get(f"/api/v1/data/{id_}").json()["tables"]["blocks"][0]["reason"] == "why"
    assert staff.get("/api/v1/data/nobody").status_code == 404
    assert staff.post("/api/v1/erasures", json={"contributor": id_, "confirm": "yes"}).status_code == 422
    done = staff.post("/api/v1/erasures", json={"contributor": id_, "confirm": id_})
    assert (done.status_code, done.json()["left"]) == (201, [])
    assert bytes_with(site.home.directory, ("zebra", id_)) == []
    listed = staff.get("/api/v1/erasures")
    assert [row["author"] for row in listed.json()] == ["rita"]
    assert id_ not in listed.text


def test_the_command_does_the_same_beside_no_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """data, erase and list on a home that no app holds; without the id repeated nothing is erased."""
    demo = tmp_path / "t.toml"
    demo.write_text('name = "t"\ntask = "any"\ntitle = "T"\n[data]\ntrain = "x"\n', encoding="utf-8")
    home = Home(tmp_path / "home")
    with Store(home.directory) as store:
        site = with_privacy(home, store, demo_of(tmp_path))
        ann = site.client()
        give(ann, "a secret zebra")
        id_ = ann.get("/api/v1/me").json()["contributor"]
    here = ["--demo", str(demo), "--home", str(home.directory)]
    assert command([*here, "data", id_, str(tmp_path / "out.json")]) == 0
    assert "zebra" in (tmp_path / "out.json").read_text(encoding="utf-8")
    assert command([*here, "erase", id_]) == 1
    assert "repeat" in capsys.readouterr().err
    assert command([*here, "erase", id_, "--confirm", id_]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert bytes_with(home.directory, ("zebra",)) == []
    assert command([*here, "list"]) == 0
    assert json.loads(capsys.readouterr().out)["author"] == "command"
    assert command([*here, "data", id_, str(tmp_path / "gone.zip")]) == 1


def test_neither_texts_nor_addresses_reach_the_logs(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Every logger at its most talkative, through successes and errors of many kinds: no text, comment, address or cookie."""
    caplog.set_level(logging.DEBUG)
    ann = TestClient(site.app, client=("203.0.113.77", 5000))
    staff = site.client(site.staff.make_token("rita"))
    given = give(ann, "a secret zebra", "about zebras")
    id_ = ann.get("/api/v1/me").json()["contributor"]
    for method, path, body in (
        ("POST", "/api/v1/predictions", {"input": ["zebra", 1]}),
        ("POST", "/api/v1/predictions", {"input": "zebra", "zebra": 1}),
        ("POST", "/api/v1/predictions", {"input": "zebra" * 100_000}),
        ("POST", "/api/v1/corrections", {"prediction_id": "zebra", "output": {"label": "v1"}}),
        ("POST", "/api/v1/corrections", {"prediction_id": given["id"], "output": {"label": "zebra"}, "comment": "zebra" * 1000}),
        ("POST", "/api/v1/reviews", {"correction_id": given["id"], "verdict": "accept"}),
        ("DELETE", "/api/v1/me", {"confirm": "zebra"}),
        ("GET", "/api/v1/me/data", None),
    ):
        ann.request(method, path, json=body)
    staff.post("/api/v1/reviews", json={"correction_id": given["id"], "verdict": "reject", "reason": "a zebra"})
    staff.post("/api/v1/imports/predictions", json={"rows": [{"input": "zebra"}]})
    erase(ann)
    assert not [mark for mark in ("zebra", "203.0.113", id_) if mark in caplog.text]
