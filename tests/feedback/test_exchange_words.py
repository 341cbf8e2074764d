"""Errors of a file's rows in the page's language: what the catalogue has is said, what it has not stays English, with its place."""

from __future__ import annotations

import pytest

from feedback.errors import BadInput
from feedback.exchange.annotation import BadFile, ErrorLine, Problems, Reading, said_line
from feedback.exchange.forms import read_file
from feedback.words import Words
from tests.conftest import ROOT

WORDS = Words([ROOT / "feedback" / "words.toml"])


def lines_of(raw: str, name: str, how: Reading) -> tuple[str, ...]:
    """Return the errors of a file that is read in vain."""
    with pytest.raises(BadFile) as caught:
        read_file(raw.encode(), name, name.rpartition(".")[2], how)
    return caught.value.lines


def test_rows_errors_are_chinese_on_the_chinese_page() -> None:
    """A bad time and a bad yes or no of a CSV: English as a string, for programs; Chinese with the line's number on the page."""
    raw = "text,label,time,gold\na,x,never,\nb,y,2026-01-01,perhaps\n"
    lines = lines_of(raw, "t.csv", Reading("choice"))
    assert [str(line) for line in lines] == [
        "line 2: time is 'never': it must be ISO 8601, or seconds since 1970",
        "line 3: gold is 'perhaps': it must be one of true, 1, yes, false, 0, no, none, or empty",
    ]
    chinese = [said_line(line, WORDS.speaker("zh")) for line in lines]
    assert chinese[0] == "第 2 行: 时间为 never：须为 ISO 8601，或自 1970 年起的秒数。"
    assert chinese[1].startswith("第 3 行: gold 的值为 perhaps")
    assert said_line(lines[0], WORDS.speaker("en")).startswith("line 2: The time is never")


def test_json_lines_name_the_place() -> None:
    """Broken JSON: line and character are in the sentence of either language."""
    (line,) = lines_of('{"text": "a", "label"}\n', "t.jsonl", Reading("choice"))
    assert "第 1 行第 22 个字符" in said_line(line, WORDS.speaker("zh"))


def test_what_has_no_words_stays_as_it_is() -> None:
    """An error without a code, and a line that is no error of ours, are shown in English."""
    problems = Problems("f")
    problems.add("line 4", BadInput("odd"))
    problems.add("", "worse")
    say = WORDS.speaker("zh")
    assert [said_line(line, say) for line in problems.lines()] == ["line 4: odd", "worse"]
    assert said_line("plain", say) == "plain"
    assert ErrorLine("", BadInput("x", code="file_no_output")).place == ""
