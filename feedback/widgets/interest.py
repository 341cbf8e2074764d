"""The form for a list: an interest that may be empty, and what the person did before. The drawing is in form_interest.js."""

from __future__ import annotations

from feedback.errors import BadInput
from feedback.records import Json
from feedback.widgets.form import Form

MOST_DEEDS = 200


def read(value: Json) -> Json:
    """Return `{"text", "history", "visit"}`; the deeds are the task's to check. A text alone is an interest."""
    if isinstance(value, str):
        return {"text": value, "history": []}
    text, history, visit = (value.get(key) for key in ("text", "history", "visit")) if isinstance(value, dict) else (None,) * 3
    if not isinstance(text, str) or not isinstance(history, list) or not isinstance(visit, str):
        raise BadInput(f'input is {str(value)[:80]!r}: it must be {{"text", "history", "visit"}}', code="history_shape")
    return {"text": text, "history": history[-MOST_DEEDS:], "visit": visit}


INTEREST = Form("interest", "form_interest.js", read)
