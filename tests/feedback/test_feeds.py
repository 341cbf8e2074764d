"""Items of a feed come once, whatever way and however often they are read; they are nobody's and count in no experiment."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import generate_latest

from feedback import feed_routes, identity, problems
from feedback.contributors import Contributors
from feedback.demo import Demo, PrivacySettings
from feedback.desk import Desk
from feedback.erasing import Eraser
from feedback.errors import BadDemo, BadInput, Conflict, TooLarge
from feedback.experiments import Experiments
from feedback.feeds.item import Item, item_of
from feedback.feeds.reading import Feeds
from feedback.feeds.sources import plain, source_of
from feedback.home import Home
from feedback.metrics import Meter
from feedback.records import Answer, Experiment, Json, Variant, Visitor
from feedback.retention import Retention
from feedback.staff import Staff
from feedback.store import Store
from feedback.transfer import check_log, export_table, import_rows, read_rows
from tests.conftest import ROOT, WordsModel
from tests.feedback.test_erasing import Known

MORNING = datetime(2026, 3, 2, 8, 30)


def replies(version: int, inputs: Sequence[Json]) -> list[Answer]:
    """Answer as the stand-in model does, in a batch."""
    return [WordsModel().predict(version, input_, {}) for input_ in inputs]


def feeds(store: Store, experiments: Experiments, path: Path, *sources: str, **feed: Any) -> Feeds:
    """Return a feed whose sources are in `path`."""
    demo = Demo.model_validate(
        {
            "path": path / "any.toml", "name": "any", "task": "any", "title": "Any", "data": {"train": "x"},
            "feed": {"enabled": True, "sources": sources, **feed}, "privacy": {"keep_days": 400},
        }
    )  # fmt: skip
    return Feeds(demo, store, WordsModel(), replies, experiments, path / "marks.json", clock=lambda: MORNING + timedelta(hours=1))


def items(store: Store) -> list[dict[str, Any]]:
    """Return every item with its text, in the order of the texts."""
    return store.rows(
        """SELECT p.input ->> '$' AS text, f.source, f.published, f.link, p.contributor, p.forced, p.experiment, p.version
           FROM feed_items f JOIN predictions p ON p.id = f.prediction_id ORDER BY 1"""
    )


def rows(path: Path, *texts: str) -> None:
    """Append rows to a JSONL."""
    with path.open("a", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text, "published": "2026-03-02T08:30:00Z"}) + "\n")


def test_a_growing_file_is_read_on_and_each_row_stored_once(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """A second look brings the new row alone; without its marks all is read again, and nothing stored twice."""
    rows(tmp_path / "news.jsonl", "Oil is up", "Oil is down")
    feed = feeds(store, experiments, tmp_path, "news.jsonl", batch=1)
    assert feed.read()[:2] == (2, 0)
    rows(tmp_path / "news.jsonl", "Oil is flat")
    assert feed.read()[:2] == (1, 0)
    (tmp_path / "marks.json").unlink()
    assert feed.read()[:2] == (0, 3)
    found = items(store)
    assert [row["text"] for row in found] == ["Oil is down", "Oil is flat", "Oil is up"]
    assert {(row["contributor"], row["forced"], row["experiment"]) for row in found} == {("feed:news.jsonl", True, "")}
    assert found[0]["published"] == MORNING
    assert check_log(store) == []


def test_a_row_half_written_waits_and_a_broken_one_is_named(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """A last line without its end is read when it has one; a row that is no item is passed over with its place."""
    file = tmp_path / "news.jsonl"
    file.write_text('{"text": 5}\n{"text": "whole"}\n{"text": "ha', encoding="utf-8")
    feed = feeds(store, experiments, tmp_path, "news.jsonl")
    taken = feed.read()
    assert taken.stored == 1
    assert taken.problems == ("news.jsonl, byte 0: text is 5: a text with at least one letter is needed",)
    with file.open("a", encoding="utf-8") as handle:
        handle.write('lf"}\n')
    assert feed.read().stored == 1
    assert [row["text"] for row in items(store)] == ["half", "whole"]


def test_a_killed_reading_goes_on_where_it_was(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """A batch whose mark was not written (a kill right after the log's commit) is read again and stored once."""
    rows(tmp_path / "news.jsonl", *(f"text {number}" for number in range(10)))
    feed = feeds(store, experiments, tmp_path, "news.jsonl", batch=4)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    feed._write_mark = killed  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        feed.read()
    assert len(items(store)) == 4
    assert feeds(store, experiments, tmp_path, "news.jsonl", batch=4).read()[:2] == (6, 4)
    assert len(items(store)) == 10


_READER = """
import sys
from pathlib import Path
from feedback.demo import Demo
from feedback.experiments import Experiments
from feedback.store import Store
from tests.feedback.test_feeds import feeds
path = Path(sys.argv[1])
with Store(path / "home", checkpoint_bytes=65_536) as store:
    experiments = Experiments(store)
    experiments.begin(1, "test")
    print("opened", flush=True)
    feeds(store, experiments, path, "news.jsonl", batch=16).read()
    print("done", flush=True)
"""


def test_killed_again_and_again_every_row_is_stored_once(tmp_path: Path) -> None:
    """kill -9 at two moments of the reading, checkpoints forced: in the end each of 2,000 rows is there once, and nothing dangles."""
    rows(tmp_path / "news.jsonl", *(f"text {number}" for number in range(2000)))
    said = []
    for seconds in (0.05, 0.15, 60.0):
        process = subprocess.Popen(
            [sys.executable, "-c", _READER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )  # fmt: skip
        assert process.stdout is not None
        with process:
            assert process.stdout.readline() == "opened\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            process.kill()
            said.append(process.stdout.read())
    assert (said[0], said[-1]) == ("", "done\n")
    with Store(tmp_path / "home") as store:
        (found,) = store.rows(
            "SELECT count(*) AS rows, count(DISTINCT p.input_hash) AS texts FROM feed_items f JOIN predictions p ON p.id = f.prediction_id"
        )
        assert found == {"rows": 2000, "texts": 2000}
        assert check_log(store) == []


def test_csv_folder_and_rss_bring_the_same_kind_of_item(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """Each form gives text, time, source and link; markup in RSS becomes words."""
    (tmp_path / "a.csv").write_text(
        "text,published,source,link\nBank cuts,2026-03-02 09:30+01:00,wire,https://e.example/1\n", "utf-8"
    )
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "one.txt").write_text("Deal is off\n", encoding="utf-8")
    (tmp_path / "b.rss").write_text(RSS, encoding="utf-8")
    feed = feeds(store, experiments, tmp_path, "a.csv", "inbox", "b.rss")
    assert feed.read().stored == 4
    found = {row["text"]: row for row in items(store)}
    assert set(found) == {"Bank cuts", "Deal is off", "Shares & bonds fall", "Only a summary"}
    assert found["Bank cuts"]["published"] == MORNING
    assert (found["Bank cuts"]["source"], found["Bank cuts"]["link"]) == ("wire", "https://e.example/1")
    assert found["Shares & bonds fall"]["published"] == datetime(2026, 3, 2, 8, 0)
    assert found["Only a summary"]["link"] == ""  # javascript: is no link
    assert feed.read()[:2] == (0, 3)  # the CSV did not change; the newest file and the document are looked at again


def test_rss_over_http_is_asked_for_changes_alone(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """The second request carries the first answer's ETag; 'not modified' brings nothing, and a failing source is said."""
    with served() as (url, asked):
        feed = feeds(store, experiments, tmp_path, f"{url}/rss")
        assert feed.read().stored == 2
        assert feed.read() == (0, 0, 0, ())
        assert asked == ["", '"v1"']
    assert feed.read().stored == 0
    failing = feed.failing()
    assert failing is not None
    assert failing["source"] == "127.0.0.1/rss"
    assert "not reached" in str(failing["detail"])


def test_the_route_takes_items_from_staff_all_or_none(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """Without a token 401; a bad item is named and nothing stored; the same call again stores nothing new."""
    feed = feeds(store, experiments, tmp_path, most=3)
    app, home = FastAPI(), Home(tmp_path)
    problems.install(app)
    staff = Staff(home)
    demo = Demo.model_validate(
        {"path": tmp_path / "any.toml", "name": "any", "task": "any", "title": "Any", "data": {"train": "x"}}
    )
    identity.install(app, home=home, staff=staff, demo=demo)
    app.include_router(feed_routes.router(feed))
    token = {"authorization": f"Bearer {staff.make_token('robot')}"}
    good = [{"text": "Gold rises", "source": "wire", "id": "7"}, {"text": "Gold rises", "source": "other"}]
    with TestClient(app) as client:
        assert client.post("/api/v1/feed", json={"items": good}).status_code == 401
        bad = client.post("/api/v1/feed", json={"items": [*good, {"text": "x", "published": "soon"}]}, headers=token)
        assert bad.status_code == 422
        assert "item 3" in bad.json()["detail"]
        assert items(store) == []
        assert client.post("/api/v1/feed", json={"items": good}, headers=token).json() == {"stored": 2, "known": 0, "old": 0}
        assert client.post("/api/v1/feed", json={"items": good}, headers=token).json() == {"stored": 0, "known": 2, "old": 0}
        assert client.post("/api/v1/feed", json={"items": good * 2}, headers=token).status_code == 413


def test_the_same_text_source_and_time_is_one_item_whatever_its_id(
    store: Store, experiments: Experiments, tmp_path: Path
) -> None:
    """Other ids do not make a second row; another source, or another time, does."""
    feed = feeds(store, experiments, tmp_path)
    first = Item("Gold rises", "wire", MORNING, "1")
    again = [first._replace(given="2"), first._replace(given="")]
    assert feed.post([first, *again])[:2] == (1, 2)
    assert feed.post(again)[:2] == (0, 2)
    assert (
        feed.post([first._replace(given="3", source="b"), first._replace(given="4", published=MORNING - timedelta(1))]).stored
        == 2
    )


def test_a_feed_is_nobody_and_in_no_experiment(store: Store, tmp_path: Path) -> None:
    """While an experiment runs the champion answers, no exposure is made, no user-day is counted, and no contributor is listed."""
    experiments = Experiments(store)
    experiments.begin(1, "test")
    experiments.declare(Experiment("x", 1, "running", (Variant("champion", 1, 0.0), Variant("b", 2, 1.0))))
    feed = feeds(store, experiments, tmp_path)
    feed.post([Item("Gold rises", "wire"), Item("Gold falls", "wire")])
    Desk(store, WordsModel(), experiments, None).predict(Visitor("u_ann"), "hello")  # type: ignore[arg-type]
    assert {row["version"] for row in items(store)} == {1}
    assert [row["contributor"] for row in store.rows("SELECT contributor FROM exposures")] == ["u_ann"]
    assert {row["contributor"] for row in store.rows("SELECT contributor FROM user_days")} == {"u_ann"}
    listed, total = Contributors(store).everybody()
    assert ([one.contributor for one in listed], total) == (["u_ann"], 1)


def test_a_feed_is_none_of_the_visitors_figures(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """Prometheus counts its items beside imports: nobody waited for them, so they are in no latency."""
    meter = Meter("any")
    store.listen(meter)
    feeds(store, experiments, tmp_path).post([Item("Gold rises", "wire"), Item("Gold falls", "wire")])
    assert meter.registry.get_sample_value("amend_imported_total", {"kind": "prediction"}) == 2
    assert b"amend_predictions_total{" not in generate_latest(meter.registry)


def test_texts_of_age_go_and_are_not_read_again(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """Retention empties text and link and keeps the answer; an item older than keep_days is not taken in the first place."""
    feed = feeds(store, experiments, tmp_path)
    feed.post([Item("An old zebra", "wire", MORNING, "", "https://e.example/zebra"), Item("Known by id", "wire", MORNING, "7")])
    before = {row["id"] for row in store.rows("SELECT id FROM feed_items")}
    home = Home(store.file.parent)
    keep = Retention(
        PrivacySettings(keep_days=30), home, store, Eraser(home, store, Known(), lambda *_: None), Known(),
        clock=lambda: MORNING + timedelta(days=60),
    )  # fmt: skip
    assert keep.look().texts == 2
    assert [(row["text"], row["link"]) for row in items(store)] == [(None, ""), (None, "")]
    assert b"zebra" not in store.file.read_bytes()
    after = {row["id"] for row in store.rows("SELECT id FROM feed_items")}
    assert len(before & after) == 1  # the source's own id stays; the one made of the text does not
    assert feed.post([Item("Ancient", "wire", MORNING - timedelta(days=500))]) == (0, 0, 1, ())


def test_erasing_a_source_takes_its_items(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """A source can be erased as a contributor is."""
    feed = feeds(store, experiments, tmp_path)
    feed.post([Item("Gold rises", "wire"), Item("Gold falls", "other")])
    Eraser(Home(store.file.parent), store, Known(), lambda *_: None).erase("feed:wire", "rita")
    assert [row["source"] for row in store.rows("SELECT source FROM feed_items")] == ["other"]
    assert check_log(store) == []


def test_items_go_out_and_come_in_as_a_table(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """An export of feed_items is imported into another log as it was, in every form."""
    feeds(store, experiments, tmp_path).post([Item("Gold rises", "wire", MORNING, "1", "https://e.example/1")])
    for form in ("jsonl", "csv", "parquet"):
        with Store(tmp_path / form) as other:
            for table in ("predictions", "feed_items"):
                import_rows(other, table, read_rows(export_table(store, table, form), form, table))
            assert other.rows("FROM feed_items") == store.rows("FROM feed_items")


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"text": " "}, "at least one letter"),
        ({"text": "x", "published": "yesterday"}, "ISO 8601"),
        ({"text": "x", "published": "1889-01-01"}, "before 1990"),
        ({"text": "x", "link": "javascript:alert(1)"}, "must begin with http"),
        ({"text": "x", "id": "y" * 501}, "at most 500"),
        ({"text": "x", "when": "now"}, "unknown key when"),
    ],
)
def test_an_item_that_is_none_is_refused_in_words(row: dict[str, Any], says: str) -> None:
    """The message names the place, the value and the rule."""
    with pytest.raises(BadInput, match=f"row 3: .*{says}"):
        item_of(row, "any", "row 3")


def test_settings_of_a_feed_are_checked(store: Store, experiments: Experiments, tmp_path: Path) -> None:
    """A source of no known form is refused at the start; a demo without a feed takes nothing; sources turn a feed on."""
    with pytest.raises(BadDemo, match=r"feed source 'a\.docx'"):
        source_of("a.docx", tmp_path)
    off = feeds(store, experiments, tmp_path, enabled=False)
    with pytest.raises(Conflict, match="enabled = true"):
        off.post([Item("x", "y")])
    with pytest.raises(TooLarge, match="at most 1"):
        feeds(store, experiments, tmp_path, most=1).post([Item("x", "y"), Item("z", "y")])
    assert plain("a <b>bold</b> &amp; quiet\n word") == "a bold & quiet word"


RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>
<item><title>Shares &amp;amp; &lt;i&gt;bonds&lt;/i&gt; fall</title><guid>g1</guid><link>https://e.example/2</link>
<pubDate>Mon, 02 Mar 2026 09:00:00 +0100</pubDate></item>
<item><description>Only &lt;script&gt;&lt;/script&gt; a summary</description><guid>g2</guid><link>javascript:alert(1)</link></item>
</channel></rss>""".replace("Only &lt;script&gt;&lt;/script&gt; a", "Only a")


class served:  # a context manager that reads like a word
    """A server on 127.0.0.1 with one RSS document; `asked` are the ETags that it was asked with."""

    def __enter__(self) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.headers.get("if-none-match", ""))
                self.send_response(304 if asked[-1] else 200)
                self.send_header("etag", '"v1"')
                body = b"" if asked[-1] else RSS.encode()
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}", asked

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
