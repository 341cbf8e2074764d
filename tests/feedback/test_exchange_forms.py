"""Files of others in each form: what is read of them, what is left out and counted, and how each way to be broken is told."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.errors import AmendError, BadInput, TooLarge
from feedback.exchange import csv_table, datasets_library, forms
from feedback.exchange.annotation import Annotation, Problems, Read, Reading
from feedback.exchange.bytes_of import LONGEST_LINE
from feedback.exchange.conll import plain_words
from tests.conftest import SHARED
from tests.feedback.exchanging import CHOICE, SPANS, SpansModel

ASTHMA = {"start": 8, "end": 14, "label": "Disease"}


def read(raw: bytes | str, form: str, how: Reading) -> Read:
    """Read a file of this form."""
    return forms.read_file(raw if isinstance(raw, bytes) else raw.encode(), "file", form, how)


def told(raw: bytes | str, form: str, how: Reading) -> str:
    """Return the words of the refusal."""
    with pytest.raises(AmendError) as refused:
        read(raw, form, how)
    return refused.value.detail


# -- tables ----------------------------------------------------------------------------------------------------------


def test_long_and_wide_tables() -> None:
    """A long table has an annotator column; in a wide one each annotator's column is theirs, and empty cells are nobody's word."""
    long = read("text,label,annotator\none,v1,7\none,v2,8\n", "csv", CHOICE).annotations
    assert [(a.annotator, a.output["label"], a.place) for a in long] == [("7", "v1", "line 2"), ("8", "v2", "line 3")]
    how = Reading("choice", {"text": "sentence"}, ("ann", "bob"))
    wide = read("sentence;ann;bob\r\none;v1;\r\ntwo;v2;v3\r\n", "csv", how).annotations
    assert [(a.input, a.annotator, a.output["label"]) for a in wide] == [
        ("one", "ann", "v1"),
        ("two", "ann", "v2"),
        ("two", "bob", "v3"),
    ]


def test_labels_are_renamed_as_the_demo_says() -> None:
    """A label means another of ours; one that is renamed to nothing drops its row, or its span."""
    how = Reading("choice", rename={"a": "v1", "b": ""})
    found = read("text,label\none,a\ntwo,b\n", "csv", how).annotations
    assert [(a.input, a.output) for a in found] == [("one", {"label": "v1"})]
    row = json.dumps({"text": "I have asthma", "spans": [{**ASTHMA, "label": "x"}, {**ASTHMA, "label": "y"}]})
    kept = read(row, "jsonl", Reading("spans", rename={"x": "", "y": "Disease"})).annotations
    assert kept[0].output == {"spans": [ASTHMA]}


def test_no_cell_of_an_export_is_a_formula() -> None:
    """Every cell that a spreadsheet would run gets an apostrophe, and comes back without; a foreign table is read as it stands."""
    starts = ["=1", "+1", "-1", "@a", "\t=1", "＝1", "'=1", "''+1", "'tis", "1=1"]
    raw = forms.write_file([Annotation("", text, {"label": "=v"}, "+me", comment="-x") for text in starts], "csv")
    cells = [cell for row in csv.reader(io.StringIO(raw.decode(), newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\n＝＋－＠") and cell]
    back = read(raw, "csv", CHOICE).annotations
    assert [(a.input, a.output["label"], a.annotator, a.comment) for a in back] == [(t, "=v", "+me", "-x") for t in starts]
    assert read("text,label\n'=1,v1\n", "csv", CHOICE).annotations[0].input == "'=1"


@given(st.text(max_size=12))
def test_escaping_is_undone_for_every_cell(cell: str) -> None:
    """unescaped(escaped(x)) is x, and what is escaped begins harmlessly."""
    assert csv_table.unescaped(csv_table.escaped(cell)) == cell
    assert csv_table.escaped(cell)[:1] not in tuple("=+-@\t\r\n＝＋－＠")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("sentence,label\none,v1\n", "line 1: no column 'text' (say what it is called: text=COLUMN)"),
        ("text,text\na,b\n", "line 1: a column is named twice"),
        ("text,label\none,v1,more\n\ntwo\n", "line 2: 3 cells, but the header names 2 columns\nline 4: 1 cells"),
        ('text,label\n"one"x,v1\n', "line 2: not CSV"),
        ('text,label\n"one,v1\n', "line 2: not CSV"),
        ("text,label\n" + "x" * 200_000 + ",v1\n", "field larger than field limit"),
        ("text,answer\none,v1\n", "line 2: no 'label' (say what it is called: label=COLUMN)"),
        ("text,label,gold\none,v1,perhaps\n", "line 2: gold is 'perhaps': it must be one of"),
        ("text,label,time\none,v1,yesterday\n", "line 2: time is 'yesterday': it must be ISO 8601"),
    ],
)
def test_broken_tables(raw: str, said: str) -> None:
    """Each by line, value and rule."""
    assert said in told(raw, "csv", CHOICE)


# -- bytes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        ("text,label\n".encode("utf-16"), "is UTF-16"),
        (b'{"text": "a", "label": "b"}\n{"text": "\xff"}', "line 2: a byte that is not UTF-8"),
        (b'\xef\xbb\xbf{"text": "a"}\n\xe4\n', "line 2: a byte that is not UTF-8"),
        (b'{"text": "a"}\n\0', "line 2: holds a NUL"),
        (b'{"text": "' + b"x" * (LONGEST_LINE + 1) + b'"}', f"a line has at most {LONGEST_LINE}"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": NaN}', "NaN is no JSON value"),
        (b'{"text": "a"', "line 1: the line is not JSON"),
        (b'["text"]', "line 1: the line is '[\"text\"]': it must be a JSON object"),
        (b'{"text": "a", "label": ["b"]}', "line 1: label is \"['b']\": it must be a text"),
        (b'{"text": "a", "label": ' + b"9" * 5000 + b"}", "line 1: the line is not JSON"),
    ],
)
def test_hostile_bytes(raw: bytes, said: str) -> None:
    """Each way for bytes to be no data has its own words and a line."""
    assert said in told(raw, "jsonl", CHOICE)


def test_a_byte_order_mark_and_windows_lines_are_read() -> None:
    """As spreadsheets save them."""
    found = read(b"\xef\xbb\xbftext,label\r\none,v1\r\n", "csv", CHOICE).annotations
    assert [(a.input, a.output) for a in found] == [("one", {"label": "v1"})]


def test_a_file_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit the file is refused before it is looked at."""
    monkeypatch.setattr("feedback.exchange.bytes_of.LARGEST_FILE", 10)
    with pytest.raises(TooLarge, match="at most 10 are read"):
        read(b"x" * 11, "csv", CHOICE)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(forms.FORMS),
    st.sampled_from([SPANS, CHOICE, Reading("spans", annotators=("text", "b"))]),
    st.one_of(
        st.binary(max_size=120),
        st.text(alphabet='{}[]":,\n\t=#OBI-?u\\\'; 01é😀\0', max_size=120).map(lambda text: text.encode()),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["text", "spans", "label", "start", "end", "data", "annotations", "result", "value", "type",
                                 "labels", "choices", "completed_by", "id", "gold", "time", "question", "answer", "rating"]),
                inner, max_size=4,
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)  # fmt: skip
def test_whatever_the_bytes_are_the_answer_is_annotations_or_words(form: str, how: Reading, raw: bytes) -> None:
    """No file crashes a reader: it gives annotations, which the task can check, or an AmendError."""
    found: list[Annotation] = []
    with contextlib.suppress(AmendError):
        found = read(raw, form, how).annotations
    for annotation in found:
        with contextlib.suppress(AmendError):
            SpansModel().check(annotation.input, annotation.output)


# -- CoNLL -----------------------------------------------------------------------------------------------------------


def test_foreign_conll() -> None:
    """Words are joined by blanks; a document's start and other comments are no words; I- may begin a span; # is a word too."""
    raw = "-DOCSTART- O\n\n# sent_id = 3\nI O\nhave O\nasthma B-Disease\n\n# O\nBRCA1 I-Gene\nBRCA2 B-Gene\n"
    first, second = read(raw, "conll", SPANS).annotations
    assert (first.input, first.output, first.place) == (
        "I have asthma",
        {"spans": [{"start": 7, "end": 13, "label": "Disease"}]},
        "line 3",
    )
    assert second.input == "# BRCA1 BRCA2"
    assert [(s["start"], s["end"]) for s in second.output["spans"]] == [(2, 7), (8, 13)]
    raw = '# text = "I" have  asthma\n"\tO\nI\tO\n"\tO\nhave\tO\nasthma\tB-Disease\n'
    assert read(raw, "conll", SPANS).annotations[0].output == {"spans": [{"start": 10, "end": 16, "label": "Disease"}]}


def test_conll_of_a_crowd() -> None:
    """The last columns are the annotators'; a question mark says that one did not look at this text."""
    raw = "asthma\tB-Disease\tO\t?\nBRCA1\tO\tB-Gene\t?\n"
    found = read(raw, "conll", Reading("spans", annotators=("a", "b", "c"))).annotations
    assert [(a.annotator, len(a.output["spans"])) for a in found] == [("a", 1), ("b", 1)]


def test_conll_has_the_tasks_words() -> None:
    """A word a line, cut where the given function cuts, and also where a span begins or ends inside of one."""
    one = Annotation("", "non-small BRCA1", {"spans": [{"start": 10, "end": 13, "label": "Gene"}]})
    lines = forms.write_file([one], "conll", lambda text: [(0, 9), (10, 15)]).decode().splitlines()
    assert lines[1:4] == ["non-small\tO", "BRC\tB-Gene", "A1\tO"]
    assert [line.split("\t")[0] for line in forms.write_file([one], "conll", plain_words).decode().splitlines()[1:6]] == [
        "non", "-", "small", "BRC", "A1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "how", "said"),
    [
        ("a X-b\n", SPANS, "line 1: (line 1) tag 'X-b': must be O, B-label or I-label"),
        ("a O\nb\n", SPANS, "line 1: (line 2) 'b': a word and 1 tag are needed"),
        ('# text = "other"\na\tO\n', SPANS, "the words are not those of the text 'other'"),
        ('# text = "a"\n', SPANS, "comments without words"),
        ("a O\n", CHOICE, "CoNLL holds spans in a text, and this demo's task gives one label a text"),
    ],
)
def test_broken_conll(raw: str, how: Reading, said: str) -> None:
    """Each by line, value and rule."""
    assert said in told(raw, "conll", how)


# -- Label Studio ----------------------------------------------------------------------------------------------------


def label(start: int, end: int, words: str | None = None, name: str = "Disease") -> dict[str, Any]:
    """Return a result of Label Studio's."""
    value = {"start": start, "end": end, "labels": [name]} | ({} if words is None else {"text": words})
    return {"id": "r", "from_name": "l", "to_name": "t", "type": "labels", "value": value}


def task(text: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    """Return a task of Label Studio's."""
    return {"id": 1, "data": {"text": text}, "annotations": list(annotations), "predictions": []}


def test_label_studio_spans() -> None:
    """Several annotators a task; relations, other controls, skipped annotations and predictions are left out and counted."""
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}
    raw = json.dumps([
        {**task(
            "I have asthma",
            {"id": 5, "completed_by": 3, "result": [label(7, 13, "asthma"), relation], "updated_at": "2026-01-01T00:00:00Z"},
            {"id": 6, "completed_by": {"id": 4, "email": "x@y"}, "result": [{"type": "textarea", "value": {"text": ["hm"]}}]},
            {"id": 7, "completed_by": 5, "result": [], "was_cancelled": True},
            {"id": 8, "completed_by": 6, "result": [], "ground_truth": True},
        ), "predictions": [{"result": []}]},
        task("none"),
    ])  # fmt: skip
    found, ignored = read(raw, "label_studio", SPANS)
    assert [(a.annotator, a.output["spans"], a.gold) for a in found] == [
        ("3", [{"start": 7, "end": 13, "label": "Disease"}], False),
        ("4", [], False),
        ("6", [], True),
    ]
    assert ignored == {
        "relations": 1, "results of type textarea": 1, "skipped annotations": 1, "predictions": 1, "tasks without an annotation": 1,
    }  # fmt: skip


def test_label_studio_offsets_of_both_kinds() -> None:
    """Old exports count UTF-16 units, new ones code points: the words beside the offsets tell; where they fit neither it is an error.

    The first case is that of HumanSignal/label-studio issue 1347: an emoji before the word shifts it by one.
    """
    text = "💩This is an annotation."
    for start, end in ((13, 23), (12, 22)):
        found = read(json.dumps([task(text, {"result": [label(start, end, "annotation")]})]), "label_studio", SPANS)
        assert found.annotations[0].output["spans"] == [{"start": 12, "end": 22, "label": "Disease"}]
    assert "offsets 3 to 9 do not hold the words 'annotation'" in told(
        json.dumps([task(text, {"result": [label(3, 9, "annotation")]})]), "label_studio", SPANS
    )


def test_label_studio_choices() -> None:
    """One choice an annotation is a label; none is counted, two are an error."""

    def choices(*names: str) -> dict[str, Any]:
        return {"result": [{"type": "choices", "value": {"choices": list(names)}}]}

    found, ignored = read(json.dumps([task("one", choices("v1"), {"result": []})]), "label_studio", CHOICE)
    assert ([a.output for a in found], ignored) == ([{"label": "v1"}], {"annotations without a choice": 1})
    said = told(json.dumps([task("a", choices("v1")), task("b", choices("v1"), choices("v1", "v2"))]), "label_studio", CHOICE)
    assert "task 2: annotation 2: the choices are ['v1', 'v2']: exactly one is needed" in said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": 1}, "is a list of tasks, and this is dict"),
        ([{"text": "a", "label": []}], "task 1: no 'data': export as JSON, not as JSON-MIN"),
        ([{"data": {"body": "a"}, "annotations": []}], "task 1: data has no 'text'"),
        ([{"data": {"text": "a"}}], "task 1: 'annotations' must be a list"),
        ([task("a", {"result": [label(0, 1) | {"value": {"start": 0, "end": 1, "labels": ["a", "b"]}}]})], "exactly one is needed"),
        ([task("a", {"result": [label(0.5, 1)]})], "offset 0.5 must be a whole number"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_broken_label_studio(value: Any, said: str) -> None:
    """Each by task, annotation and rule."""
    assert said in told(json.dumps(value), "label_studio", SPANS)


# -- question-answer logs --------------------------------------------------------------------------------------------


def test_question_answer_logs() -> None:
    """Pairs are taken with who answered and when; rows rated too low are left out and counted; spans have no such log."""
    raw = '{"question": "one", "answer": "v1", "annotator": "a", "rating": 5}\n{"question": "two", "answer": "v2", "rating": 1}\n'
    found, ignored = read(raw, "question_answers", Reading("choice", least_rating=3))
    assert ([(a.input, a.output, a.annotator) for a in found], ignored) == ([("one", {"label": "v1"}, "a")], {"rated below 3": 1})
    assert len(read(raw, "question_answers", CHOICE).annotations) == 2
    table = read("q,answer,rating\none,v1,\n", "question_answers", Reading("choice", {"question": "q"}, least_rating=3))
    assert table.annotations[0].input == "one"
    assert "an answer in words is no output of this demo's task (spans)" in told(raw, "question_answers", SPANS)
    assert "line 1: rating is 'good': it must be a number" in told(
        '{"question": "one", "answer": "v1", "rating": "good"}', "question_answers", Reading("choice", least_rating=3)
    )


# -- the datasets library --------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("datasets") is not None, reason="the extra 'datasets' is installed")
def test_without_the_library_the_words_say_what_to_do(tmp_path: Path) -> None:
    """No import error: the extra's name, and a way without it."""
    with pytest.raises(datasets_library.NoLibrary, match=r"pip install datasets .*Dataset\.to_json"):
        datasets_library.to_jsonl(tmp_path)


def test_data_sets_with_class_names_and_tokens() -> None:
    """Class numbers become names, tokens with tags a text with spans, and all parts of a DatasetDict are taken."""
    library = pytest.importorskip("datasets", reason="the extra 'datasets' is not installed")
    names = library.ClassLabel(names=["v1", "v2"])
    features = library.Features({"text": library.Value("string"), "label": names})
    made = library.Dataset.from_dict({"text": ["one", "two"], "label": [0, 1]}, features=features)
    assert [a.output["label"] for a in read(datasets_library.to_jsonl(made), "jsonl", CHOICE).annotations] == ["v1", "v2"]
    tags = library.Sequence(library.ClassLabel(names=["O", "B-Disease"]))
    features = library.Features({"tokens": library.Sequence(library.Value("string")), "ner_tags": tags})
    made = library.Dataset.from_dict({"tokens": [["my", "asthma"]], "ner_tags": [[0, 1]]}, features=features)
    both = library.DatasetDict({"train": made, "test": made})
    found = read(datasets_library.to_jsonl(both), "jsonl", SPANS).annotations
    assert [(a.input, a.output) for a in found] == [("my asthma", {"spans": [{"start": 3, "end": 9, "label": "Disease"}]})] * 2


# -- real files ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "data" / "crowd_labels").is_dir(), reason="the shared data sets are not on this machine")
def test_a_real_crowd_is_read() -> None:
    """CF_amt has 6,030 labels by 110 workers (the table in its SOURCE.md): every row is one annotation, the item its text."""
    raw = (SHARED / "data" / "crowd_labels" / "CF_amt" / "label.csv").read_bytes()
    found = read(raw, "csv", Reading("choice", {"text": "item", "annotator": "worker"})).annotations
    assert (len(found), len({a.annotator for a in found})) == (6030, 110)


def test_errors_past_the_first_twenty_are_counted() -> None:
    """A file of errors has a short message."""
    problems = Problems("file")
    for number in range(25):
        problems.add(f"line {number}", "bad")
    with pytest.raises(BadInput, match="25 errors, nothing of the file was stored") as refused:
        problems.refuse()
    assert refused.value.detail.endswith("and 5 more")
