"""Obvious identifiers in a text, found by their form, and masked or refused before anything is stored. It knows no names.

A mask keeps the length and the separators (`***@*******.***`), so marks made on the text as it was typed still fit.
Caught: e-mail addresses; telephone numbers written internationally, with a leading 0, or in the Chinese mobile or North
American form; runs of nine and more digits; payment cards (Luhn) and Chinese resident numbers (GB 11643) in groups; US
social security numbers; IBANs (ISO 13616, mod 97). Not caught: names, streets, addresses spelt out ("ann at example"),
short local numbers ("555 1234"), numbers in words, user names, network addresses, document numbers of fewer digits.
Too much is caught where any other number has such a form: an order number of nine digits is masked too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from feedback.errors import BadInput
from feedback.records import Answer, Json

Kind = Literal["email", "phone", "card", "identity", "iban", "number"]
Mode = Literal["keep", "mask", "refuse"]


class Found(NamedTuple):
    """An identifier at [start, end) of a text, in code points."""

    start: int
    end: int
    kind: Kind


def find_identifiers(text: str) -> list[Found]:
    """Return the identifiers in a text, in order and without overlap: where two begin inside each other, the first found counts."""
    found: list[Found] = []
    for kind, pattern, holds in _FORMS:
        for match in pattern.finditer(text):
            start, end = match.span()
            if holds(match[0]) and not any(start < other.end and other.start < end for other in found):
                found.append(Found(start, end, kind))
    return sorted(found)


def masked(text: str) -> str:
    """Return the text with every letter and digit of its identifiers as `*`; as long as it was. Masking again changes nothing."""
    characters = list(text)
    for found in find_identifiers(text):
        for place in range(found.start, found.end):
            if characters[place].isalnum():
                characters[place] = "*"
    return "".join(characters)


class Screen:
    """What the demo's `identifiers` setting asks: keep texts as they are, mask the identifiers in them, or refuse them."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode

    def text(self, text: str) -> str:
        """Return the text as it may be stored; raise BadInput with the kinds found, never with the text, where it is refused."""
        if self.mode == "keep":
            return text
        if self.mode == "mask":
            return masked(text)
        kinds = sorted({found.kind for found in find_identifiers(text)})
        if kinds:
            raise BadInput(
                f"the text holds what looks like personal data ({', '.join(kinds)}), and this demo stores none: take it out",
                code="identifiers",
            )
        return text

    def value(self, value: Json) -> Json:
        """Return an input with every text in it screened."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value


class Model(Protocol):
    """What is screened: the desk's Model."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """See desk.Model."""

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """See desk.Model."""

    def edits(self, shown: Json, output: Json) -> float:
        """See desk.Model."""


class Checking:
    """The desk's Model with a screen before it: an input is screened as it comes in, so the model reads what is stored.

    A check that brings an output is of an input that is stored already: it was screened then, by the setting of then.
    """

    def __init__(self, model: Model, screen: Screen) -> None:
        self._model = model
        self._screen = screen

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output in canonical form; an input that comes alone is screened first."""
        checked, canonical = self._model.check(input_, output)
        if output is None:
            return self._screen.value(checked), None
        if isinstance(canonical, Mapping) and isinstance(canonical.get("text"), str):  # an answer in the person's own words
            screened = self._screen.text(canonical["text"])
            if screened != canonical["text"]:
                return self._model.check(input_, {**canonical, "text": screened})
        return checked, canonical

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Ask the model."""
        return self._model.predict(version, input_, settings)

    def edits(self, shown: Json, output: Json) -> float:
        """Count the differences."""
        return self._model.edits(shown, output)


def _digits(text: str) -> str:
    return "".join(str(int(char)) if char.isdecimal() else char for char in text if char.isalnum())


def _anything(_: str) -> bool:
    return True


def _is_phone(text: str) -> bool:
    """E.164 allows 15 digits; below 7 it is a short number."""
    return 7 <= sum(char.isdecimal() for char in text) <= 15


def _is_long_phone(text: str) -> bool:
    """From nine digits on: eight with a leading 0 are mostly a date."""
    return 9 <= sum(char.isdecimal() for char in text) <= 15


def _is_card(text: str) -> bool:
    """ISO/IEC 7812: 13 to 19 digits whose Luhn sum is a multiple of ten."""
    digits = _digits(text)
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return 13 <= len(digits) <= 19 and total % 10 == 0


def _is_resident(text: str) -> bool:
    """GB 11643-1999: the last of 18 characters makes the weighted sum 1 modulo 11 (X stands for 10)."""
    digits = _digits(text).upper()
    if len(digits) != 18:
        return False
    values = [int(char) for char in digits[:17]] + [10 if digits[17] == "X" else int(digits[17])]
    return sum(value * pow(2, 17 - place, 11) for place, value in enumerate(values)) % 11 == 1


def _is_iban(text: str) -> bool:
    """ISO 13616: the country and check digits moved to the end, letters as 10 to 35, are 1 modulo 97."""
    plain = _digits(text).upper()
    if not (15 <= len(plain) <= 34 and plain.isascii()):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


_FORMS: tuple[tuple[Kind, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", re.compile(r"[\w.+%'-]{1,64}[@＠][\w-]{1,63}(?:\.[\w-]{1,63})+"), _anything),
    ("iban", re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"), _is_iban),
    ("identity", re.compile(r"(?<!\d)\d{17}[Xx](?![A-Za-z0-9])"), _anything),
    ("identity", re.compile(r"(?<!\d)\d{6}[ -]\d{8}[ -]\d{3}[\dXx](?![A-Za-z0-9])"), _is_resident),
    ("identity", re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), _anything),
    ("card", re.compile(r"(?<!\d)\d{4}(?:[ -]\d{4}){2,3}(?:[ -]\d{1,3})?(?!\d)"), _is_card),
    ("card", re.compile(r"(?<!\d)\d{4}[ -]\d{6}[ -]\d{4,5}(?!\d)"), _is_card),
    ("phone", re.compile(r"(?<![\w+])(?:\+|＋|00)[1-9](?:[ .\-/()（）]{0,2}\d){6,14}(?!\d)"), _is_phone),
    ("phone", re.compile(r"(?<!\d)1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"), _anything),
    ("phone", re.compile(r"(?<![\d.,])(?!\d\d[./-]\d\d[./-]\d{4})[(（]?0\d{1,4}[)）]?[ .\-/]?\d{2,4}(?:[ .\-/]?\d{2,4}){1,3}(?!\d)"), _is_long_phone),
    ("phone", re.compile(r"(?<![\d.,])0\d{2,3}[ -]?\d{7,8}(?!\d)"), _anything),
    ("phone", re.compile(r"(?<!\d)\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\d)"), _anything),
    ("number", re.compile(r"(?<!\d)(?<!\d[.,])\d{9,}(?!\d)"), _anything),
)  # fmt: skip
