"""CoNLL with IOB2 tags: one word a line, its tag last, a blank line after each text. Spans only; one label a text has no such form.

Comment lines before a text (`# text = "..."` as JSON, `# annotator = ...`) keep what words alone lose, so that what was
written here is read back to the character. Files without them are read too: their words are joined by single spaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from feedback.errors import BadInput
from feedback.exchange.annotation import Annotation, Read, Reading, moment, one_by_one, renamed, truth
from feedback.exchange.bytes_of import lines_of, text_of_file
from feedback.exchange.jsonl import row_of
from feedback.records import Json

Words = Callable[[str], Sequence[tuple[int, int]]]
"""Cuts a text into words (start, end) in code points: the task's own, where a model is there to ask."""

_WORD = re.compile(r"\w+|[^\w\s]")
_COMMENT = re.compile(r"# (text|annotator|id|status|gold|comment|time) = (.*)", re.DOTALL)
_TAG = re.compile(r"O|[BI]-.+", re.DOTALL)
_NOT_ANNOTATED = "?"


def plain_words(text: str) -> list[tuple[int, int]]:
    """Return runs of letters and digits, and single signs, as words."""
    return [match.span() for match in _WORD.finditer(text)]


def read(raw: bytes, name: str, how: Reading) -> Read:
    """Return the annotations of a CoNLL file. Raises BadInput with the lines that are broken.

    With `how.annotators` the last columns are theirs, in that order; "?" means that one did not annotate this text.
    """
    if how.widget != "spans":
        raise BadInput(f"{name}: CoNLL holds spans in a text, and this demo's task gives one label a text: use csv or jsonl")
    blocks: list[tuple[str, Any]] = []
    block: list[tuple[int, str]] = []
    for number, line in [*lines_of(text_of_file(raw, name), name), (0, "")]:
        if line.strip() and not (line.startswith("-DOCSTART-") and not block):
            block.append((number, line))
        elif block:
            blocks.append((f"line {block[0][0]}", block))
            block = []
    found, problems = one_by_one(blocks, lambda place, lines: _annotations(place, lines, how), name)
    problems.refuse()
    return Read(found, {})


def write(annotations: Iterable[Annotation], words: Words = plain_words) -> bytes:
    """Return annotations as CoNLL. Words are cut also where a span begins or ends inside one. Raises BadInput for one label a text."""
    blocks = []
    for annotation in annotations:
        if "spans" not in annotation.output:
            raise BadInput(
                "CoNLL holds spans in a text, and this demo's task gives one label a text: use csv, jsonl or label_studio"
            )
        kept = {key: value for key, value in row_of(annotation).items() if key != "spans"}
        lines = [f"# {key} = {json.dumps(value, ensure_ascii=False)}" for key, value in kept.items()]
        pieces = _pieces(annotation.input, words(annotation.input), annotation.output["spans"])
        lines += [f"{annotation.input[start:end]}\t{tag}" for start, end, tag in pieces]
        blocks.append("\n".join(lines) + "\n\n")
    return "".join(blocks).encode()


def _pieces(text: str, words: Sequence[tuple[int, int]], spans: Sequence[Json]) -> list[tuple[int, int, str]]:
    """Return (start, end, tag) of the pieces of a text, without white space, that neither a word's nor a span's border cuts."""
    cuts = {0, len(text), *(place for word in words for place in word), *(s[key] for s in spans for key in ("start", "end"))}
    cuts |= {i for i in range(1, len(text)) if text[i].isspace() or text[i - 1].isspace()}
    ordered = sorted(cuts)
    pieces = []
    begun: set[int] = set()
    for start, end in pairwise(ordered):
        if text[start:end].isspace():
            continue
        inside = next((s for s in spans if s["start"] <= start < s["end"]), None)
        tag = "O"
        if inside is not None:
            tag = f"{'I' if inside['start'] in begun else 'B'}-{inside['label']}"
            begun.add(inside["start"])
            if re.search(r"[\t\n\r]", tag):
                raise BadInput(f"label {inside['label']!r} holds a tab or a line's end: CoNLL cannot hold it")
        pieces.append((start, end, tag))
    return pieces


def _annotations(place: str, block: Sequence[tuple[int, str]], how: Reading) -> list[Annotation]:
    said: dict[str, Any] = {}
    at = 0
    while at < len(block) and (match := _COMMENT.fullmatch(block[at][1])):
        said[match[1]] = match[2]
        at += 1
    while at < len(block) and _is_remark(block[at][1]):
        at += 1
    columns = len(how.annotators) or 1
    tokens: list[str] = []
    tags: list[list[str]] = [[] for _ in range(columns)]
    for number, line in block[at:]:
        parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
        if len(parts) < 1 + columns or not parts[0]:
            raise BadInput(
                f"(line {number}) {line[:80]!r}: a word and {columns} tag{'s' * (columns > 1)} are needed, cut by tabs or blanks",
                code="file_tags",
                values={"line": number, "text": line[:80]},
            )
        tokens.append(parts[0])
        for own, tag in zip(tags, parts[-columns:], strict=True):
            own.append(_checked(tag, number, bool(how.annotators)))
    if not tokens:
        raise BadInput("comments without words")
    text, places = _placed(tokens, said.pop("text", None))
    values = {key: _value(value) for key, value in said.items()}
    common: dict[str, Any] = {
        "id": str(values.get("id", "")),
        "gold": how.gold or truth(values.get("gold", ""), "gold"),
        "status": str(values.get("status", "")),
        "time": moment(values.get("time")),
        "comment": str(values.get("comment", "")),
    }
    names = how.annotators or (str(values.get("annotator", "")),)
    return [
        Annotation(place, text, renamed({"spans": spans_of(own, places)}, how.rename, how.widget), who, **common)
        for who, own in zip(names, tags, strict=True)
        if own[0] != _NOT_ANNOTATED
    ]


def spans_of(tags: Sequence[str], places: Sequence[tuple[int, int]]) -> list[dict[str, Any]]:
    """Return the spans behind tags: B- begins one, I- goes on with one of its label or begins one (IOB1 is read too)."""
    spans: list[dict[str, Any]] = []
    before = "O"
    for tag, (start, end) in zip(tags, places, strict=True):
        if tag[:2] == "I-" and before[2:] == tag[2:] and before != "O":
            spans[-1]["end"] = end
        elif tag != "O":
            spans.append({"start": start, "end": end, "label": tag[2:]})
        before = tag
    return spans


def _is_remark(line: str) -> bool:
    """Other programs write other comments; "# O" alone is the word # and its tag."""
    parts = line.split()
    return line.startswith("# ") and "\t" not in line and not (len(parts) == 2 and _TAG.fullmatch(parts[1]))


def _checked(tag: str, number: int, may_be_absent: bool) -> str:
    if _TAG.fullmatch(tag) or (may_be_absent and tag == _NOT_ANNOTATED):
        return tag
    raise BadInput(
        f"(line {number}) tag {tag[:40]!r}: must be O, B-label or I-label{', or ? for none' if may_be_absent else ''}",
        code="file_tag",
        values={"line": number, "tag": tag[:40]},
    )


def _placed(tokens: Sequence[str], given: str | None) -> tuple[str, list[tuple[int, int]]]:
    """Return the text and the place of each word in it: the text that a comment gives, or the words joined by blanks."""
    candidates = [" ".join(tokens)] if given is None else [text for text in (_value(given), given) if isinstance(text, str)]
    for text in candidates:
        places = _aligned(tokens, text)
        if places is not None:
            return text, places
    raise BadInput(f"the words are not those of the text {candidates[0][:80]!r}")


def _aligned(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    places = []
    at = 0
    for token in tokens:
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith(token, at):
            return None
        places.append((at, at + len(token)))
        at += len(token)
    return places if not text[at:].strip() else None


def _value(written: str) -> Any:
    """Return a comment's value: JSON as we write it, or the words as others do."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        return written
