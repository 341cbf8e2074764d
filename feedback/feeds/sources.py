"""Where items come from by itself: a JSONL or CSV file, a folder of texts, RSS or Atom. It reads and stores nothing.

A file that grows is read on from where it was left (its mark); marks are a convenience: what is read twice is stored once.
"""

from __future__ import annotations

import csv
import html
import importlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httpx

from feedback.errors import BadDemo, BadInput
from feedback.feeds.item import MOST_SOURCE, Item, item_of

MOST_BYTES = 20 * 2**20
"""Bytes of one text, one RSS document, or one CSV file."""
_SECONDS = 20.0
_RSS = (".xml", ".rss", ".atom")
_TAG = re.compile(r"<[^>]*>")

Mark = dict[str, Any]
"""How far a source was read; a JSON object that only its source understands."""


class Read(NamedTuple):
    """One item, or why a row was no item; and the mark to go on from once it is stored."""

    item: Item | None
    problem: str
    mark: Mark


class Source(Protocol):
    """Something that can be read again and again."""

    name: str

    def read(self, mark: Mark) -> Iterator[Read]:
        """Yield what is new since the mark, oldest first. Raises BadInput where it cannot be read at all."""


def source_of(at: str, base: Path) -> Source:
    """Return the source of an entry of [feed] sources; paths are relative to `base`. Raises BadDemo for a form that is none."""
    if urlsplit(at).scheme in ("http", "https"):
        parts = urlsplit(at)
        return Rss(f"{parts.hostname}{parts.path}"[:MOST_SOURCE], at)
    path = (base / at).resolve()
    name = at.strip("/")[-MOST_SOURCE:]
    if path.suffix in (".jsonl", ".csv"):
        return Table(name, path)
    if path.suffix in _RSS:
        return Rss(name, str(path))
    if path.suffix == "" or path.is_dir():
        return Folder(name, path)
    raise BadDemo(
        f"feed source {at!r}: a .jsonl or .csv file, {' or '.join(_RSS)}, a folder of .txt files, or http(s):// is known"
    )


class Table:
    """A .jsonl or .csv file with the keys text, published, source, id, link. A JSONL file may grow while it is read."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def read(self, mark: Mark) -> Iterator[Read]:
        """Yield the rows after the mark; a file that was replaced or cut is read from its beginning."""
        try:
            about = self._path.stat()
            if self._path.suffix == ".csv":
                yield from self._csv({"file": about.st_ino, "bytes": about.st_size, "time": about.st_mtime_ns}, mark)
            else:
                yield from self._jsonl(about.st_ino, about.st_size, mark)
        except OSError as error:
            raise BadInput(f"feed source {self.name}: cannot be read: {error.strerror or error}") from error

    def _jsonl(self, inode: int, size: int, mark: Mark) -> Iterator[Read]:
        offset = int(mark.get("bytes", 0)) if mark.get("file") == inode and int(mark.get("bytes", 0)) <= size else 0
        with self._path.open("rb") as file:
            file.seek(offset)
            while line := file.readline(MOST_BYTES):
                if not line.endswith(b"\n") and len(line) < MOST_BYTES and not _whole(line):
                    return  # still being written: read again next time
                offset += len(line)
                if line.strip():
                    yield self._row(line, f"{self.name}, byte {offset - len(line)}", {"file": inode, "bytes": offset})

    def _row(self, line: bytes, place: str, mark: Mark) -> Read:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            return Read(None, f"{place}: not JSON: {error}", mark)
        if not isinstance(row, Mapping):
            return Read(None, f"{place}: a JSON object is needed, not {type(row).__name__}", mark)
        return checked(row, self.name, place, mark)

    def _csv(self, now: Mark, mark: Mark) -> Iterator[Read]:
        if mark == now:
            return
        raw = self._path.read_bytes()
        if len(raw) > MOST_BYTES:
            raise BadInput(f"feed source {self.name}: {len(raw)} bytes; a CSV may have {MOST_BYTES}: use JSONL, which is read on")
        try:
            rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadInput(f"feed source {self.name}: not a CSV in UTF-8: {error}") from error
        for number, row in enumerate(rows, 2):
            done = now if number == len(rows) + 1 else {}
            yield checked({key: value for key, value in row.items() if value}, self.name, f"{self.name}, row {number}", done)


class Folder:
    """A folder of .txt files, one text each. A file's name is its id, the time of its last change when it was published."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def read(self, mark: Mark) -> Iterator[Read]:
        """Yield the files that changed after the mark, or in its last second: two may share it."""
        since = int(mark.get("time", 0)) - 10**9
        try:
            found = sorted((entry.stat().st_mtime_ns, entry) for entry in self._path.glob("*.txt") if entry.is_file())
        except OSError as error:
            raise BadInput(f"feed source {self.name}: cannot be read: {error.strerror or error}") from error
        if not self._path.is_dir():
            raise BadInput(f"feed source {self.name}: no such folder")
        for time, file in found:
            if time < since:
                continue
            done = {"time": time}
            try:
                raw = file.read_bytes()
                text = raw.decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                yield Read(None, f"{self.name}/{file.name}: {error}", done)
                continue
            published = datetime.fromtimestamp(time / 1e9, UTC)
            yield checked({"text": text, "published": published, "id": file.name}, self.name, f"{self.name}/{file.name}", done)


class Rss:
    """RSS or Atom at a URL or in a local file, through the library feedparser. An entry's text is its title, or its summary without marks."""

    def __init__(self, name: str, at: str) -> None:
        self.name = name
        self._at = at
        self._parser = parser()

    def read(self, mark: Mark) -> Iterator[Read]:
        """Yield the entries, oldest first. A server that says 'not modified' brings none."""
        raw, mark = self._fetched(mark)
        if not raw:
            return
        parsed = self._parser.parse(io.BytesIO(raw), sanitize_html=True, resolve_relative_uris=False)
        if not parsed.entries and parsed.bozo:
            raise BadInput(f"feed source {self.name}: neither RSS nor Atom: {parsed.bozo_exception}")
        entries = list(reversed(parsed.entries))
        for number, entry in enumerate(entries, 1):
            done = mark if number == len(entries) else {}
            when = entry.get("published_parsed") or entry.get("updated_parsed")
            link = entry.get("link", "")
            row = {
                "text": plain(entry.get("title", "")) or plain(entry.get("summary", "")),
                "published": datetime(*when[:6]) if when else None,
                "id": entry.get("id", "") or link,
                "link": link if urlsplit(link).scheme in ("http", "https") else "",
            }
            yield checked(row, self.name, f"{self.name}, entry {number}", done)

    def _fetched(self, mark: Mark) -> tuple[bytes, Mark]:
        if urlsplit(self._at).scheme not in ("http", "https"):
            try:
                return Path(self._at).read_bytes(), {}
            except OSError as error:
                raise BadInput(f"feed source {self.name}: cannot be read: {error.strerror or error}") from error
        asked = {"if-none-match": mark.get("etag", ""), "if-modified-since": mark.get("modified", "")}
        try:
            with httpx.stream(
                "GET", self._at, headers={key: value for key, value in asked.items() if value}, timeout=_SECONDS, follow_redirects=True
            ) as answer:  # fmt: skip
                if answer.status_code == 304:
                    return b"", mark
                answer.raise_for_status()
                raw = b""
                for part in answer.iter_bytes():
                    raw += part
                    if len(raw) > MOST_BYTES:
                        raise BadInput(f"feed source {self.name}: more than {MOST_BYTES} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BadInput(f"feed source {self.name}: not reached: {type(error).__name__} {error}") from error
        return raw, {"etag": answer.headers.get("etag", ""), "modified": answer.headers.get("last-modified", "")}


def parser() -> Any:
    """Return the library. Raises BadDemo saying how to get it."""
    try:
        return importlib.import_module("feedparser")
    except ImportError as error:
        raise BadDemo("RSS and Atom feeds need the library feedparser: pip install -e '.[feeds]'") from error


def plain(text: str) -> str:
    """Return the words of a piece of markup: without tags, references resolved, white space folded."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def checked(row: Mapping[str, Any], source: str, place: str, mark: Mark) -> Read:
    """Return a row as what was read: an item, or what is wrong with it."""
    try:
        return Read(item_of(row, source, place), "", mark)
    except BadInput as error:
        return Read(None, error.detail, mark)


def _whole(line: bytes) -> bool:
    """Return whether a last line without an end is a whole JSON value all the same."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
