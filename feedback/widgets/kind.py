"""What a widget must say about itself, and no more: its name, its script, how a value from the browser is rebuilt, and how files hold one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from feedback.errors import BadInput
from feedback.records import Json


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise BadInput(f"output is {str(value)[:80]!r}: it must be a JSON object")
    return value


def _as_it_is(output: Json, rename: Mapping[str, str]) -> Json | None:
    return output


class Kind(NamedTuple):
    """One kind of widget.

    `script` is a file beside this one that declares a JavaScript object named `widget` with `showsText`, `differsKey` (the
    words about what `view` outlines, or null), `emptyKey(output, editable)`, `view(host, text, output, other, moodOfExtra)`,
    `differences(text, before, after)` and `edit(host, tools)`. `read(value, labels)` makes a clean output of whatever
    the browser sent, or raises BadInput;
    the task's own check comes after it, in the desk.

    In files an output lies in `column`; `from_cell` makes an output of what stands there, which was JSON unless the column is
    `label`, and raises BadInput. `renamed(output, rename)` puts it into the demo's labels, None where nothing is left.
    `from_answer` makes an output of an answer in words (a log of questions and answers); None: such a log says nothing here.
    `forms`: the forms of files that suit it besides csv and jsonl.
    """

    name: str
    script: str
    read: Callable[[Json, Sequence[str]], Json]
    column: str = "output"
    from_cell: Callable[[Any], Json] = _object
    renamed: Callable[[Json, Mapping[str, str]], Json | None] = _as_it_is
    from_answer: Callable[[str], Json] | None = None
    forms: tuple[str, ...] = ()
    above: tuple[str, ...] = ()  # scripts of other widgets that this one's changes
