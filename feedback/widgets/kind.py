"""What a widget must say about itself, and no more: its name, its script, and how a value from the browser is rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from feedback.records import Json


class Kind(NamedTuple):
    """One kind of widget.

    `script` is a file beside this one that declares a JavaScript object named `widget` with `showsText`, `differsKey` (the
    words about what `view` outlines, or null), `emptyKey(output, editable)`, `view(host, text, output, other, moodOfExtra)`,
    `differences(text, before, after)` and `edit(host, tools)`. `read(value, labels)` makes a clean output of whatever
    the browser sent, or raises BadInput;
    the task's own check comes after it, in the desk.
    """

    name: str
    script: str
    read: Callable[[Json, Sequence[str]], Json]
