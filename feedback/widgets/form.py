"""What a form must say about itself: how the page asks for an input. Its drawing is a script beside this file.

A form is a name, a script and a function that makes an input of what the browser sent. The task's own check comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from feedback.errors import BadInput
from feedback.records import Json

MOST_BEFORE = 4
"""Earlier questions of a conversation that go along with a new one."""


class Form(NamedTuple):
    """One kind of form.

    `script` declares a JavaScript object named `form` with `build({ onChange, onSend })`, which returns an object with `node`;
    `value()`, the input as JSON; `ready()`, whether it can be sent; `is(text)`, whether an answer to `text` still belongs to what
    stands here; `take(example)`; `masked(text)`, told where the server stored another text; `answered(answer)`; `busy(asking)`;
    and `draft()` and `restore(draft)`, texts. `read(value)` makes an input of what came of `value()`, or raises BadInput.
    """

    name: str
    script: str
    read: Callable[[Json], Json]


def read_text(value: Json) -> Json:
    """Return the text that came."""
    if not isinstance(value, str):
        raise BadInput(f"input is {type(value).__name__}: it must be a text", code="text_type")
    return value


def read_dialogue(value: Json) -> Json:
    """Return a question, alone or with the questions before it."""
    if isinstance(value, str):
        return value
    before = value.get("before") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or not isinstance(before, list):
        raise BadInput(
            f'input is {str(value)[:80]!r}: it must be a text, or {{"text": ..., "before": [earlier questions]}}',
            code="text_type",
        )
    return {"text": value["text"], "before": [read_text(one) for one in before[-MOST_BEFORE:]]}


TEXT = Form("text", "form_text.js", read_text)
DIALOGUE = Form("dialogue", "form_dialogue.js", read_dialogue)
IMAGE = Form("image", "form_image.js", read_text)  # a picture is a text: the task checks its form
