"""How a page of ours becomes one Gradio component: scripts and styles put together, facts handed over, errors in words.

The page's script calls the Python functions given to it as `server.NAME(data)`; a call that does not come back leaves
everything on the page as it was. That is why no Gradio event is used here: when an event's stream breaks, Gradio
reloads the page, and with it goes what the person has written.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gradio as gr
from anyio import to_thread

from feedback.admission import Admission
from feedback.demo import Demo
from feedback.errors import AmendError, BadInput, Busy, TooMany
from feedback.records import Json, Visitor
from feedback.widgets.form import Form
from feedback.widgets.kind import Kind
from feedback.widgets.palette import PALETTE
from feedback.words import Words, label_words

_HERE = Path(__file__).parent
_LOG = logging.getLogger(__name__)
_FILLED_IN_BROWSER = (
    "count", "limit", "over", "modifier", "percent", "words", "text", "label", "comment", "reason",
    "waiting", "accepted", "rejected", "agree", "version", "variant", "versions",
    "mine", "everybody", "rate", "minutes", "reasons", "same", "otherwise", "reviewer", "verdict", "person", "texts", "left", "total",
)  # fmt: skip

Answer = Callable[[Json, gr.Request], dict[str, Json]]
"""A function that answers the page: JSON and the request in, JSON out."""


Present = Callable[[Json], Json]
"""Adds to an output what a page needs to draw it, where that is not in it."""


def as_it_is(output: Json) -> Json:
    """Add nothing: most outputs say all."""
    return output


Answering = Callable[[Json, gr.Request], Awaitable[dict[str, Json]]]
"""The same as Gradio calls it: errors are in words."""


def component(
    script: str, kind: Kind, facts: dict[str, Json], functions: Sequence[Answering], elem_id: str, form: Form | None = None
) -> gr.HTML:
    """Return a page as one component. `script` is the file that starts it; `facts` is its read-only knowledge; `form`: how it asks.

    The template holds no placeholder: every word reaches the document through `textContent`.
    """
    asking = () if form is None else tuple(dict.fromkeys(("form_text.js", form.script)))  # every form stands on that of a text
    scripts = ("dom.js", *kind.above, kind.script, *asking, *_NEEDS[script], script)
    return gr.HTML(
        html_template='<div class="am-root"></div>',
        css_template="\n".join(text_of(name) for name in ("page.css", "parts.css")),
        js_on_load='"use strict";\n' + "\n".join(text_of(name) for name in scripts),
        apply_default_css=False,
        server_functions=list(functions),
        elem_id=elem_id,
        facts=facts,
    )


_REVIEW = ("review_item.js", "review_last.js", "review_bulk.js", "review_agreement.js", "review_keys.js")
_NEEDS = {
    "try_page.js": ("answer.js", "asked.js", "pair.js", "given.js"),
    "review_page.js": _REVIEW,
    "contributors_page.js": (),
    "data_page.js": (),
}


def text_of(name: str) -> str:
    """Return the text of a file beside this module."""
    return (_HERE / name).read_text(encoding="utf-8")


def facts_of(
    demo: Demo,
    labels: Sequence[str],
    words: Words,
    language: str,
    prefixes: Sequence[str],
    names: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Json]:
    """Return what every page knows: its language, limits, labels with colours, and the words whose keys have a prefix.

    `names`: words of labels that the demo does not name (the titles of a catalogue). A label's `group` is the words of what stands
    before its first slash (the head of "head/label").
    """
    say = words.speaker(language)
    same = {name: "{" + name + "}" for name in _FILLED_IN_BROWSER}
    return {
        "name": demo.name,
        "language": language,
        "maxChars": demo.limits.max_chars,
        "maxComment": demo.limits.max_comment_chars,
        "labels": [
            {"name": label, "words": names.get(label) or label_words(demo.label_names, language, label), "colour": list(PALETTE[i % len(PALETTE)]),
             "group": label_words(demo.label_names, language, label.partition("/")[0])}
            for i, label in enumerate(labels)
        ],
        "words": {
            key: say(key, **same)
            for key in sorted(words.keys(language))
            if key.split(".")[0] in prefixes
        },
    }  # fmt: skip


def answering(
    words: Words, language: str, fresh: Callable[[gr.Request], bool], admission: Admission | None = None
) -> Callable[[Answer], Answering]:
    """Return a decorator: an AmendError becomes `{"error": words}`, and a dropped cookie is told as `{"fresh": true}`.

    With an admission (the desk's) the function is called through it, else in any thread.
    """
    run = admission.run if admission else to_thread.run_sync

    def decorate(function: Answer) -> Answering:
        @wraps(function)
        async def answer(data: Json, request: gr.Request) -> dict[str, Json]:
            # Gradio hands the plain request of its web framework to such functions, whatever their annotation says.
            asked = request if isinstance(request, gr.Request) else gr.Request(request)
            told: dict[str, Json] = {"fresh": True} if fresh(asked) else {}
            if not isinstance(data, dict):
                return {**told, "error": "the page sent no object"}
            try:
                return {**told, **await run(function, data, asked)}
            except (Busy, TooMany) as error:  # with `retry`, the seconds after which to come again
                return {**told, "error": words.error(language, error), "code": error.code, "retry": error.retry_after}
            except AmendError as error:
                if error.status >= 500:
                    _LOG.error("%s failed: %s", function.__name__, error)
                return {**told, "error": words.error(language, error), "code": error.code}

        answer.__annotations__ = {"data": object, "request": gr.Request}  # Gradio would evaluate the names at every call
        return answer

    return decorate


def string(data: dict[str, Any], key: str) -> str:
    """Return a text that the page sent, "" where it sent none; raise BadInput for anything else."""
    value = data.get(key, "")
    if not isinstance(value, str):
        raise BadInput(f"{key} is {type(value).__name__}: it must be a text", code="text_type")
    return value


def is_fresh(visitor_of: Callable[[gr.Request], Visitor]) -> Callable[[gr.Request], bool]:
    """Return whether a request came without the cookie that the page's own load has set."""
    return lambda request: visitor_of(request).fresh
