"""Everything that reads what people give: whatever comes, it returns or refuses in words that name the place; nothing else is raised."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedback.demo import load_demo
from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Reading, moment, truth
from feedback.exchange.checked import check_all
from feedback.exchange.forms import FORMS, read_file, write_file
from feedback.exchange.preview import columns_of
from feedback.exchange.uploads import Uploads
from feedback.records import Correction, Prediction, input_hash
from feedback.store import Store
from feedback.transfer import export_table, import_rows, read_rows
from model import readers
from model.tasks.bio import decode_bio
from model.tasks.text_classification import TextClassification
from model.tasks.token_classification import TokenClassification
from tests.feedback.exchanging import SpansModel, importer_of
from tests.security.generated import DEEP, HUGE, MANY, dumped, in_words, like, mutated, texts, values

TOML = """name = "d"
task = "text_classification"
title = { en = "T", zh = "题" }
labels = ["a", "b"]
examples = ["x"]
[data]
train = "d.jsonl"
[experiment]
name = "e"
arms = [{ name = "a", share = 0.5, method = "head" }, { name = "b", share = 0.5 }]
guardrails = [{ metric = "latency", margin = 0.2 }]
[acceptance]
agree = 2
[limits]
max_chars = 100
"""
KEYS = [
    "name", "task", "title", "labels", "label_names", "rename", "fallback_label", "examples", "model", "base", "data.train", "data.test",
    "training.epochs", "training.learning_rate", "experiment.name", "experiment.arms", "experiment.guardrails", "experiment.segments",
    "experiment.n_max", "experiment.alpha", "acceptance.agree", "acceptance.precision", "acceptance.gold", "tracking.services",
    "limits.max_chars", "limits.per_network_factor", "privacy.identifiers", "server.origins", "server.trusted_proxies", "server.webhook",
    "search.found", "nobody.knows",
]  # fmt: skip
ROW = {
    "text": "one two",
    "spans": [{"start": 0, "end": 3, "label": "Gene"}],
    "annotator": "ann",
    "id": "1",
    "time": "2026-01-01",
    "gold": "",
}
TASK = {
    "data": {"text": "one two"},
    "annotations": [{
        "id": 1, "completed_by": {"id": 7}, "created_at": "2026-01-01T00:00:00Z", "was_cancelled": False, "ground_truth": False,
        "result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "one", "labels": ["Gene"]}}],
    }],
    "predictions": [],
}  # fmt: skip
GOOD = {
    "csv": b'text,spans,annotator\n"one two","[{""start"": 0, ""end"": 3, ""label"": ""Gene""}]",ann\n',
    "jsonl": json.dumps(ROW).encode() + b"\n",
    "conll": b'# text = "one two"\n# annotator = "ann"\none\tB-Gene\ntwo\tO\n\n',
    "label_studio": json.dumps([TASK]).encode(),
    "question_answers": b'{"question": "why?", "answer": "a", "rating": 4, "annotator": "ann"}\n',
}
SPANS = Reading("spans", annotators=())
CROWD = Reading("spans", annotators=("ann", "bob"))
CHOICE = Reading("choice", least_rating=2.0, rename={"a": "b", "b": ""})


# -- demos


def toml_of(value: Any) -> str:
    """Return a value as TOML writes it; what it cannot say becomes a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_of(str(key))} = {toml_of(one)}" for key, one in value.items()) + "}"
    text = str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return json.dumps(text)


@given(key=st.sampled_from(KEYS), value=values)
@example(key="data.train", value="\0")
@example(key="experiment.alpha", value=math.nan)
@example(key="training.epochs", value=HUGE)
@MANY
def test_a_demo_with_any_value_anywhere(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    """One key of a good TOML with anything in it: a demo whose files can be named, or the file with the key."""
    table, _, name = key.rpartition(".")
    lines = [line for line in TOML.splitlines() if not line.startswith(f"{name} =")]
    at = lines.index(f"[{table}]") + 1 if f"[{table}]" in lines else (0 if not table else len(lines))
    new = [] if not table or f"[{table}]" in lines else [f"[{table}]"]
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join([*lines[:at], *new, f"{name} = {toml_of(value)}", *lines[at:]]), encoding="utf-8")
    demo = in_words(lambda: load_demo(path), str(path))
    if demo is not None:
        for named in (demo.data.train, demo.data.validation, demo.data.test, demo.acceptance.gold, demo.model):
            demo.resolve(named)


@given(raw=mutated(TOML.encode()) | st.binary(max_size=40))
@example(raw=b"a = " + DEEP.encode())
@MANY
def test_a_demo_of_any_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """Damaged TOML is refused with the file's name."""
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    path.write_bytes(raw)
    in_words(lambda: load_demo(path), str(path))


# -- data files of a demo


@given(
    raw=st.one_of(*(mutated(raw) for raw in GOOD.values()))
    | st.binary(max_size=60)
    | st.lists(values, max_size=3).map(lambda rows: "\n".join(map(dumped, rows)).encode()),
    ending=st.sampled_from([".jsonl", ".csv", ".parquet", ".conll", ".tsv", ".txt", ".iob", ".exe", ""]),
    task=st.sampled_from(["token_classification", "text_classification"]),
)
@example(raw=DEEP.encode(), ending=".jsonl", task="token_classification")
@example(raw=b'text,label\n"one","' + DEEP.encode() + b'"\n', ending=".csv", task="token_classification")
@example(raw=b"text,label\n" + b'"' + b"x" * 200_000 + b'",a\n', ending=".csv", task="text_classification")
@example(raw=b"text,label\nonly one\n", ending=".csv", task="text_classification")
@MANY
def test_a_data_file_of_any_bytes(tmp_path_factory: pytest.TempPathFactory, raw: bytes, ending: str, task: str) -> None:
    """Every reader of training data: rows with a place each, or the file and where in it."""
    path = tmp_path_factory.getbasetemp() / f"data{ending}"
    path.write_bytes(raw)
    rows = in_words(lambda: readers.read_rows(path, task), str(path))
    assert all(row.place.startswith(str(path)) for row in rows or ())


# -- annotated data


def reading_for(form: str, how: Reading) -> Reading:
    """Return a reading that the form knows: question-answer logs hold one label a text."""
    return CHOICE if form == "question_answers" else how


@given(form=st.sampled_from(FORMS), how=st.sampled_from([SPANS, CROWD, CHOICE]), data=st.data())
@MANY
def test_an_import_of_any_bytes(form: str, how: Reading, data: st.DataObject) -> None:
    """Whatever is uploaded: annotations, or the file's name and the places; its columns likewise."""
    raw = data.draw(mutated(GOOD[form]) | st.binary(max_size=60))
    in_words(lambda: read_file(raw, "file", form, reading_for(form, how)), "file")
    in_words(lambda: columns_of(raw, "file", form), "file", "the line is")


@given(
    form=st.sampled_from(["jsonl", "question_answers"]),
    row=like(ROW | {"question": "q", "answer": "a", "label": "a", "rating": 3}) | values,
)
@example(form="jsonl", row=ROW | {"time": HUGE})
@example(form="jsonl", row=ROW | {"time": [1]})
@example(form="question_answers", row={"question": "q", "answer": "a", "rating": HUGE})
@MANY
def test_a_row_with_any_values(form: str, row: Any) -> None:
    """JSON of any shape in the place of a row is annotations, or an error at its line."""
    for how in (SPANS, CHOICE):
        in_words(partial(read_file, dumped(row).encode(), "file", form, reading_for(form, how)), "file")


@given(task=like(TASK) | values, annotation=like(TASK["annotations"][0]) | values, value=values)  # type: ignore[index]
@example(task=TASK | {"predictions": 5}, annotation={}, value=None)
@MANY
def test_a_label_studio_export_with_any_values(task: Any, annotation: Any, value: Any) -> None:
    """Tasks, annotations and results of any shape are annotations, or an error at the task."""
    result = {"type": "labels", "value": value}
    for given_task in (task, TASK | {"annotations": [annotation]}, TASK | {"annotations": [{"result": [result, value]}]}):
        for how in (SPANS, CHOICE):
            in_words(
                partial(read_file, dumped([given_task]).encode(), "file", "label_studio", how),
                "file",
            )


@given(
    rows=st.lists(st.builds(Annotation, st.just("line 1"), values, st.just({"spans": []}) | values, texts, texts), max_size=3),
    source=texts,
)
@MANY
def test_annotations_of_any_values_are_stored_or_refused(shared_importer: Any, rows: list[Annotation], source: str) -> None:
    """What a reader let through meets the task's rules: taken whole, or refused with the row's place or the rule."""
    in_words(lambda: shared_importer.take(rows, source, "sue"))
    in_words(lambda: shared_importer.look(rows, source))


@pytest.fixture(scope="module")
def shared_importer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An importer over one log for all examples: what is stored by one is known to the next."""
    with Store(tmp_path_factory.mktemp("imports")) as store:
        yield importer_of(store, SpansModel())


spans = st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8), st.sampled_from(["Disease", "Gene"])), max_size=3)
written = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(str.strip)


@given(form=st.sampled_from(["csv", "jsonl", "label_studio", "conll"]), text=written, found=spans, who=written, comment=written)
@MANY
def test_what_is_written_is_read_back(form: str, text: str, found: list[tuple[int, int, str]], who: str, comment: str) -> None:
    """Every form gives back text, spans, annotator and comment to the character, whatever signs they hold."""
    task = TokenClassification(("Disease", "Gene"), 2000)
    try:
        output = task.check_output(text, {"spans": [{"start": s, "end": s + n, "label": label} for s, n, label in found]})
    except BadInput:
        output = {"spans": []}
    if any(not text[span["start"] : span["end"]].strip() for span in output["spans"]):
        output = {"spans": []}  # white space alone is no word, which CoNLL needs
    raw = write_file([Annotation("any", text, output, who, comment=comment)], form)
    (back,) = read_file(raw, "file", form, SPANS).annotations
    assert (back.input, back.output, back.annotator, back.comment) == (text, output, who, comment)


@given(value=values)
@example(value=HUGE)
@example(value="1" * 5000)
@MANY
def test_times_and_truths_of_any_value(value: Any) -> None:
    """A cell is a time, or words with the cell."""
    in_words(lambda: moment(value), "time is")
    in_words(lambda: truth(value, "gold"), "gold is")


@given(
    name=texts | st.sampled_from(["../x", "/etc/passwd", "a" * 64, "A" * 64, "a" * 64 + "/..", "a" * 63 + "\n"]),
    offset=st.integers(-5, 2**70),
)
@MANY
def test_an_upload_stays_in_its_folder(tmp_path: Path, name: str, offset: int) -> None:
    """Whatever its name, a part is refused or lies in the folder; nothing is written beside it."""
    uploads = Uploads(tmp_path / "inside")
    in_words(lambda: uploads.append(name, offset, b"x"))
    for act in (uploads.take, uploads.read, uploads.forget):
        in_words(partial(act, name))
    assert os.listdir(tmp_path) == ["inside"]


# -- raw tables


CORRECTION = {
    "id": "c1", "prediction_id": "p1", "contributor": "u1", "output": {"label": "a"}, "confirmation": False, "comment": "",
    "created": "2026-01-01T00:00:00", "edits": 1.0,
}  # fmt: skip


@given(
    form=st.sampled_from(["jsonl", "csv", "parquet", "exe"]), raw=st.binary(max_size=60) | mutated(dumped(CORRECTION).encode())
)
@example(form="jsonl", raw=DEEP.encode())
@example(form="jsonl", raw=b"\xff")
@example(form="jsonl", raw=b"5")
@example(form="csv", raw=b"")
@example(form="csv", raw=b'a,b\n"1')
@example(form="csv", raw=b"\xff\xfe\0")
@MANY
def test_a_table_of_any_bytes(form: str, raw: bytes) -> None:
    """An exported table that is damaged is refused with its name."""
    rows = in_words(lambda: read_rows(raw, form, "file"), "file")
    assert all(isinstance(row, dict) for row in rows or ())


@given(
    table=st.sampled_from(["corrections", "predictions", "experiments", "reviews", "exposures", "traps", "nothing"]),
    row=like(CORRECTION) | values,
)
@example(table="corrections", row=CORRECTION | {"id": "\ud800"})
@example(table="corrections", row=CORRECTION | {"edits": HUGE})
@example(table="corrections", row=CORRECTION | {"created": HUGE})
@MANY
def test_rows_of_any_values(shared_log: Store, table: str, row: Any) -> None:
    """A row with anything in it is stored or refused in words; the log still answers afterwards."""
    in_words(lambda: import_rows(shared_log, table, [row]))
    shared_log.rows("SELECT count(*) AS n FROM corrections")


@pytest.fixture(scope="module")
def shared_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One log for all examples."""
    with Store(tmp_path_factory.mktemp("tables")) as store:
        yield store


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_table_goes_out_and_in_again(tmp_path: Path, form: str) -> None:
    """What was exported is stored in another log as it was, hostile texts included."""
    hostile = "=1+1\n'\"<b>\u2028😀\\"
    with Store(tmp_path / "a") as store, Store(tmp_path / "b") as other:
        store.add(Prediction("p1", "u1", "", 0, "champion", 1, hostile, input_hash(hostile), {"label": hostile}, 0.5, 1.0))
        store.add(Correction("c1", "p1", "u1", {"label": hostile}, False, hostile))
        for table in ("predictions", "corrections"):
            import_rows(other, table, read_rows(export_table(store, table, form), form, "file"))
            sql = f"SELECT * FROM {table}"
            assert other.rows(sql) == store.rows(sql)


# -- what a correction says


@given(
    value=values | st.fixed_dictionaries({"spans": st.lists(values | like({"start": 0, "end": 3, "label": "Gene"}), max_size=3)})
)
@example(value={"spans": [{"start": HUGE, "end": HUGE, "label": "Gene"}]})
@MANY
def test_an_output_of_any_value(value: Any) -> None:
    """Spans lie within the text, sorted, without overlap, of known labels; a label is known; else it is words."""
    text = "one two three"
    checked = in_words(lambda: TokenClassification(("Gene", "X"), 100).check_output(text, value))
    for span in checked["spans"] if checked else ():
        assert set(span) == {"start", "end", "label"}
        assert 0 <= span["start"] < span["end"] <= len(text)
    label = in_words(lambda: TextClassification(("a", "b"), 100).check_output(text, value))
    assert label is None or label["label"] in ("a", "b")
    in_words(lambda: TokenClassification(("Gene",), 100).check_input(value))


@given(seed=st.integers(0, 2**32 - 1), words=st.integers(1, 12), labels=st.integers(1, 3))
@MANY
def test_every_table_of_probabilities_becomes_valid_runs(seed: int, words: int, labels: int) -> None:
    """Runs lie within the words, in order, without overlap, whatever the model says."""
    table = np.random.default_rng(seed).dirichlet(np.full(1 + 2 * labels, 0.3), size=words)
    runs = decode_bio(table)
    assert all(0 <= first <= last < words and 0 <= label < labels for first, last, label in runs)
    assert all(left[1] < right[0] for left, right in pairwise(runs))


def test_the_checks_of_a_whole_file_meet_any_annotation() -> None:
    """An error of one annotation is noted with its place, and the others are looked at all the same."""
    given_rows = [Annotation(f"line {n}", "one", {"spans": []}, id="same") for n in (1, 2)]

    def refuse(_: Annotation, __: str) -> Any:
        raise BadInput("no")

    found = check_all(given_rows, "file", "import:x:", refuse)
    assert (found.problems.count, found.problems.lines()) == (2, ("line 1: no", "line 2: no"))
