"""The public page ("Try it") as a Gradio app in one language: wires the desk to the page's script. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from json import dumps
from types import MappingProxyType
from typing import Any, TypeVar

import gradio as gr
from gradio.events import api

from feedback.admission import Admission
from feedback.asking import Asking
from feedback.demo import Demo
from feedback.desk import Desk, Given
from feedback.errors import AmendError
from feedback.pairs import NoPairs, Pairs
from feedback.privacy import notice
from feedback.records import Json, Prediction, Visitor, text_of
from feedback.widgets import form_named, widget_named
from feedback.widgets.form import Form
from feedback.widgets.kind import Kind
from feedback.widgets.page import Answering, Present, answering, as_it_is, component, facts_of, is_fresh, string
from feedback.words import Say, Words

T = TypeVar("T")
MODEL_EVENTS = 16
"""How many calls of the public events run at once; the others wait in Gradio's queue."""
GIVEN_LIMIT = 100
SESSIONS = 1000
"""Sessions of the page that Gradio remembers, 12 KB each: nothing of ours is in them, and a forgotten one is made anew."""
_FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

# In the page itself, so that it is there under any path prefix.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='8' fill='%234f46e5'/%3E"
    "%3Cpath d='M9 17l5 5 9-12' fill='none' stroke='white' stroke-width='3.5' stroke-linecap='round'/%3E%3C/svg%3E"
)

VisitorOf = Callable[[gr.Request], Visitor]


def theme() -> gr.themes.Base:
    """Return the theme of all our pages: system fonts alone, one accent, and the grounds of light and dark."""
    return gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=_FONTS, font_mono=_MONO).set(
        body_background_fill="#f6f7f9",
        body_background_fill_dark="#14161a",
        body_text_color="#1a1d23",
        body_text_color_dark="#eceef2",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1d2026",
        button_primary_background_fill="#4f46e5",
        button_primary_background_fill_hover="#4338ca",
        button_primary_text_color="#ffffff",
        button_primary_background_fill_dark="#a5b4fc",
        button_primary_background_fill_hover_dark="#c7d2fe",
        button_primary_text_color_dark="#1a1b3a",
    )


def css() -> str:
    """Return what our pages ask of Gradio's own frame: no margins beside ours. All other style travels with the components."""
    return """
    .gradio-container:has(#try) .main { max-width: none; padding: 0; }
    .gradio-container :is(#try, #review) .html-container { padding: 0; }
    .gradio-container:has(#review) .main { padding-inline: min(2rem, 2vw); }
    """


def head(language: str) -> str:
    """Return what a page of ours adds to the document's head: its language, before anything is read out, and its icon."""
    return f'<link rel="icon" href="{_ICON}"><script>document.documentElement.lang = "{_tag(language)}";</script>'


def build(
    desk: Desk,
    pairs: Pairs,
    asking: Asking,
    demo: Demo,
    *,
    widget: str,
    labels: Sequence[str],
    words: Words,
    language: str,
    visitor_of: VisitorOf,
    other_language_url: str,
    form: str = "text",
    present: Present = as_it_is,
    names: Mapping[str, str] = MappingProxyType({}),
) -> gr.Blocks:
    """Return the public page. `widget` names how outputs are corrected, `form` how inputs are asked for; `labels` are offered in their order.

    `present` adds to an output what a page needs to draw it; `names` are words of labels that the demo's TOML does not name.

    The page's own calls and the public events, /predict, /correct, /pair and /vote, end in the same use cases of desk and pairs.
    """
    kind, asks = widget_named(widget), form_named(form)
    facts = {
        **facts_of(demo, labels, words, language, ("page", "privacy", widget, form, "spans", "choice"), names),
        "title": demo.words(demo.title, language),
        "description": demo.words(demo.description, language),
        "notice": demo.words(demo.notice, language),
        "privacy": notice(demo.privacy, words.speaker(language), second_opinions=demo.acceptance.second_opinions),
        "placeholder": demo.words(demo.placeholder, language),
        "examples": list(demo.examples),
        "otherLanguageUrl": other_language_url,
        "givenLimit": GIVEN_LIMIT,
        "secondOpinions": demo.acceptance.second_opinions,
    }
    page = gr.Blocks(title=demo.words(demo.title, language), analytics_enabled=False, fill_width=True)
    page.state_session_capacity = SESSIONS
    with page:
        component(
            "try_page.js",
            kind,
            facts,
            [
                *_calls(desk, pairs, kind, labels, words, language, visitor_of, asks, present),
                _opinion(asking, desk.admission, words, language, visitor_of, present),
            ],
            "try",
            asks,
        )
        _public_events(desk, pairs, words, visitor_of)
    return page


def _calls(
    desk: Desk, pairs: Pairs, kind: Kind, labels: Sequence[str], words: Words, language: str, visitor_of: VisitorOf, form: Form,
    present: Present,
) -> list[Answering]:  # fmt: skip
    """Return the functions that the page calls. The names are those of the script; each takes JSON and the request."""
    call = answering(words, language, is_fresh(visitor_of), desk.admission)
    say = words.speaker(language)

    def own(visitor: Visitor) -> list[Json]:
        return [shown(item, say, present) for item in desk.given(visitor, GIVEN_LIMIT)]

    @call
    def predict(data: Json, request: gr.Request) -> dict[str, Json]:
        visitor, asked = visitor_of(request), form.read(data.get("input"))
        try:
            made = pairs.predict(visitor, asked)
        except NoPairs:
            single = desk.predict(visitor, asked)
            return {**blind(single, say, present), **as_asked(single.input)}
        two = {"left": blind(made.left, say, present), "right": blind(made.right, say, present)}
        return {"pair": made.id, "same": made.same, **as_asked(made.left.input), **two}

    @call
    def vote(data: Json, request: gr.Request) -> dict[str, Json]:
        made = pairs.vote(visitor_of(request), string(data, "pair"), string(data, "choice"))
        return {"choice": made.choice}

    @call
    def correct(data: Json, request: gr.Request) -> dict[str, Json]:
        visitor = visitor_of(request)
        id_, comment = string(data, "prediction"), string(data, "comment")
        output = kind.read(data.get("output"), labels)
        # Sent again after a lost answer, the same correction is the same; a different one is refused by the store.
        key = sha256(dumps([id_, output, comment], sort_keys=True).encode()).hexdigest()
        correction, status = desk.correct(visitor, id_, output, comment, key)
        added = shown(desk.as_given(correction, status), say, present)
        return {"id": correction.id, "status": status, "confirmation": correction.confirmation, "added": added}

    @call
    def given(data: Json, request: gr.Request) -> dict[str, Json]:
        return {"given": own(visitor_of(request))}

    @call
    def withdraw(data: Json, request: gr.Request) -> dict[str, Json]:
        visitor = visitor_of(request)
        desk.withdraw(visitor, string(data, "correction"))
        return {"given": own(visitor)}

    return [predict, vote, correct, given, withdraw]


def _opinion(
    asking: Asking, admission: Admission, words: Words, language: str, visitor_of: VisitorOf, present: Present
) -> Answering:
    """Return the page's call for a text that needs another opinion: `{"none": true}` where nothing waits."""
    say = words.speaker(language)

    @answering(words, language, is_fresh(visitor_of), admission)
    def opinion(data: Json, request: gr.Request) -> dict[str, Json]:
        made = asking.next(visitor_of(request))
        return {"none": True} if made is None else {**blind(made, say, present), **as_asked(made.input)}

    return opinion


def _public_events(desk: Desk, pairs: Pairs, words: Words, visitor_of: VisitorOf) -> None:
    """Add the public events for gradio_client: plain JSON in and out, the same identity, limits and checks as the routes."""

    def say_errors(visitor: Visitor, act: Callable[[], T]) -> T:
        try:
            return act()
        except AmendError as error:
            raise gr.Error(words.error(visitor.language or "en", error), print_exception=False) from error

    def predict(text: Any, request: gr.Request) -> dict[str, Any]:
        """Answer a text, or whatever input the demo's task takes. Returns id, output, confidence (0..1), variant and version."""
        visitor = visitor_of(request)
        made = say_errors(visitor, lambda: desk.predict(visitor, text))
        return {**blind(made), "variant": made.variant, "version": made.version}

    def correct(prediction_id: str, output: dict[str, Any], request: gr.Request, comment: str = "") -> dict[str, Any]:
        """Say what the answer to a prediction should be; the output shown confirms it. Returns id and status."""
        visitor = visitor_of(request)
        correction, status = say_errors(visitor, lambda: desk.correct(visitor, prediction_id, output, comment))
        return {"id": correction.id, "status": status}

    def pair(text: Any, request: gr.Request) -> dict[str, Any]:
        """Answer a text twice, blind. Returns id, left and right (id, output, confidence), and whether they are the same."""
        visitor = visitor_of(request)
        made = say_errors(visitor, lambda: pairs.predict(visitor, text))
        return {"id": made.id, "left": blind(made.left), "right": blind(made.right), "same": made.same}

    def vote(pair_id: str, choice: str, request: gr.Request) -> dict[str, Any]:
        """Say which answer of a pair is better: left, right, both or neither. Returns pair_id and choice."""
        visitor = visitor_of(request)
        made = say_errors(visitor, lambda: pairs.vote(visitor, pair_id, choice))
        return {"pair_id": made.pair_id, "choice": made.choice}

    for function in (predict, correct, pair, vote):
        api(function, api_name=function.__name__, concurrency_id="model", concurrency_limit=MODEL_EVENTS)


def as_asked(input_: Json) -> dict[str, Json]:
    """Return an input as it stands, and the words in it."""
    return {"input": input_, "text": text_of(input_)}


def blind(made: Prediction, say: Say | None = None, present: Present = as_it_is) -> dict[str, Json]:
    """Return what of a prediction a visitor may see: neither variant nor version. `notes` with `say`, in its words."""
    seen: dict[str, Json] = {"id": made.id, "output": present(made.output), "confidence": made.confidence}
    return {**seen, "notes": [say(note) for note in made.notes]} if say else seen


def shown(given: Given, say: Say, present: Present = as_it_is) -> dict[str, Json]:
    """Return one's own correction as the page lists it; `created` is ISO 8601 in UTC."""
    return {
        "id": given.id,
        **as_asked(given.input),
        "output": present(given.output),
        "confirmation": given.confirmation,
        "comment": given.comment,
        "status": given.status,
        "status_words": status_words(given, say),
        "reason": given.reason if given.status == "rejected" else "",
        "created": given.created.isoformat(timespec="seconds") + "Z",
    }


def status_words(given: Given, say: Say) -> str:
    """Return in words where a correction stands: what it taught or checked, where it was accepted and used."""
    if given.status == "accepted" and given.versions:
        return say("status.taught", versions=", ".join(str(version) for version in given.versions))
    if given.status == "accepted" and given.checks:
        return say("status.checked", versions=", ".join(str(version) for version in given.checks))
    return say(f"status.{given.status}")


def _tag(language: str) -> str:
    """Return the BCP 47 tag of one of our languages: our Chinese is written in simplified characters."""
    return "zh-Hans" if language == "zh" else language
