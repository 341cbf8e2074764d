"""Annotated data over HTTP and from a shell: for staff alone, in parts, while the app runs; export also where none runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feedback import exchange_commands, exchange_routes, identity, problems, routes
from feedback.acceptance import Agreement
from feedback.client import RunningApp
from feedback.demo import Demo
from feedback.desk import Desk
from feedback.exchange.annotation import Annotation, Widget
from feedback.exchange.uploads import Uploads
from feedback.experiments import Experiments
from feedback.home import Home
from feedback.staff import Staff
from feedback.store import Store
from tests.conftest import WordsModel
from tests.feedback.exchanging import SpansModel, accepted_set, empty, importer_of

CROWD = "sentence,label,annotator\none,v2,7\none,v2,8\ntwo,v3,7\n"
CHOICE: Widget = "choice"


@pytest.fixture
def site(tmp_path: Path, store: Store, experiments: Experiments) -> Iterator[TestClient]:
    """A client, which is staff, of the routes of desk and exchange."""
    home = Home(tmp_path / "home")
    demo = Demo.model_validate({"path": tmp_path / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}})
    staff = Staff(home)
    app = FastAPI()
    problems.install(app)
    identity.install(app, home=home, staff=staff, demo=demo)
    desk = Desk(store, WordsModel(), experiments, Agreement(2))
    app.include_router(routes.router(desk, store, home.backups))
    importer = importer_of(store, WordsModel(), experiments)
    app.include_router(exchange_routes.router(importer, store, Uploads(home.directory / "imports"), widget=CHOICE))
    with TestClient(app, client=("127.0.0.1", 5000)) as client:
        client.headers["Authorization"] = f"Bearer {staff.owner_token()}"
        yield client


def test_a_file_in_one_request(site: TestClient, store: Store) -> None:
    """Text comes in as content; the answer says what was done; exports and counts show it by its channel."""
    body = {"name": "c.csv", "form": "csv", "content": CROWD, "columns": {"text": "sentence"}, "channel": "acme"}
    made = site.post("/api/v1/exchange/imports", json=body)
    assert made.status_code == 201, made.text
    assert made.json() == {
        "stored": 3, "known": 0, "repeated": 0, "traps": 0, "known_traps": 0, "accepted": 0, "annotators": 2, "ignored": {},
    }  # fmt: skip
    assert accepted_set(store) == {('"one"', '{"label": "v2"}')}
    out = site.get("/api/v1/exchange/exports/jsonl", params={"which": "all", "channel": "acme"})
    assert [json.loads(line)["text"] for line in out.text.splitlines()] == ["one", "one", "two"]
    assert site.get("/api/v1/exchange/exports/csv", params={"channel": "other"}).text == "amend_csv,text\r\n"
    (counts,) = site.get("/api/v1/channels").json()
    assert (counts["channel"], counts["visitors"], counts["corrections"], counts["accepted"]) == ("acme", 2, 3, 2)


def test_a_file_in_parts(site: TestClient, tmp_path: Path) -> None:
    """Parts come in order, twice if need be; the whole is checked by its sha256, imported once and forgotten."""
    raw = CROWD.encode()
    digest = sha256(raw).hexdigest()

    def send(offset: int, part: bytes, name: str = digest) -> httpx.Response:
        data = base64.b64encode(part).decode()
        answer: httpx.Response = site.post("/api/v1/exchange/uploads", json={"sha256": name, "offset": offset, "data": data})  # type: ignore[assignment]
        return answer

    assert send(10, raw[10:]).status_code == 409
    assert send(0, raw[:10]).json() == {"bytes": 10}
    assert send(10, raw[10:]).json() == send(10, raw[10:]).json() == {"bytes": len(raw)}
    body = {"name": "c.csv", "form": "csv", "sha256": digest, "columns": {"text": "sentence"}}
    assert site.post("/api/v1/exchange/imports", json=body).json()["stored"] == 3
    assert site.post("/api/v1/exchange/imports", json=body).status_code == 404
    send(0, b"others", "0" * 64)
    assert site.post("/api/v1/exchange/imports", json={**body, "sha256": "0" * 64}).status_code == 409
    assert send(0, b"x", "../../etc/passwd").status_code == 422
    assert list((tmp_path / "home" / "imports").iterdir()) == []


def test_what_is_refused(site: TestClient) -> None:
    """Visitors get 401; a broken file, an unknown column or form, both ways to send a file, and no JSON: 422 and 415."""
    body = {"name": "c.csv", "form": "csv", "content": CROWD, "columns": {"text": "sentence"}}
    for changed, said in (
        ({"content": CROWD + "three,v9,7\n"}, "line 5: output {'label': 'v9'}"),
        ({"columns": {"texts": "sentence"}}, "unknown column 'texts'"),
        ({"sha256": "0" * 64}, "one of the two"),
        ({"content": None}, "one of the two"),
        ({"form": "xml"}, "form"),
        ({"name": "a\nb"}, "no control characters"),
    ):
        refused = site.post("/api/v1/exchange/imports", json={**body, **changed})
        assert (refused.status_code, said in refused.text) == (422, True), refused.text
        assert refused.headers["content-type"] == "application/problem+json"
    form = site.post("/api/v1/exchange/imports", content="a=b", headers={"content-type": "text/plain"})
    assert form.status_code == 415
    del site.headers["Authorization"]
    assert site.post("/api/v1/exchange/imports", json=body).status_code == 401
    assert site.post("/api/v1/exchange/uploads", json={"sha256": "0" * 64, "offset": 0, "data": ""}).status_code == 401
    assert site.get("/api/v1/exchange/exports/csv").status_code == 401
    assert site.get("/api/v1/channels").status_code == 401


def test_conll_exports_have_the_words_of_the_task(store: Store, tmp_path: Path) -> None:
    """The route cuts with what it is given, as the opened house gives it the champion's tokenizer."""
    home, importer = Home(tmp_path / "home"), importer_of(store, SpansModel())
    demo = Demo.model_validate({"path": tmp_path / "t.toml", "name": "t", "task": "any", "title": "T", "data": {"train": "x"}})
    importer.take([Annotation("", "哮喘ok", {"spans": []}, "7")], "f", "sue")
    staff, app = Staff(home), FastAPI()
    identity.install(app, home=home, staff=staff, demo=demo)
    letters = lambda text: [(place, place + 1) for place in range(len(text))]  # noqa: E731
    app.include_router(
        exchange_routes.router(importer, store, Uploads(home.directory / "imports"), widget="spans", words=letters)
    )
    with TestClient(app, headers={"Authorization": f"Bearer {staff.owner_token()}"}) as client:
        out = client.get("/api/v1/exchange/exports/conll", params={"which": "all"}).text
    assert [line.split("\t")[0] for line in out.splitlines() if "\t" in line] == ["哮", "喘", "o", "k"]


def test_the_command_asks_the_running_app(
    site: TestClient, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of several parts goes in and comes out by the command, the same file again stores nothing, nothing is overwritten."""
    running = RunningApp("http://testserver", "")
    monkeypatch.setattr(running, "_client", site)
    monkeypatch.setattr(RunningApp, "__exit__", lambda *_: None)
    monkeypatch.setattr(exchange_commands, "running_app", lambda _: running)
    monkeypatch.setattr(exchange_commands, "_PART_BYTES", 7)
    file, out = tmp_path / "crowd.csv", tmp_path / "out.jsonl"
    file.write_text(CROWD, encoding="utf-8")
    home = ["--home", str(tmp_path / "home")]
    bring = [*home, "import", str(file), "--column", "text=sentence", "--channel", "acme"]
    assert exchange_commands.main(bring) == 0
    assert "3 annotations of 2 annotators stored, 0 were there already" in capsys.readouterr().out
    assert exchange_commands.main(bring) == 0
    assert "0 annotations of 2 annotators stored, 3 were there already" in capsys.readouterr().out
    assert exchange_commands.main([*home, "export", str(out), "--which", "training", "--channel", "acme"]) == 0
    (row,) = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert (row["text"], row["label"], row["status"]) == ("one", "v2", "accepted")
    assert exchange_commands.main([*home, "export", str(out)]) == 1
    assert "never overwrites" in capsys.readouterr().err
    assert exchange_commands.main([*home, "channels"]) == 0
    assert "acme\t2\t3\t3\t2\t0" in capsys.readouterr().out
    assert exchange_commands.main([*home, "export", str(tmp_path / "x.conll")]) == 1
    assert "CoNLL holds spans" in capsys.readouterr().err


def test_the_command_without_an_app(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exports and counts read the log itself; an import says that it needs the app, since only that knows the task's rules."""
    with empty(tmp_path) as log:
        take = importer_of(log, WordsModel())
        take.take([], "nothing", "sue")
    home = ["--home", str(tmp_path / "other")]
    assert exchange_commands.main([*home, "export", str(tmp_path / "o.csv")]) == 0
    assert exchange_commands.main([*home, "channels"]) == 0
    file = tmp_path / "a.csv"
    file.write_text(CROWD, encoding="utf-8")
    assert exchange_commands.main([*home, "import", str(file)]) == 1
    assert "start the app first" in capsys.readouterr().err
