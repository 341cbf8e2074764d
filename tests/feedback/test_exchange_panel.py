"""What the Data page asks of Python: uploads, columns, previews that store nothing, imports, and whom it answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import pytest

from feedback import exchange_panel
from feedback.demo import Demo
from feedback.errors import Unauthorised
from feedback.exchange.annotation import Widget
from feedback.exchange.forms import FORMS
from feedback.exchange.incoming import Importer
from feedback.exchange.outgoing import SETS
from feedback.exchange.preview import columns_of
from feedback.exchange.uploads import Uploads
from feedback.records import Json
from feedback.store import Store
from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT, WordsModel
from tests.coroutines import finished
from tests.feedback.exchanging import SpansModel, importer_of

NAME = "ab" * 32
CROWD = "sentence,label,worker\none,v2,7\none,v2,8\ntwo,v3,7\n"
COLUMNS = {"text": "sentence", "annotator": "worker"}
TABLES = ("exposures", "predictions", "corrections", "reviews", "traps")

Call = Callable[..., dict[str, Json]]


class Rooms(NamedTuple):
    """What the page needs of a room."""

    importer: Importer
    store: Store
    uploads: Uploads


class Page:
    """The page's functions by name, for a member of staff; `send` uploads a file."""

    def __init__(self, store: Store, directory: Path, widget: Widget, staff_of: exchange_panel.StaffOf = lambda _: "sue") -> None:
        self.store = store
        model = WordsModel() if widget == "choice" else SpansModel()
        self.uploads = Uploads(directory / "imports")
        rooms = Rooms(importer_of(store, model), store, self.uploads)
        demo = Demo.model_validate(
            {
                "path": directory / "t.toml",
                "name": "t",
                "task": "any",
                "title": "T",
                "data": {"train": "x"},
                "rename": {"OLD": "v2"},
            }
        )
        words = Words([ROOT / "feedback" / "words.toml"])
        self._calls = {f.__name__: f for f in exchange_panel.calls(rooms, demo, widget, words, "en", staff_of)}

    def __call__(self, name: str, /, **data: Json) -> dict[str, Json]:
        """Call a function as the page does."""
        return finished(self._calls[name](data, gr.Request()))  # type: ignore[arg-type]  # they are coroutine functions

    def send(self, text: str) -> dict[str, Json]:
        """Upload a file in two parts; return what names it."""
        raw = text.encode()
        for offset, part in ((0, raw[:5]), (5, raw[5:])):
            self("upload", upload=NAME, offset=offset, part=base64.b64encode(part).decode())
        return {"upload": NAME, "size": len(raw), "name": "crowd.csv"}

    def rows(self) -> int:
        """Return how many rows the log has."""
        return sum(int(self.store.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"]) for table in TABLES)


def test_a_file_is_understood_before_anything_is_stored(store: Store, tmp_path: Path) -> None:
    """Columns by the file, then a preview with counts and first rows, then the import: corrections, accepted, waiting."""
    page = Page(store, tmp_path, "choice")
    sent = page.send(CROWD)
    assert page("columns", **sent, form="") == {"form": "csv", "columns": ["sentence", "label", "worker"]}
    asked = {**sent, "form": "csv", "columns": COLUMNS, "channel": "acme"}
    seen = page("preview", **asked)
    assert seen["counts"] == ["3 new corrections of 2 annotators; 0 are stored already, 0 repeat others."]
    assert [(row["facts"], row["text"], row["output"]) for row in seen["rows"]] == [
        (["line 2", "by 7"], "one", {"label": "v2"}), (["line 3", "by 8"], "one", {"label": "v2"}), (["line 4", "by 7"], "two", {"label": "v3"}),
    ]  # fmt: skip
    assert (seen["errors"], seen["error_count"], page.rows()) == ([], 0, 0)
    done = page("bring", **asked)
    assert done["told"] == [
        "Imported: 3 became corrections (2 annotators); 0 were stored already, 0 repeated others.",
        "Of this source stand now: 2 accepted, 1 waiting for acceptance, 0 rejected.",
    ]
    assert [(c["channel"], c["corrections"], c["accepted"]) for c in done["channels"]] == [("acme", 3, 2)]
    assert not list((tmp_path / "imports").iterdir())
    assert "upload it again" in page("preview", **asked)["error"]
    again = page("preview", **page.send(CROWD), form="csv", columns=COLUMNS)
    assert again["counts"] == ["0 new corrections of 2 annotators; 3 are stored already, 0 repeat others."]


def test_errors_stand_by_row_beside_what_was_understood(store: Store, tmp_path: Path) -> None:
    """Rows of a wrong form and rows that break the task's rules are told together; the good ones are shown; nothing is stored."""
    page = Page(store, tmp_path, "choice")
    sent = page.send("text,label,time\none,v2,\ntwo,v9,\nthree,v2,soon\nfour,OLD,\n")
    seen = page("preview", **sent, form="csv")
    assert [row["text"] for row in seen["rows"]] == ["one", "four"]
    assert seen["rows"][1]["output"] == {"label": "v2"}
    assert [line.split(":")[0] for line in seen["errors"]] == ["line 4", "line 3"]
    assert "ISO 8601" in seen["errors"][0]
    assert (seen["error_count"], page.rows()) == (2, 0)
    refused = page("bring", **sent, form="csv")
    assert "1 error, nothing of the file was stored" in refused["error"]
    assert page.rows() == 0
    assert (tmp_path / "imports" / NAME).exists()  # it can be read differently and tried again
    page("forget", upload=NAME)
    assert not (tmp_path / "imports" / NAME).exists()


def test_more_errors_than_are_told_are_counted(store: Store, tmp_path: Path) -> None:
    """Of 30 the first 20 are told."""
    page = Page(store, tmp_path, "choice")
    seen = page("preview", **page.send("text,label\n" + "".join(f"t{n},v9\n" for n in range(30))), form="csv")
    assert (len(seen["errors"]), seen["errors"][-1], seen["rows"]) == (21, "and 10 more", [])


def test_spans_gold_and_what_is_left_out(store: Store, tmp_path: Path) -> None:
    """A Label Studio file of known truth: traps in the preview and the import, what is left out in words."""
    page = Page(store, tmp_path, "spans")
    label = {"type": "labels", "from_name": "l", "value": {"start": 4, "end": 8, "text": "gout", "labels": ["Disease"]}}
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    task = {"data": {"body": "Has gout"}, "annotations": [{"id": 1, "completed_by": 2, "result": [label, relation]}]}
    sent = page.send(json.dumps([task])) | {"name": "gold.json"}
    assert page("columns", **sent, form="") == {"form": "label_studio", "columns": ["body", "l"]}
    asked = {**sent, "form": "label_studio", "columns": {"text": "body"}, "gold": True}
    seen = page("preview", **asked)
    assert seen["counts"][1] == "1 new items of known truth."
    assert seen["ignored"] == ["Left out: relations: 1"]
    assert (seen["rows"][0]["gold"], seen["rows"][0]["output"]["spans"][0]["start"]) == (True, 4)
    assert page("bring", **asked)["told"][2] == "1 became trap items; 0 were there already."


def test_hostile_calls_are_told_in_words(store: Store, tmp_path: Path) -> None:
    """Names that are no upload, half a file, a form, a column, a channel and types that do not exist."""
    page = Page(store, tmp_path, "choice")
    sent = page.send(CROWD)
    for name, data, said in (
        ("upload", {"upload": "../../etc/passwd", "offset": 0, "part": ""}, "64 hex digits"),
        ("upload", {"upload": NAME, "offset": "0", "part": ""}, "number of bytes"),
        ("upload", {"upload": NAME, "offset": 0, "part": "%"}, "not base64"),
        ("columns", {**sent, "size": 7, "form": ""}, "of 7 bytes have come"),
        ("preview", {**sent, "form": "xml"}, "form: Input should be"),
        ("preview", {**sent, "form": "csv", "columns": {"texts": "a"}}, "unknown column 'texts'"),
        ("preview", {**sent, "form": "csv", "columns": COLUMNS, "channel": "a b"}, "channel 'a b'"),
        ("preview", {**sent, "form": "csv"}, "no column 'text'"),
        ("preview", {**sent, "form": "conll"}, "CoNLL holds spans"),
    ):
        assert said in page(name, **data)["error"]
    assert page("columns", **{**sent, "name": "crowd.txt"}, form="")["form"] == ""


def test_strangers_get_nothing(store: Store, tmp_path: Path) -> None:
    """Every function asks first who it is."""

    def nobody(_: gr.Request) -> str:
        raise Unauthorised("log in first")

    page = Page(store, tmp_path, "choice", nobody)
    for name in ("upload", "columns", "preview", "bring", "forget", "channels"):
        assert page(name) == {"error": "log in first", "code": ""}
    assert not list((tmp_path / "imports").iterdir())


@pytest.mark.parametrize(
    ("raw", "form", "columns"),
    [
        ('a;b;"c;d"\n1;2;3\n', "csv", ["a", "b", "c;d"]),
        ('\n{"x": 1, "y": 2}\n', "jsonl", ["x", "y"]),
        ("q\tanswer\n", "question_answers", ["q", "answer"]),
        ('{"q": 1}', "question_answers", ["q"]),
        ("[]", "label_studio", []),
        ('[{"data": {"t": ""}, "annotations": [{"result": [{"from_name": "c"}, 7]}, 7]}]', "label_studio", ["t", "c"]),
        ("a O\n", "conll", []),
    ],
)
def test_columns_of_each_form(raw: str, form: str, columns: list[str]) -> None:
    """The header, the first object's keys, the data's keys and the controls."""
    assert columns_of(raw.encode(), "f", form) == columns


def test_every_field_set_and_form_has_words() -> None:
    """The page builds these keys; both languages have them."""
    words = Words([ROOT / "feedback" / "words.toml"])
    names = {name for widget in ("spans", "choice") for fields in exchange_panel.fields_of(widget).values() for name in fields}
    wanted = {f"data.field_{name}" for name in names} | {f"data.set_{name}" for name in SETS}
    wanted |= {f"data.form_{name}" for name in FORMS}
    for language in LANGUAGES:
        assert wanted <= words.keys(language)
