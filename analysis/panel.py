"""The Experiments page of the studio: shows a report and passes on pause, resume and stop. It decides and computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.context import Context

from analysis.figures import escape, page
from analysis.report import Report
from feedback.errors import AmendError
from feedback.records import Experiment
from feedback.words import Say

# From which states each button leads on; the use case behind `act` has the last word.
_OPEN = {"pause": ("running",), "resume": ("paused",), "stop": ("running", "paused")}


class _Page:
    """What the page's handlers share: the words and the callables that were passed in."""

    def __init__(
        self,
        t: Say,
        experiments: Callable[[], list[Experiment]],
        report: Callable[[str], Report],
        act: Callable[[str, str, str, str], object],
    ) -> None:
        self._t, self._experiments, self._report, self._act = t, experiments, report, act

    def show(self, name: str | None) -> list[Any]:
        """Return updates for picker, report, reason and the three buttons; the newest experiment where none is picked."""
        known = self._experiments()
        names = [experiment.name for experiment in reversed(known)]
        if not names:
            picker = gr.update(choices=[], value=None, visible=False)
            return [picker, f"<p>{escape(self._t('experiments.none'))}</p>", gr.update(visible=False), *self._buttons(None)]
        picked = name if name in names else names[0]
        state = next(experiment.state for experiment in known if experiment.name == picked)
        try:
            shown = page(self._report(picked), self._t)
        except AmendError as error:  # the edge: a report that cannot be made becomes its words
            shown = f"<p>{escape(error.detail)}</p>"
        reason = gr.update(visible=state in _OPEN["stop"])
        return [gr.update(choices=names, value=picked, visible=True), shown, reason, *self._buttons(state)]

    def do(self, name: str | None, action: str, author: str, reason: str) -> str:
        """Pass an action on, say what came of it, and return the reason to keep in its field: none once it is used."""
        if not name:
            return reason
        if action == "stop" and not reason.strip():
            gr.Warning(escape(self._t("experiments.needs_reason")))
            return reason
        try:
            self._act(name, action, author, reason.strip())
        except AmendError as error:  # the edge: a refusal becomes its words
            gr.Warning(escape(error.detail))
            return reason
        gr.Info(escape(self._t(f"experiments.done.{action}")))
        return ""

    def _buttons(self, state: str | None) -> list[Any]:
        return [gr.update(visible=state in _OPEN["stop"], interactive=state in states) for states in _OPEN.values()]


def build(
    t: Say,
    experiments: Callable[[], list[Experiment]],
    report: Callable[[str], Report],
    act: Callable[[str, str, str, str], object],
    *,
    author_of: Callable[[gr.Request], str],
) -> None:
    """Render the page inside the current `gr.Blocks` or `gr.Tab`.

    `experiments()` lists oldest first; `report(name)` makes a report; `act(name, action, author, reason)` gets pause, resume
    or stop, by whom `author_of(request)` names. Both may raise an AmendError, which is shown in words. Everything is read
    anew at each load of the page and each time its tab is opened.
    """
    root = Context.root_block
    if root is None:
        raise RuntimeError("analysis.panel.build must be called inside a gr.Blocks")
    handlers = _Page(t, experiments, report, act)
    with gr.Row():
        picker = gr.Dropdown([], label=t("experiments.pick"), elem_id="experiments-pick", scale=4)
        refresh = gr.Button(t("experiments.refresh"), elem_id="experiments-refresh", scale=1, min_width=120)
    shown = gr.HTML("", elem_id="experiments-report", js_on_load=None, padding=True)
    reason = gr.Textbox(
        label=t("experiments.reason"), info=t("experiments.reason.hint"), max_length=1000, elem_id="experiments-reason"
    )
    with gr.Row():
        buttons = {
            action: gr.Button(t(f"experiments.{action}"), variant="stop" if action == "stop" else "secondary", min_width=160)
            for action in _OPEN
        }
    outputs = [picker, shown, reason, *buttons.values()]
    opened = [Context.block.select] if isinstance(Context.block, gr.Tab) else []
    gr.on([root.load, refresh.click, picker.input, *opened], handlers.show, picker, outputs, api_visibility="private")
    for action, button in buttons.items():
        done = button.click(_does(handlers, action, author_of), [picker, reason], reason, api_visibility="private")
        done.then(handlers.show, picker, outputs, api_visibility="private")


def _does(handlers: _Page, action: str, author_of: Callable[[gr.Request], str]) -> Callable[[str | None, str, gr.Request], str]:
    def do(name: str | None, why: str, request: gr.Request) -> str:
        return handlers.do(name, action, author_of(request), why)

    return do
