"""The catalogue of all rooms: every text in both languages, and the Chinese ones are Chinese."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

from feedback.words import LANGUAGES, Words
from tests.conftest import ROOT

CODES = re.compile(r'code="(\w+)"')
UNTRANSLATED = {
    "page.language_switch": "it is read by who does not read this page's language",
    "page.shortcut": "names of keys",
    "models.role.none": "a dash",
    "experiments.join": "Chinese joins without a space",
    "data.form_csv": "a format's name",
    "data.form_jsonl": "a format's name",
    "data.form_conll": "a format's name",
    "data.form_label_studio": "a product's name",
}
"""Texts without a Chinese character, and why; those of signs and placeholders alone need no reason."""


def catalogue() -> Words:
    """Return the texts of all rooms, as the app merges them."""
    return Words(sorted(ROOT.glob("*/words.toml")))


def wanted(text: str) -> list[str]:
    """Return the placeholders of a text."""
    return sorted({name for _, name, _, _ in Formatter().parse(text) if name})


def test_every_text_is_there_in_both_languages_with_the_same_placeholders() -> None:
    """The rooms' files together: no key in one language alone, nothing empty but what Chinese needs not, the same values filled in."""
    words = catalogue()
    assert LANGUAGES == ("en", "zh")
    assert words.keys("en") == words.keys("zh")
    for key in words.keys("en"):
        assert wanted(words.raw("en", key)) == wanted(words.raw("zh", key)), key
        assert words.raw("en", key).strip() or key == "experiments.join"


def test_what_is_called_chinese_is_chinese() -> None:
    """A text that was copied and not translated shows up: it holds letters and no Chinese character."""
    words = catalogue()
    for key in words.keys("zh") - UNTRANSLATED.keys():
        bare = re.sub(r"\{[^}]*\}", "", words.raw("zh", key))
        assert re.search(r"[\u4e00-\u9fff]", bare) or not re.search(r"[A-Za-z]{2}", bare), key


def test_every_error_that_has_a_code_has_words_in_both_languages() -> None:
    """Whatever room raises it: the studio's pages show refusals in their language (feedback.words.told)."""
    files = [file for room in ("feedback", "model", "analysis") for file in (ROOT / room).rglob("*.py")] + [Path(ROOT / "app.py")]
    codes = {code for file in files for code in CODES.findall(file.read_text(encoding="utf-8"))}
    assert {"no_prediction", "experiment_exists", "reason_of_verdict"} <= codes
    for language in LANGUAGES:
        assert {f"error.{code}" for code in codes} - catalogue().keys(language) == set()
