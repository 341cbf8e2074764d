"""Annotated data that people bring, in every form: whatever the bytes and values, it is read, stored or refused in words with the place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Reading, moment, truth
from feedback.exchange.checked import check_all
from feedback.exchange.forms import FORMS, read_file, write_file
from feedback.exchange.preview import columns_of
from feedback.exchange.uploads import Uploads
from feedback.store import Store
from model.tasks.token_classification import TokenClassification
from tests.feedback.exchanging import SpansModel, importer_of
from tests.security.generated import GOOD, HUGE, MANY, ROW, TASK, dumped, in_words, like, mutated, texts, values

SPANS = Reading("spans", annotators=())
CROWD = Reading("spans", annotators=("ann", "bob"))
CHOICE = Reading("choice", least_rating=2.0, rename={"a": "b", "b": ""})


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
    marked = [text[span["start"] : span["end"]] for span in output["spans"]]
    if form == "conll" and any(part != part.strip() for part in marked):
        output = {"spans": []}  # CoNLL marks words: white space at the ends of a span is no part of one
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


def test_the_checks_of_a_whole_file_meet_any_annotation() -> None:
    """An error of one annotation is noted with its place, and the others are looked at all the same."""
    given_rows = [Annotation(f"line {n}", "one", {"spans": []}, id="same") for n in (1, 2)]

    def refuse(_: Annotation, __: str) -> Any:
        raise BadInput("no")

    found = check_all(given_rows, "file", "import:x:", refuse)
    assert (found.problems.count, found.problems.lines()) == (2, ("line 1: no", "line 2: no"))
