"""What a file holds, before it is imported: its columns, its first rows as they were understood, its errors by row. It stores nothing."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any, NamedTuple

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, BadFile, Reading, parsed
from feedback.exchange.bytes_of import lines_of, text_of_file
from feedback.exchange.forms import read_file
from feedback.exchange.incoming import CHANNEL, Importer, Looked
from feedback.exchange.jsonl import object_of

FIRST = 8
"""Annotations of a file that a preview shows."""


class Preview(NamedTuple):
    """What an import would do (`looked`, with every error of the file), and what of the file it would leave out."""

    looked: Looked
    ignored: dict[str, int]

    @property
    def first(self) -> list[Annotation]:
        """Return the first annotations that break no rule."""
        return self.looked.rows[:FIRST]


def understood(
    importer: Importer, raw: bytes, name: str, form: str, how: Reading, source: str, channel: str = CHANNEL
) -> Preview:
    """Read a file as an import would, and store nothing. Raises BadInput and TooLarge where the file as a whole cannot be read."""
    try:
        read = read_file(raw, name, form, how)
    except BadFile as error:
        looked = importer.look(error.found, source, channel=channel)
        lines = (*error.lines, *looked.errors)
        return Preview(looked._replace(errors=lines, error_count=error.count + looked.error_count), {})
    return Preview(importer.look(read.annotations, source, channel=channel), read.ignored)


def columns_of(raw: bytes, name: str, form: str) -> list[str]:
    """Return the names under which a file's rows hold something, as its first row has them; CoNLL has none. Raises BadInput."""
    text = text_of_file(raw, name)
    if form == "csv" or (form == "question_answers" and not text.lstrip().startswith("{")):
        first = text.split("\n", 1)[0].rstrip("\r")
        try:
            headers = [next(csv.reader([first], delimiter=delimiter)) for delimiter in (",", ";", "\t")]
        except csv.Error as error:
            raise BadInput(f"{name}, line 1: not CSV: {error}") from error
        return max(headers, key=len)
    if form in ("jsonl", "question_answers"):
        line = next(line for _, line in lines_of(text, name) if line.strip())
        return [str(key) for key in object_of(line)]
    if form == "label_studio":
        tasks = parsed(text, name)
        return _names(tasks[0]) if isinstance(tasks, list) and tasks and isinstance(tasks[0], Mapping) else []
    return []


def _names(task: Mapping[str, Any]) -> list[str]:
    """Return what a Label Studio task's data hold, and the controls that its annotations answer."""
    data, given = task.get("data"), task.get("annotations")
    names = [str(key) for key in data] if isinstance(data, Mapping) else []
    for annotation in given if isinstance(given, list) else ():
        results = annotation.get("result") if isinstance(annotation, Mapping) else None
        for result in results if isinstance(results, list) else ():
            if isinstance(result, Mapping) and isinstance(result.get("from_name"), str):
                names.append(result["from_name"])
    return list(dict.fromkeys(names))
