"""The Experiments page of the studio: shows a report, passes on what is done to an experiment. It decides and computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import gradio as gr
from gradio.context import Context

from analysis import declare_panel
from analysis.presentation.contents import proof_blocks
from analysis.presentation.figures import CSS, escape, fragment, page, sentence
from analysis.reports import Reports
from feedback.entrance import LANGUAGE_PATHS
from feedback.errors import AmendError
from feedback.records import Experiment
from feedback.words import Say, told

Perform = Callable[[str, Mapping[str, Any], str], Experiment]
"""(name, what to do as the routes take it, author) -> the experiment in its new number."""

# In which states each button makes sense; the use case behind `perform` has the last word.
ACTIONS = {
    "start": ("declared",),
    "pause": ("running",),
    "resume": ("paused",),
    "stop": ("declared", "running", "paused"),
}
RAMP = ("running", "paused")
DECIDE = ("running", "paused", "stopped")
_CHANGEABLE = ("declared", "running", "paused", "stopped")
_LINKS = (
    ("html", "report.html?language={language}"),
    ("markdown", "report.md?language={language}"),
    ("users", "users?format=parquet"),
)


class Handlers:
    """What the page's handlers do, given the words and the callables that were passed in."""

    def __init__(
        self, t: Say, reader: Reports, experiments: Callable[[], list[Experiment]], perform: Perform, language: str
    ) -> None:
        self._t, self._reader, self._experiments, self._perform, self._language = t, reader, experiments, perform, language

    def show(self, name: str | None) -> list[Any]:
        """Return updates for all of `_Parts.shown()`; the newest experiment where none, or none that is there, is picked."""
        known = {experiment.name: experiment for experiment in reversed(self._experiments())}
        if not known:
            picker = gr.update(choices=[], value=None, visible=False)
            return [picker, sentence(self._t("experiments.none")), "", *self._controls(None)]
        picked = name if name in known else next(iter(known))
        try:
            shown = page(self._reader.report(picked), self._t)
        except AmendError as error:  # the edge: a report that cannot be made becomes its words
            shown = sentence(told(error, self._t))
        picker = gr.update(choices=list(known), value=picked, visible=True)
        return [picker, shown, links(picked, self._t, self._language), *self._controls(known[picked])]

    def do(self, name: str | None, what: Mapping[str, Any], author: str) -> str:
        """Pass an action on, say what came of it, and return the reason to keep in its field: none once it is used."""
        reason, action = str(what["reason"]).strip(), str(what["action"])
        if not name:
            return reason
        if action in ("stop", "decide") and not reason:
            gr.Warning(escape(self._t(f"experiments.needs_reason.{action}")), title=self._t("experiments.toast.warning"))
            return reason
        try:
            self._perform(name, {**_NOTHING, **what, "reason": reason}, author)
        except AmendError as error:  # the edge: a refusal becomes its words
            gr.Warning(escape(told(error, self._t)), title=self._t("experiments.toast.warning"))
            return reason
        gr.Info(escape(self._t(f"experiments.done.{action}")), title=self._t("experiments.toast.info"))
        return ""

    def prove(self, name: str | None) -> str:
        """Return what the shuffles show, or why there are none."""
        if not name:
            return ""
        try:
            return fragment(proof_blocks(self._reader.proof(name), self._t))
        except AmendError as error:  # the edge
            return sentence(told(error, self._t))

    def _controls(self, experiment: Experiment | None) -> list[Any]:
        """Return updates for the controls: those alone that make sense in the experiment's state."""
        state = experiment.state if experiment else None
        names = [variant.name for variant in experiment.variants] if experiment else []
        return [
            gr.update(visible=state in _CHANGEABLE),
            *(gr.update(visible=state in states) for states in ACTIONS.values()),
            gr.update(visible=state in RAMP),
            gr.update(value=round(100 * experiment.coverage) if experiment else 100),
            gr.update(visible=state in DECIDE),
            gr.update(choices=names, value=None),
            gr.update(visible=experiment is not None and experiment.mode == "assigned" and state != "declared"),
            "",
        ]


_NOTHING: dict[str, Any] = {"changes": {}, "shares": {}, "winner": "", "promote": False}


def links(name: str, t: Say, language: str) -> str:
    """Return the links to the report's files, relative to the studio's page: they work under any path prefix."""
    up = "../" * (LANGUAGE_PATHS[language].count("/") + 1)
    made = []
    for key, path in _LINKS:
        address = f"{up}api/v1/experiments/{quote(name, safe='')}/{path.format(language=language)}"
        how = 'target="_blank" rel="noopener"' if key == "html" else "download"
        made.append(f'<a href="{escape(address)}" {how}>{escape(t(f"experiments.link.{key}"))}</a>')
    return f'<p class="links">{escape(t("experiments.links"))} {" · ".join(made)}</p>'


def build(
    t: Say,
    reader: Reports,
    experiments: Callable[[], list[Experiment]],
    perform: Perform,
    declare: declare_panel.Declare,
    versions: Callable[[], list[int]],
    defaults: Mapping[str, Any],
    *,
    author_of: Callable[[gr.Request], str],
    language: str,
) -> None:
    """Render the page inside the current `gr.Blocks` or `gr.Tab`.

    `experiments()` lists oldest first; `perform` and `declare` get what the routes get, by whom `author_of(request)` names.
    All may raise an AmendError, which is shown in words. `versions()` are those that a declaration can choose from,
    `defaults` the fields of an Experiment that its form begins with. Everything is read anew at each load of the page
    and each time its tab is opened. `language` is the page's, one of LANGUAGE_PATHS.
    """
    root = Context.root_block
    if root is None:
        raise RuntimeError("analysis.panel.build must be called inside a gr.Blocks")
    handlers = Handlers(t, reader, experiments, perform, language)
    parts = _Parts(t)
    form = declare_panel.Form(t, defaults)
    opened = [Context.block.select] if isinstance(Context.block, gr.Tab) else []
    quiet: dict[str, Any] = {"api_visibility": "private"}
    shown = parts.shown()

    def acted(name: str | None, what: Mapping[str, Any], request: gr.Request) -> list[Any]:
        return [handlers.do(name, what, author_of(request)), *handlers.show(name)]

    def ramp(name: str | None, coverage: float, reason: str, request: gr.Request) -> list[Any]:
        changes = {"coverage": round(float(coverage) / 100, 6)}
        return acted(name, {"action": "change", "changes": changes, "reason": reason}, request)

    def decide(name: str | None, winner: str | None, promote: bool, reason: str, request: gr.Request) -> list[Any]:
        return acted(name, {"action": "decide", "winner": winner or "", "promote": promote, "reason": reason}, request)

    def declared(given: dict[Any, Any], request: gr.Request) -> list[Any]:
        return handlers.show(form.submit(given, declare, author_of(request)) or given[parts.picker])

    gr.on([root.load, parts.refresh.click, parts.picker.input, *opened], handlers.show, parts.picker, shown, **quiet)
    gr.on([root.load, *opened], lambda: form.choices(versions()), None, form.versions, show_progress="hidden", **quiet)
    for action, button in parts.buttons.items():
        button.click(_simple(acted, action), [parts.picker, parts.reason], [parts.reason, *shown], **quiet)
    parts.ramp.click(ramp, [parts.picker, parts.coverage, parts.reason], [parts.reason, *shown], **quiet)
    fields = [parts.picker, parts.winner, parts.promote, parts.reason]
    parts.decide.click(decide, fields, [parts.reason, *shown], **quiet)
    parts.prove.click(handlers.prove, parts.picker, parts.proof, **quiet)
    form.button.click(declared, {parts.picker, *form.fields.values()}, shown, **quiet)


def _simple(acted: Callable[..., list[Any]], action: str) -> Callable[[str | None, str, gr.Request], list[Any]]:
    """Return the handler of a button that needs nothing but a reason."""

    def act(name: str | None, reason: str, request: gr.Request) -> list[Any]:
        return acted(name, {"action": action, "reason": reason}, request)

    return act


class _Parts:
    """The page's components, drawn into the current context."""

    def __init__(self, t: Say) -> None:
        with gr.Row():
            self.picker = gr.Dropdown([], label=t("experiments.pick"), elem_id="experiments-pick", scale=4)
            self.refresh = gr.Button(t("experiments.refresh"), elem_id="experiments-refresh", scale=1, min_width=120)
        self.report = _html("experiments-report")
        self.links = _html("experiments-links")
        with gr.Row():
            self.prove = gr.Button(t("experiments.prove"), elem_id="experiments-prove", min_width=160, visible=False)
        self.proof = _html("experiments-proof")
        with gr.Column(visible=False, elem_id="experiments-controls") as self.controls:
            self.reason = gr.Textbox(
                label=t("experiments.reason"),
                info=t("experiments.reason.hint"),
                max_length=1000,
                elem_id="experiments-reason",
            )
            with gr.Row():
                self.buttons = {action: _button(t, action) for action in ACTIONS}
            with gr.Row(visible=False, elem_id="experiments-ramping") as self.ramping:
                self.coverage = gr.Slider(0, 100, 100, step=1, label=t("experiments.coverage"), elem_id="experiments-coverage")
                self.ramp = _button(t, "ramp")
            with gr.Column(visible=False, elem_id="experiments-deciding") as self.deciding:
                self.winner = gr.Dropdown([], label=t("experiments.winner"), elem_id="experiments-winner")
                self.promote = gr.Checkbox(False, label=t("experiments.promote"), elem_id="experiments-promote")
                self.decide = _button(t, "decide")

    def shown(self) -> list[Any]:
        """Return what `Handlers.show` fills, in its order."""
        made: list[Any] = [self.picker, self.report, self.links, self.controls, *self.buttons.values()]
        return [*made, self.ramping, self.coverage, self.deciding, self.winner, self.prove, self.proof]


def _html(name: str) -> gr.HTML:
    return gr.HTML("", elem_id=name, css_template=CSS, js_on_load=None, padding=False)


def _button(t: Say, action: str) -> gr.Button:
    variant = {"stop": "stop", "start": "primary", "decide": "primary"}.get(action, "secondary")
    return gr.Button(t(f"experiments.{action}"), variant=variant, min_width=160, elem_id=f"experiments-{action}")  # type: ignore[arg-type]
