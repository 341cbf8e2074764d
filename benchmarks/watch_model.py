"""What a finance version says of many texts, for benchmarks/watch.py: topic and sentiment of each. It trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.answering import open_version


def answers(model: Path, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return (topic, sentiment) of each text by the first two heads of the version's answers."""
    made = open_version(model).answer(list(texts), [{}] * len(texts))
    found = []
    for answer in made:
        topic, sentiment, *_ = answer.output["labels"].values()
        found.append((str(topic), str(sentiment)))
    return found
