"""Everything that reads what people give: whatever comes, it returns or refuses in words that name the place; nothing else is raised."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedback.demo import load_demo
from feedback.records import Correction, Prediction, input_hash
from feedback.store import Store
from feedback.transfer import export_table, import_rows, read_rows
from model import readers
from model.tasks.bio import decode_bio
from model.tasks.text_classification import TextClassification
from model.tasks.token_classification import TokenClassification
from tests.security.generated import DEEP, GOOD, HUGE, MANY, dumped, in_words, like, mutated, values

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
