"""What a catalogued task answers out of: entries with an id and a text, from the owner's files and from accepted feedback.

It ranks nothing. The owner's file is JSONL or CSV with `id` and `text` (and `title`, `questions`, `language` ...), or a folder of
.md and .txt documents, each cut at its headings into passages.
"""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from feedback.errors import BadDemo
from feedback.records import Json, normalised

FILE = "catalogue.jsonl"
"""The name that a version directory gives its catalogue."""
LONGEST = 8000
"""Characters of an entry's text."""
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$", re.MULTILINE)
_KEYS = ("id", "text", "title", "questions")


@dataclass(frozen=True)
class Entry:
    """One thing that can be answered. `questions`: texts that it is known to answer; `more`: the file's other columns."""

    id: str
    text: str
    title: str = ""
    questions: tuple[str, ...] = ()
    more: Mapping[str, Json] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Json]:
        """Return the entry as a row of a catalogue file."""
        row = {"id": self.id, "text": self.text, "title": self.title, "questions": list(self.questions), **self.more}
        return {key: value for key, value in row.items() if value not in ("", [])}


class Catalogue:
    """Entries by id, in the owner's order. What feedback adds comes after, and may change while others read: `entries` is a snapshot.

    `revision` grows whenever something has changed, so that whoever keeps an index knows when it is old.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._own = {entry.id: entry for entry in entries}
        self._all = dict(self._own)
        self._lock = threading.Lock()
        self.revision = 0

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._all

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all entries as they stand now."""
        return tuple(self._all.values())

    def get(self, id_: str) -> Entry | None:
        """Return an entry, None where there is none of this id."""
        return self._all.get(id_)

    def own(self, id_: str) -> Entry | None:
        """Return the owner's entry of this id, without what was added; None where there is none."""
        return self._own.get(id_)

    def titles(self) -> dict[str, str]:
        """Return what people call each entry, by id: its title, or the beginning of its text."""
        return {entry.id: entry.title or entry.text[:60] for entry in self.entries}

    def add(self, additions: Iterable[Entry]) -> bool:
        """Put accepted additions in the place of all earlier ones; return whether anything changed.

        An addition with the id of an owner's entry stands in its place: its wording was corrected.
        """
        with self._lock:
            found = {**self._own, **{entry.id: entry for entry in additions}}
            if found == self._all:
                return False
            self._all = found
            self.revision += 1
            return True

    def with_(self, additions: Iterable[Entry]) -> Catalogue:
        """Return another catalogue with these additions for its own."""
        return Catalogue({**self._all, **{entry.id: entry for entry in additions}}.values())

    def write(self, directory: Path) -> None:
        """Write the entries into a version directory."""
        lines = (json.dumps(entry.to_dict(), ensure_ascii=False) + "\n" for entry in self.entries)
        (directory / FILE).write_text("".join(lines), encoding="utf-8")


EMPTY = Catalogue()


def new_id(text: str) -> str:
    """Return the id of an answer that a person wrote: equal wordings share it, up to case and white space."""
    return "new-" + sha256(normalised(text).encode()).hexdigest()[:12]


def load_catalogue(path: Path) -> Catalogue:
    """Return the catalogue of a file or a folder. Raises BadDemo naming place, value and rule."""
    if path.is_dir():
        rows = _documents(path)
    elif path.suffix.lower() == ".jsonl":
        rows = _jsonl(path)
    elif path.suffix.lower() == ".csv":
        rows = _csv(path)
    else:
        raise BadDemo(f"{path}: no catalogue: give a .jsonl or .csv file, or a folder of .md and .txt documents")
    entries: dict[str, Entry] = {}
    try:
        for place, row in rows:
            entry = entry_of(row, place)
            if entry.id in entries:
                raise BadDemo(f"{place}: id {entry.id!r} is there twice: an id names one entry")
            entries[entry.id] = entry
    except OSError as error:
        raise BadDemo(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadDemo(f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8") from error
    if not entries:
        raise BadDemo(f"{path}: holds no entry")
    return Catalogue(entries.values())


def entry_of(row: Mapping[str, Any], place: str) -> Entry:
    """Return the entry of a row. Raises BadDemo naming the place."""
    for key in ("id", "text"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise BadDemo(f"{place}: {key} = {str(row.get(key))[:80]!r}: an entry needs an id and a text, both not empty")
    questions = row.get("questions") or ()
    if isinstance(questions, str):
        questions = [line.strip() for line in questions.split("\n") if line.strip()]
    if not isinstance(questions, (list, tuple)) or not all(isinstance(question, str) for question in questions):
        raise BadDemo(f"{place}: questions = {str(questions)[:80]!r}: must be a list of texts")
    if len(row["text"]) > LONGEST:
        raise BadDemo(f"{place}: the text has {len(row['text'])} characters: at most {LONGEST}; cut it into entries of their own")
    more = {str(key): value for key, value in row.items() if key not in _KEYS and value not in (None, "")}
    return Entry(row["id"].strip(), row["text"].strip(), str(row.get("title") or "").strip(), tuple(questions), more)


def _jsonl(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise BadDemo(f"{path}:{number}: is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise BadDemo(f"{path}:{number}: {line.strip()[:80]} must be an object with id and text")
            yield f"{path}:{number}", row


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                yield f"{path}:{reader.line_num}", {key: value for key, value in row.items() if key is not None}
        except csv.Error as error:
            raise BadDemo(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _documents(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the passages of every document: id `file#n`, title the headings above it."""
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".md", ".txt") and p.is_file()):
        name = path.relative_to(folder).with_suffix("").as_posix()
        for number, (title, text) in enumerate(_passages(path.read_text(encoding="utf-8-sig")), 1):
            for part, piece in enumerate(_pieces(text), 1):
                id_ = f"{name}#{number}" + (f".{part}" if part > 1 else "")
                yield f"{path}: passage {number}", {"id": id_, "text": piece, "title": title or name}


def _passages(text: str) -> Iterator[tuple[str, str]]:
    """Yield (headings above, text) of what stands under each heading, and before the first."""
    above: dict[int, str] = {}
    title, at = "", 0
    for match in _HEADING.finditer(text):
        if body := text[at : match.start()].strip():
            yield title, body
        level = len(match[1])
        above = {**{k: v for k, v in above.items() if k < level}, level: match[2]}
        title, at = " › ".join(above.values()), match.end()
    if body := text[at:].strip():
        yield title, body


def _pieces(text: str, most: int = 1200) -> Iterator[str]:
    """Cut a long passage at its blank lines into pieces of at most `most` characters; a longer paragraph stays whole."""
    piece = ""
    for paragraph in re.split(r"\n\s*\n", text):
        if piece and len(piece) + len(paragraph) > most:
            yield piece
            piece = ""
        piece = f"{piece}\n\n{paragraph}" if piece else paragraph
    if piece:
        yield piece
