"""Hostile values for the property tests: JSON of any shape, documents that are nearly right, bytes that are nearly text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from feedback.errors import AmendError

MANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
DEEP = "[" * 100_000
HUGE = 10**400
"""A number that JSON can hold and no float can."""

texts = st.text(max_size=12) | st.sampled_from(
    ["", " ", "\0", "\u2028", "\ud800", "=1+1", "O", "B-X", "I-", "# text = 1", "NaN", "1e999", "\r"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.just(HUGE),
    st.just(-HUGE),
    st.floats(),
    texts,
    st.just("2026-01-01T00:00:00Z"),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)

ROW = {
    "text": "one two",
    "spans": [{"start": 0, "end": 3, "label": "Gene"}],
    "annotator": "ann",
    "id": "1",
    "time": "2026-01-01",
    "gold": "",
}
TASK = {
    "data": {"text": "one two"},
    "annotations": [{
        "id": 1, "completed_by": {"id": 7}, "created_at": "2026-01-01T00:00:00Z", "was_cancelled": False, "ground_truth": False,
        "result": [{"type": "labels", "value": {"start": 0, "end": 3, "text": "one", "labels": ["Gene"]}}],
    }],
    "predictions": [],
}  # fmt: skip
GOOD = {
    "csv": b'text,spans,annotator\n"one two","[{""start"": 0, ""end"": 3, ""label"": ""Gene""}]",ann\n',
    "jsonl": json.dumps(ROW).encode() + b"\n",
    "conll": b'# text = "one two"\n# annotator = "ann"\none\tB-Gene\ntwo\tO\n\n',
    "label_studio": json.dumps([TASK]).encode(),
    "question_answers": b'{"question": "why?", "answer": "a", "rating": 4, "annotator": "ann"}\n',
}
"""One good file of each form of annotated data."""


def like(document: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return documents such as this one with any of its values replaced by anything, left out, or joined by a stranger."""
    kept = {key: st.just(value) | values for key, value in document.items()}
    return st.builds(
        lambda found, gone, more: {key: value for key, value in {**found, **more}.items() if key not in gone},
        st.fixed_dictionaries(kept),
        st.sets(st.sampled_from(sorted(document)), max_size=1),
        st.dictionaries(texts, values, max_size=1),
    )


def mutated(raw: bytes) -> st.SearchStrategy[bytes]:
    """Return this file with a piece cut out, put in, doubled, or damaged; and the file itself."""

    def change(at: int, length: int, piece: bytes, twice: bool) -> bytes:
        start = at % (len(raw) + 1)
        cut = raw[start : start + length]
        return raw[:start] + piece + (cut if twice else b"") + raw[start + length :]

    pieces = st.binary(max_size=4) | st.sampled_from(
        [b"\0", b"\n\n", b'"', b"\t", b",", b"}", b"]", b"\xff\xfe", b"\xe2\x80\xa8", b"1e999", b"NaN"]
    )
    return st.just(raw) | st.builds(change, st.integers(0, len(raw)), st.integers(0, 20), pieces, st.booleans())


def dumped(value: Any) -> str:
    """Return JSON as Python writes it, half surrogates and NaN included."""
    return json.dumps(value)


def in_words(act: Callable[[], Any], *places: str) -> Any:
    """Return what `act` returns, or None where it refused: with an error of ours, in words that name one of the places."""
    try:
        return act()
    except AmendError as error:
        refusal = error
    assert refusal.status < 500 or refusal.title == "Log broken", refusal
    assert refusal.detail.strip()
    assert any(place in refusal.detail for place in places) or not places, f"{refusal.detail!r} names none of {places}"
    return None
