"""What the pages are made of: one `gr.HTML` a page, its script put together from the files here. No use case of its own.

A widget is how one kind of output is corrected: a Python file that rebuilds what the browser sends, and a script that
draws it. A new one is two files and a line in WIDGETS; no page knows their names.
"""

from __future__ import annotations

from feedback.widgets import choice, span_editor
from feedback.widgets.kind import Kind

WIDGETS: dict[str, Kind] = {kind.name: kind for kind in (span_editor.SPANS, choice.CHOICE)}
"""Every widget by the name with which a task asks for it."""


def widget_named(name: str) -> Kind:
    """Return the widget of this name; raise ValueError with the choices (a task asks for one that is not there)."""
    if name not in WIDGETS:
        raise ValueError(f"unknown widget {name!r}: available are {', '.join(sorted(WIDGETS))}")
    return WIDGETS[name]
