"""The Questions page of the studio: what was handed over to a person, and a form to answer it. It draws; others decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import gradio as gr

from feedback.errors import AmendError, Unauthorised
from feedback.handed_over import HandedOver, Question
from feedback.records import Visitor, text_of
from feedback.words import Words, told

_SHOWN = 100


def build(
    handed: HandedOver,
    words: Words,
    language: str,
    visitor_of: Callable[[gr.Request], Visitor],
    names: Callable[[], Mapping[str, str]],
) -> None:
    """Draw the page into the surrounding gr.Tab. `names()` are the catalogue's titles by id, as they stand."""
    say = words.speaker(language)
    state = gr.Textbox(
        label=say("questions.state"), show_label=False, container=False, interactive=False, elem_id="questions-state"
    )
    picked = gr.Radio(choices=[], label=say("questions.waiting"), elem_id="questions-list")
    with gr.Row():
        entry = gr.Dropdown(choices=[], label=say("questions.pick"), elem_id="questions-entry")
        refresh = gr.Button(say("questions.refresh"), elem_id="questions-refresh")
    text = gr.Textbox(lines=4, label=say("questions.write"), elem_id="questions-text")
    send = gr.Button(say("questions.send"), variant="primary", elem_id="questions-send")

    def refused(sentence: str) -> gr.Error:
        # Gradio shows a message as HTML, and a refusal may quote what somebody wrote.
        return gr.Error(escape(sentence), print_exception=False, title=say("questions.error"))

    def shown(done: str = "") -> tuple[object, ...]:
        found = handed.waiting(_SHOWN)
        entries = [("–", ""), *((title, id_) for id_, title in names().items())]
        line = done or (say("questions.count", count=len(found)) if found else say("questions.none"))
        choices = [(_line(question, say("questions.people", count=question.people)), question.input_hash) for question in found]
        return line, gr.Radio(choices=choices, value=None), gr.Dropdown(choices=entries, value=""), ""

    def load(request: gr.Request) -> tuple[object, ...]:
        _staff(visitor_of(request))
        return shown()

    def answer(chosen: str | None, id_: str | None, said: str, request: gr.Request) -> tuple[object, ...]:
        who = _staff(visitor_of(request))
        if not chosen:
            raise refused(say("questions.choose"))
        if not id_ and not said.strip():
            raise refused(say("questions.empty"))
        try:
            handed.answer(who, chosen, {"answer": id_ or "", "text": said.strip()})
        except AmendError as error:
            raise refused(told(error, say)) from error
        return shown(say("questions.done"))

    outputs = [state, picked, entry, text]
    blocks = gr.context.Context.root_block
    assert blocks is not None, "build() is called inside a gr.Blocks"
    blocks.load(load, None, outputs, api_visibility="private", show_progress="hidden")
    refresh.click(load, None, outputs, api_visibility="private", show_progress="hidden")
    send.click(answer, [picked, entry, text], outputs, api_visibility="private", show_progress="hidden")


def _line(question: Question, people: str) -> str:
    return f"{text_of(question.input)[:200]}  ({people})"


def _staff(who: Visitor) -> Visitor:
    if who.staff is None:  # the studio's mount lets nobody else through, and this asks again
        raise Unauthorised("your login has ended: log in again", code="login_ended")
    return who
