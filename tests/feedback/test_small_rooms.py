"""Demos, words, snapshots, raw tables, staff: the small modules of the feedback room."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest

from feedback.client import running_app
from feedback.demo import load_demo
from feedback.desk import Desk
from feedback.errors import BadDemo, BadInput
from feedback.home import Home
from feedback.records import Example, Visitor, bucket_of, input_hash, normalised
from feedback.staff import Staff
from feedback.store import Store
from feedback.training_set import GATE_SHARE, accepted, freeze, part_of, read_snapshot
from feedback.transfer import FORMS, check_log, export_table, import_rows, read_rows
from feedback.webhook import Webhook
from feedback.words import LANGUAGES, Words, preferred
from tests.conftest import ROOT

GOOD = 'name = "x"\ntask = "text_classification"\ntitle = "X"\n'


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (GOOD, "neither data.train nor model"),
        (GOOD + 'model = "m"\nlables = ["a"]\n', "unknown key lables; known here: path, name"),
        (GOOD + 'model = "m"\n[training]\nepochs = 0\n', "training.epochs = 0"),
        (GOOD + 'model = "m"\n[training]\nrate = 1\n', "unknown key training.rate; known here: method"),
        (GOOD + 'model = "m"\n[experiment]\nrule = "best"\n', "experiment.rule = 'best'"),
        (GOOD + 'model = "m"\n[acceptance]\nagree = 1\n', "acceptance.agree = 1"),
        (GOOD + 'model = "m"\nlabels = ["a", "a"]\n', "has a label twice"),
        (GOOD + 'model = "m"\nlabels = ["a"]\nfallback_label = "b"\n', "fallback_label 'b' is not a label"),
        (GOOD + 'model = "m"\n[notice]\nzh = "x"\n', "no 'en' text"),
        (GOOD.replace('"x"', '"../x"') + 'model = "m"\n', "name = '../x'"),
        ('task = "t"\ntitle = "X"\nmodel = "m"\n', "name is missing"),
        (GOOD + 'model = "m"\n[experiment]\nname = "e"\n[[experiment.arms]]\nname = "a"\nshare = 1.0\n', "at least two arms"),
        (GOOD + "model = \n", "not valid TOML"),
    ],
)
def test_a_bad_demo_is_told_by_file_key_value_and_rule(tmp_path: Path, toml: str, said: str) -> None:
    """Every mistake names the file, what was written and what is allowed."""
    file = tmp_path / "demo.toml"
    file.write_text(toml, encoding="utf-8")
    with pytest.raises(BadDemo) as refused:
        load_demo(file)
    assert said in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_missing_demo_names_those_beside_it() -> None:
    """A wrong name lists the demos of that folder."""
    with pytest.raises(BadDemo, match=r"disease\.toml.*support\.toml"):
        load_demo(ROOT / "demos" / "nope.toml")


def test_the_catalogue_says_everything_in_both_languages() -> None:
    """Every key stands in English and in Chinese, with the same placeholders."""
    words = Words([ROOT / room / "words.toml" for room in ("feedback", "model", "analysis")])
    assert words.keys("en") == words.keys("zh")
    for key in words.keys("en"):
        english, chinese = (words.raw(language, key) for language in LANGUAGES)
        assert _fields(english) == _fields(chinese), key


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("de,zh;q=0.5,en;q=0.4", "zh"),
        ("en-GB,zh", "en"),
        ("fr", "en"),
        ("zh;q=0,en", "en"),
    ],
)
def test_the_browsers_language_is_followed(header: str, language: str) -> None:
    """Accept-Language by quality, English where none of ours is wished for."""
    assert preferred(header) == language


def test_hashes_ignore_case_and_space_only() -> None:
    """The same text in other case or spacing is one input; another text is not; buckets spread evenly over 0..1."""
    assert input_hash("Type  2\nDiabetes") == input_hash("type 2 diabetes")
    assert input_hash("a b") != input_hash("ab")
    assert normalised("ＡＢ") == "ab"
    share = sum(bucket_of(input_hash(f"text {n}")) < GATE_SHARE for n in range(4000)) / 4000
    assert share == pytest.approx(GATE_SHARE, abs=0.025)  # four binomial standard errors


def test_a_snapshot_holds_what_stands_accepted_and_never_changes_sides(desk: Desk, store: Store, tmp_path: Path) -> None:
    """Accepted ones only, one an input, amended outputs; the gate's part by the text's hash; damage is noticed."""
    ann = Visitor("u_ann")
    for number in range(40):
        made = desk.correct(ann, desk.predict(ann, f"text {number}").id, {"label": "v2"})[0]
        if number < 30:
            desk.review("sue", made.id, "amend" if number == 0 else "accept", {"label": "v3"} if number == 0 else None)
    again = desk.correct(ann, desk.predict(ann, "TEXT 1").id, {"label": "v3"})[0]
    desk.review("sue", again.id, "accept")
    found = accepted(store)
    assert len(found) == 30
    by_text = {normalised(e.input): e.output["label"] for e in found}
    assert (by_text["text 0"], by_text["text 1"], by_text["text 2"]) == ("v3", "v3", "v2")
    snapshot = freeze(found, tmp_path)
    assert {e.input_hash for e in snapshot.gate} == {e.input_hash for e in found if bucket_of(e.input_hash) < GATE_SHARE}
    assert all(part_of(e.input_hash) == "train" for e in snapshot.train)
    directory = tmp_path / snapshot.id
    assert read_snapshot(directory) == snapshot
    (directory / "examples.parquet").write_bytes(b"x")
    with pytest.raises(BadInput, match="sha256"):
        read_snapshot(directory)


def test_an_empty_snapshot_is_refused_in_words(tmp_path: Path) -> None:
    """Nothing accepted: words, and no directory."""
    with pytest.raises(BadInput, match="no accepted correction"):
        freeze([], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_keeps_awkward_text(tmp_path: Path) -> None:
    """Emoji, combining characters, newlines come back as they were."""
    text = "a\n😀 e\u0301 肺炎"
    snapshot = freeze([Example(text, {"spans": []}, 0.5, "c_1", "u", input_hash(text))], tmp_path)
    (example,) = snapshot.train + snapshot.gate
    assert (example.input, example.weight) == (text, 0.5)


@pytest.mark.parametrize("form", FORMS)
def test_raw_tables_travel_to_another_log(desk: Desk, store: Store, tmp_path: Path, form: str) -> None:
    """Every table exported and imported gives an equal log; a second import stores nothing."""
    ann = Visitor("u_ann")
    made = desk.correct(ann, desk.predict(ann, 'awkward, "text"\n😀').id, {"label": "v2"}, "a, b")[0]
    desk.review("sue", made.id, "accept")
    tables = ("predictions", "corrections", "reviews", "promotions")
    with Store(tmp_path / "other") as other:
        for table in tables:
            rows = read_rows(export_table(store, table, form), form, table)
            assert import_rows(other, table, rows).known == 0
            assert import_rows(other, table, rows).stored == 0
            ours, theirs = (log.frame(f"SELECT * FROM {table}") for log in (store, other))
            pd.testing.assert_frame_equal(ours, theirs)
        assert check_log(other) == []


def test_a_csv_keeps_what_looks_like_a_number(desk: Desk, store: Store, tmp_path: Path) -> None:
    """A comment of "007" is a text and stays one."""
    ann = Visitor("u_ann")
    desk.correct(ann, desk.predict(ann, "one").id, {"label": "v2"}, "007")
    with Store(tmp_path / "other") as other:
        for table in ("predictions", "corrections"):
            import_rows(other, table, read_rows(export_table(store, table, "csv"), "csv", table))
        assert other.rows("SELECT comment FROM corrections") == [{"comment": "007"}]


def test_a_command_does_not_give_its_token_to_another_app(tmp_path: Path) -> None:
    """running.json of an app that was killed, and another app on its port: no app of ours runs, and no token goes out."""
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(str(self.headers.get("authorization")))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"ok": true, "demo": "other", "home": "0000"}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    home = Home(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        home.running_file.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "pid": 1}), encoding="utf-8")
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert running_app(home) is None
        thread.join(10)
    assert asked == ["None"]


def test_imports_are_checked(store: Store) -> None:
    """A foreign table, a broken line and a wrong column are refused with their place; the check finds orphans."""
    with pytest.raises(BadInput, match="available are asked, blocks, corrections"):
        import_rows(store, "passwords", [])
    with pytest.raises(BadInput, match="line 2 is not JSON"):
        read_rows(b'{"a": 1}\n{oops\n', "jsonl", "f.jsonl")
    with pytest.raises(BadInput, match=r"missing: .*unknown: colour"):
        import_rows(store, "reviews", [{"colour": "red"}])
    row = {"id": "r", "correction_id": "c_gone", "verdict": "accept", "output": None, "reviewer": "x", "reason": ""}
    import_rows(store, "reviews", [{**row, "created": "2026-01-01T00:00:00"}])
    assert check_log(store) == ["1 reviews without their row in corrections"]


def test_the_staff_command_makes_tokens_and_passwords(tmp_path: Path) -> None:
    """`python -m feedback.staff` prints a token once and sets a password from standard input; a short one is refused."""

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "feedback.staff", "--home", str(tmp_path), *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    token = run("token", "robot").stdout.strip()
    staff = Staff(Home(tmp_path))
    assert staff.holder(token) == "robot"
    assert run("password", stdin="long enough now\n").returncode == 0
    assert staff.check_password("owner", "long enough now")
    assert not staff.check_password("nobody", "long enough now")
    short = run("password", stdin="short\n")
    assert short.returncode == 1
    assert "at least 10" in short.stderr


def test_the_store_command_without_an_app(desk: Desk, store: Store, tmp_path: Path) -> None:
    """export, import, backup and check open the log themselves where no app runs, and say who holds it where one does."""
    ann = Visitor("u_ann")
    desk.predict(ann, "one")
    home = str(tmp_path / "home")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "feedback.store", "--home", home, *words], capture_output=True, text=True, check=False
        )

    held = run("check")
    assert held.returncode == 1
    assert "in use by process" in held.stderr
    store.close()
    out = tmp_path / "p.jsonl"
    assert run("export", "predictions", str(out)).returncode == 0
    assert json.loads(out.read_text(encoding="utf-8").splitlines()[0])["variant"] == "champion"
    assert "never overwrites" in run("export", "predictions", str(out)).stderr
    assert "0 rows stored, 1 were there already" in run("import", "predictions", str(out)).stdout
    assert run("check").stdout.strip() == "the log hangs together"
    assert Path(run("backup").stdout.strip()).exists()


def test_the_webhook_is_told_and_a_failure_is_remembered() -> None:
    """One POST of JSON with event, demo and facts; an address that does not answer is remembered, not raised."""
    heard: list[dict[str, object]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        hook = Webhook(f"http://127.0.0.1:{server.server_port}/", "disease")
        hook.tell("candidate", version=7, state="passed")
        thread.join(10)
    assert {"event": "candidate", "demo": "disease", "version": 7, "state": "passed"}.items() <= heard[0].items()
    deaf = Webhook("http://127.0.0.1:9/", "disease")
    deaf.tell("alarm")
    deadline = time.monotonic() + 15
    while deaf.last is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert deaf.last is not None
    assert deaf.last.error
