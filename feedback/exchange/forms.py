"""The forms by name: which file is read and written by which module. A new form is one file and one line here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from feedback.errors import BadInput
from feedback.exchange import conll, csv_table, jsonl, label_studio, question_answers
from feedback.exchange.annotation import Annotation, Read, Reading
from feedback.exchange.conll import Words, plain_words

FORMS = ("csv", "jsonl", "conll", "label_studio", "question_answers")
"""Forms that are one file. A directory of the `datasets` library becomes JSONL on its way (datasets_library.py)."""
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "conll": "text/plain; charset=utf-8",
    "label_studio": "application/json",
    "question_answers": "application/jsonl; charset=utf-8",
}
ENDINGS = {"csv": ".csv", "jsonl": ".jsonl", "conll": ".conll", "label_studio": ".json", "question_answers": ".jsonl"}
"""How a file of each form that we write is named at its end."""
_READERS = {
    "csv": csv_table.read,
    "jsonl": jsonl.read,
    "conll": conll.read,
    "label_studio": label_studio.read,
    "question_answers": question_answers.read,
}
_BY_ENDING = {".csv": "csv", ".jsonl": "jsonl", ".conll": "conll", ".iob": "conll", ".iob2": "conll", ".json": "label_studio"}


def form_of(path: Path, form: str | None = None) -> str:
    """Return the form given, or the one that a file's ending names. Raises BadInput with the choices."""
    found = form or _BY_ENDING.get(path.suffix.lower(), "")
    if found not in FORMS:
        raise BadInput(
            f"{path.name}: {form or path.suffix or 'no ending'!r} names no form; available are {', '.join(FORMS)}",
            code="file_no_form",
            values={"file": path.name, "known": ", ".join(FORMS)},
        )
    return found


def read_file(raw: bytes, name: str, form: str, how: Reading) -> Read:
    """Return what a file of this form holds. Raises BadInput and TooLarge with places and rules."""
    if form not in _READERS:
        raise BadInput(f"unknown form {form!r}: available are {', '.join(FORMS)}")
    return _READERS[form](raw, name, how)


def write_file(annotations: Sequence[Annotation], form: str, words: Words = plain_words) -> bytes:
    """Return annotations as a file of this form. Raises BadInput where the form cannot hold them."""
    if form == "csv":
        return csv_table.write(annotations)
    if form == "jsonl":
        return jsonl.write(annotations)
    if form == "conll":
        return conll.write(annotations, words)
    if form == "label_studio":
        return label_studio.write(annotations)
    if form == "question_answers":
        return question_answers.write(annotations)
    raise BadInput(f"unknown form {form!r}: available are {', '.join(FORMS)}")
