"""The list of conditions at the top of the studio: what is wrong with the app now. Nothing where all is well. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import gradio as gr

from feedback.conditions import Conditions, condition_words
from feedback.errors import Unauthorised
from feedback.words import Words

_STYLE = (
    "& .conditions { margin: 0 auto .5rem; max-width: 46rem; padding: .75rem 1rem; border-radius: .75rem; background: #fff4e0; color: #7a4100; }"
    " .dark & .conditions { background: #3a2a10; color: #f7c56b; } & .conditions ul { margin: .3rem 0 0; padding-left: 1.2rem; }"
)


def build(conditions: Conditions, words: Words, language: str, staff_of: Callable[[gr.Request], str]) -> None:
    """Add the list to the Blocks that are being built; it is read at each load of the page."""
    say = words.speaker(language)

    def said() -> str:
        items = [
            f"<li>{escape(condition_words(item, say))} <small>{escape(say('conditions.since', since=f'{item.since:%Y-%m-%d %H:%M}'))}</small></li>"
            for item in conditions.standing()
        ]
        if not items:
            return ""
        return f'<div class="conditions" role="alert">{escape(say("conditions.title"))}<ul>{"".join(items)}</ul></div>'

    notice(said, _STYLE, "conditions", staff_of)


def notice(said: Callable[[], str], css: str, elem_id: str, staff_of: Callable[[gr.Request], str]) -> None:
    """Add markup to the Blocks that are being built that is asked for anew at each load of the page, and is for staff alone."""

    def read(request: gr.Request) -> str:
        try:
            staff_of(request)
        except Unauthorised:  # the mount lets no stranger through; a login that ended meanwhile sees nothing
            return ""
        return said()

    shown = gr.HTML("", css_template=css, js_on_load=None, padding=False, elem_id=elem_id)
    root = gr.context.Context.root_block
    assert root is not None, "notice() is called inside a gr.Blocks"
    root.load(read, None, shown, api_visibility="private", show_progress="hidden")
