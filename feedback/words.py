"""The one catalogue of words shown to people, English and Chinese, merged from each room's words.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from feedback.errors import AmendError

LANGUAGES = ("en", "zh")


class Say(Protocol):
    """A catalogue bound to one language: key and values in, words out."""

    def __call__(self, key: str, /, **values: object) -> str:
        """Return the words of `key` with its {placeholders} filled; raise KeyError for an unknown key."""


class Words:
    """All texts by language and key. Placeholders are filled with str.format."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._texts: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
        for file in files:
            for language, texts in tomllib.loads(file.read_text(encoding="utf-8")).items():
                for key, text in texts.items():
                    if key in self._texts[language]:
                        raise ValueError(f"{file}: the key {key!r} exists already in {language!r}")
                    self._texts[language][key] = text

    def keys(self, language: str) -> frozenset[str]:
        """Return every key of a language."""
        return frozenset(self._texts[language])

    def raw(self, language: str, key: str) -> str:
        """Return the text of `key` with its placeholders unfilled."""
        return self._texts[language][key]

    def say(self, language: str, key: str, **values: object) -> str:
        """Return the words of `key`; raise KeyError for a key that is in no file."""
        return self._texts[language][key].format(**values)

    def speaker(self, language: str) -> Say:
        """Return `say` bound to a language."""

        def say(key: str, /, **values: object) -> str:
            return self.say(language, key, **values)

        return say

    def error(self, language: str, error: AmendError) -> str:
        """Return an error in the person's language: its own entry `error.<code>`, or its English detail as it stands."""
        key = f"error.{error.code}"
        if error.code and key in self._texts[language]:
            return self.say(language, key, **error.values)
        return error.detail


def told(error: AmendError, say: Say) -> str:
    """Return an error in the language of `say` where the catalogue has it, else its English detail."""
    try:
        return say(f"error.{error.code}", **error.values) if error.code else error.detail
    except KeyError:  # a code that only programs meet
        return error.detail


def preferred(accept_language: str) -> str:
    """Return the first language we have of an Accept-Language header (RFC 9110, 12.5.4), English where none fits."""
    wishes: list[tuple[float, int, str]] = []
    for index, part in enumerate(accept_language.split(",")):
        tag, _, rest = part.strip().partition(";")
        try:
            quality = float(rest.strip().removeprefix("q=")) if rest else 1.0
        except ValueError:
            quality = 0.0
        wishes.append((-quality, index, tag.strip().lower()))
    for negative, _, tag in sorted(wishes):
        primary = tag.split("-")[0]
        if primary in LANGUAGES and negative < 0:
            return primary
    return "en"


def label_words(label_names: Mapping[str, Mapping[str, str]], language: str, label: str) -> str:
    """Return how a label is shown in a language: the demo's own words for it, or the label itself."""
    return label_names.get(language, {}).get(label) or label
