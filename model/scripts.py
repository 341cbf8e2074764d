"""Which scripts a tokenizer has pieces for, found by giving it a sentence of each. It says nothing of a model's understanding."""

from __future__ import annotations

from typing import Any

from model.batches import tokenize
from model.tasks.text import UNKNOWN_SHARE

_SCRIPTS = {
    "Latin (English)": "The patient has had a high fever since Monday.",
    "Latin with accents (French)": "Le garçon a reçu sa commande à Noël, très tôt.",
    "Greek": "Ο ασθενής έχει υψηλό πυρετό από τη Δευτέρα.",
    "Cyrillic (Russian)": "У пациента с понедельника высокая температура.",
    "Hebrew": "לחולה יש חום גבוה מאז יום שני.",
    "Arabic": "المريض يعاني من حمى شديدة منذ يوم الاثنين.",
    "Devanagari (Hindi)": "मरीज को सोमवार से तेज बुखार है।",
    "Chinese": "患者自星期一以来一直发高烧。",
    "Japanese": "患者は月曜日から高熱が続いている。",
    "Korean": "환자는 월요일부터 고열이 있다.",
}
"""One sentence each, to see what the tokenizer does with it."""


def scripts(tokenizer: Any) -> tuple[list[str], list[str], list[str]]:
    """Return the scripts in whose sample sentence the tokenizer knows every word, misses some, and misses too many."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    for name, encoded in zip(_SCRIPTS, tokenize(tokenizer, list(_SCRIPTS.values())), strict=True):
        words = {word for word in encoded.words if word is not None}
        lost = {w for w, id_ in zip(encoded.words, encoded.ids, strict=True) if w is not None and id_ == encoded.unknown}
        found[0 if not lost else 2 if len(lost) > UNKNOWN_SHARE * len(words) else 1].append(name)
    return found
