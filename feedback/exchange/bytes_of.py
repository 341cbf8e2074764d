"""A file's bytes as text and lines, before any form looks at them. Files are hostile: each way to break has words of its own."""

from __future__ import annotations

from codecs import BOM_UTF8

from feedback.errors import BadInput, TooLarge

LARGEST_FILE = 64 * 2**20
"""Bytes."""
LONGEST_LINE = 1_000_000
"""Characters, in the forms that are read line by line."""


def text_of_file(raw: bytes, name: str) -> str:
    """Return the file's text without a byte-order mark. Raises BadInput with the line of the first byte that is no UTF-8."""
    if len(raw) > LARGEST_FILE:
        raise TooLarge(
            f"{name} has {len(raw)} bytes: at most {LARGEST_FILE} are read at once; cut it into several files",
            code="file_large",
            values={"file": name, "limit": LARGEST_FILE},
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{name} is UTF-16: save it as UTF-8", code="file_utf16", values={"file": name})
    raw = raw.removeprefix(BOM_UTF8)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadInput(
            f"{name}, line {line}: a byte that is not UTF-8 ({error.reason}): save the file as UTF-8",
            code="file_utf8",
            values={"file": name, "line": line},
        ) from None
    if "\0" in text:
        raise BadInput(
            f"{name}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: holds a NUL: this is no text file",
            code="file_nul",
            values={"file": name},
        )
    if not text.strip():
        raise BadInput(f"{name} is empty", code="file_empty", values={"file": name})
    return text


def lines_of(text: str, name: str) -> list[tuple[int, str]]:
    """Return (number from 1, line) of every line, ended by LF or CRLF and nothing else: U+2028 is part of a text."""
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > LONGEST_LINE:
            raise TooLarge(f"{name}, line {number}: has {len(line)} characters; a line has at most {LONGEST_LINE}")
        lines.append((number, line.removesuffix("\r")))
    return lines
