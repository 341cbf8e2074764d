"""Seed data: what each reader takes, what it refuses, and how parts are dealt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from feedback.demo import Demo
from feedback.errors import BadDemo
from feedback.records import bucket_of
from model.data import TEST_SHARE, VALIDATION_SHARE, load_seed
from model.readers import read_rows

MakeDemo = Callable[..., Demo]


def test_conll_tags_become_spans(tmp_path: Path) -> None:
    """Tokens are joined by single spaces; B- starts, I- goes on or starts; a blank line ends; DOCSTART and CRLF are no harm."""
    path = tmp_path / "a.conll"
    path.write_bytes(
        b"-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\r\nGerman JJ I-MISC\ncall NN I-MISC\n\n\nOslo NN B-LOC\nBergen NN B-LOC"
    )
    first, second = read_rows(path, "token_classification")
    assert first.text == "EU rejects German call"
    assert first.output == {"spans": [{"start": 0, "end": 2, "label": "ORG"}, {"start": 11, "end": 22, "label": "MISC"}]}
    assert [span["end"] for span in second.output["spans"]] == [4, 11]
    assert second.place.endswith("a.conll:9")


def test_csv_and_parquet_agree(tmp_path: Path) -> None:
    """The same table as CSV (with a line break in a text) and as Parquet gives the same rows."""
    frame = pd.DataFrame({"words": ["one\ntwo", 'say "hi"'], "kind": ["a", "b"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    read = [
        [row[:2] for row in read_rows(tmp_path / name, "text_classification", "words", "kind")] for name in ("t.csv", "t.parquet")
    ]
    assert read[0] == read[1] == [("one\ntwo", {"label": "a"}), ('say "hi"', {"label": "b"})]


@pytest.mark.parametrize(
    ("name", "content", "task", "match"),
    [
        ("a.jsonl", '{"text": "x", "label": "a"}\n{oops', "text_classification", r"a\.jsonl:2: \{oops is not JSON"),
        ("a.jsonl", '{"text": "x"}', "text_classification", r"a\.jsonl:1.*'label'"),
        ("a.jsonl", '{"text": "x", "label": 3}', "text_classification", r"label = 3: must be a text"),
        ("a.jsonl", '{"text": "x", "spans": [3]}', "token_classification", r"a\.jsonl:1: spans"),
        ("a.csv", "text,kind\nx,a", "text_classification", r"a\.csv:1: no column label; columns are text, kind"),
        ("a.tsv", "word\tB-X\nword\tX", "token_classification", r"a\.tsv:2: word.*B-label"),
        ("a.tsv", "word B-X", "text_classification", r"no reader for '\.tsv'"),
        ("a.parquet", "no", "text_classification", "not Parquet"),
        ("a.jsonl", "\n", "text_classification", "holds no example"),
        ("a.jsonl", b"\xff\xfe", "text_classification", "not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_line_value_and_rule(
    tmp_path: Path, name: str, content: str | bytes, task: str, match: str
) -> None:
    """Every broken file is refused with its place and what is wrong there."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadDemo, match=match):
        read_rows(tmp_path / name, task)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that is not there is said, not traced."""
    with pytest.raises(BadDemo, match=r"gone\.jsonl: cannot be read"):
        read_rows(tmp_path / "gone.jsonl", "text_classification")


def test_parts_follow_the_hash(text_demo: Demo) -> None:
    """Each text's part is decided by its hash alone: adding other texts moves none."""
    _, seed = load_seed(text_demo)
    assert all(bucket_of(e.input_hash) < TEST_SHARE for e in seed.test)
    assert all(TEST_SHARE <= bucket_of(e.input_hash) < TEST_SHARE + VALIDATION_SHARE for e in seed.validation)
    assert all(bucket_of(e.input_hash) >= TEST_SHARE + VALIDATION_SHARE for e in seed.train)
    assert len(seed.train) + len(seed.validation) + len(seed.test) == 96


def test_leaks_and_duplicates_leave_training(make_demo: MakeDemo) -> None:
    """A text of the test file leaves train, whatever its case; a text that comes twice counts once."""
    rows = [{"text": f"text {i}", "label": "tool"} for i in range(60)] + [{"text": "TEXT  7", "label": "fruit"}]
    demo = make_demo("text_classification", rows, data={"train": "data.jsonl", "test": "test.jsonl", "validation": "valid.jsonl"})
    demo.resolve("test.jsonl").write_text(json.dumps({"text": "Text 3", "label": "tool"}))
    demo.resolve("valid.jsonl").write_text(json.dumps({"text": "text 5", "label": "tool"}))
    _, seed = load_seed(demo)
    assert (len(seed.train), len(seed.validation), len(seed.test), seed.duplicates) == (58, 1, 1, 3)


def test_a_sealed_test_exists_even_without_a_test_file(make_demo: MakeDemo) -> None:
    """With a validation file and no test file, a hash-chosen part of train is sealed as test; the file alone validates."""
    rows = [{"text": f"text {i}", "label": "tool"} for i in range(100)]
    demo = make_demo("text_classification", rows, data={"train": "data.jsonl", "validation": "valid.jsonl"})
    demo.resolve("valid.jsonl").write_text(json.dumps({"text": "other", "label": "tool"}))
    _, seed = load_seed(demo)
    assert len(seed.validation) == 1
    assert seed.test
    assert all(bucket_of(e.input_hash) < TEST_SHARE for e in seed.test)


def test_renaming_and_dropping(make_demo: MakeDemo) -> None:
    """rename gives a file's labels our names; '' drops a span, and a text with its label; labels come from the data."""
    spans = [{"start": 0, "end": 3, "label": "F"}, {"start": 4, "end": 8, "label": "X"}]
    demo = make_demo(
        "token_classification",
        [{"text": f"fig saws {i}", "spans": spans} for i in range(30)],
        labels=(),
        rename={"F": "fruit", "X": ""},
    )
    task, seed = load_seed(demo)
    assert task.labels == ("fruit",)
    assert seed.train[0].output == {"spans": [{"start": 0, "end": 3, "label": "fruit"}]}
    demo = make_demo(
        "text_classification", [{"text": f"t {i}", "label": "fX"[i % 2]} for i in range(60)], labels=(), rename={"X": ""}
    )
    task, seed = load_seed(demo)
    assert task.labels == ("f",)
    assert len(seed.train) + len(seed.validation) + len(seed.test) == 30


def test_a_label_that_is_not_declared_is_refused(make_demo: MakeDemo) -> None:
    """A label outside the TOML's is refused at its line with the choices."""
    with pytest.raises(
        BadDemo,
        match=r"data\.jsonl:1: unknown label 'colour'; labels|data\.jsonl:1: unknown label 'colour': labels are fruit, tool",
    ):
        load_seed(make_demo("text_classification", [{"text": "red", "label": "colour"}]))


def test_long_seed_texts_are_no_error(make_demo: MakeDemo) -> None:
    """max_chars is for visitors: a longer seed text is taken whole."""
    rows = [{"text": f"{i} " + "word " * 1000, "label": "tool"} for i in range(30)]
    _, seed = load_seed(make_demo("text_classification", rows))
    assert max(len(e.input) for e in seed.train) > 5000


def test_the_shared_ncbi_files_are_read() -> None:
    """The NCBI disease corpus has 5,424 training sentences (its README) and every span lies on its words."""
    path = Path(__file__).resolve().parents[3] / "shared/data/ncbi_disease/train.tsv"
    if not path.is_file():
        pytest.skip("shared/data is not here")
    rows = read_rows(path, "token_classification")
    assert len(rows) == 5424
    assert all(row.text[s["start"] : s["end"]].strip() for row in rows for s in row.output["spans"])
