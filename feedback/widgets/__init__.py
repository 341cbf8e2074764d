"""What the pages are made of: one `gr.HTML` a page, its script put together from the files here. No use case of its own.

A widget is how one kind of output is corrected: a Python file that rebuilds what the browser sends, and a script that
draws it. A form is how one kind of input is asked for, made in the same way. A new one is two files and a line in WIDGETS or
FORMS; no page knows their names.
"""

from __future__ import annotations

from feedback.widgets import answers, choice, choices, image_choice, interest, ranking, span_editor
from feedback.widgets.form import DIALOGUE, IMAGE, TEXT, Form
from feedback.widgets.kind import Kind

_KINDS = (span_editor.SPANS, choice.CHOICE, choices.CHOICES, image_choice.IMAGE_CHOICE, answers.ANSWERS, ranking.RANKING)
WIDGETS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
"""Every widget by the name with which a task asks for it."""


FORMS: dict[str, Form] = {form.name: form for form in (TEXT, DIALOGUE, interest.INTEREST, IMAGE)}
"""Every form by the name with which a task asks for it."""


def form_named(name: str) -> Form:
    """Return the form of this name; raise ValueError with the choices."""
    if name not in FORMS:
        raise ValueError(f"unknown form {name!r}: available are {', '.join(sorted(FORMS))}")
    return FORMS[name]


def widget_named(name: str) -> Kind:
    """Return the widget of this name; raise ValueError with the choices (a task asks for one that is not there)."""
    if name not in WIDGETS:
        raise ValueError(f"unknown widget {name!r}: available are {', '.join(sorted(WIDGETS))}")
    return WIDGETS[name]
