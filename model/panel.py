"""The Models page of the studio: versions, their scores and gate, retrain, offer, promote, roll back. It draws; others decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import gradio as gr

from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.words import Say, told
from model.gate_report import Names
from model.lane import Lane
from model.plots import Plotted
from model.retrain import Retrainer
from model.shown import Shown
from model.versions import Versions


def build(
    t: Say,
    retrainer: Retrainer,
    experiments: Experiments,
    versions: Versions,
    lane: Lane,
    *,
    author_of: Callable[[gr.Request], str],
    engines: Callable[[], Mapping[int, str]] = dict,
    names: Names = str,
) -> None:
    """Draw the page into the surrounding gr.Tab. `author_of(request)` names who is logged in; `engines()` what computes each version;
    `names` how a label is called in the page's language.
    """
    shown = Shown(t, retrainer, experiments, versions, lane, engines, names)
    plotted = Plotted(t, retrainer, experiments, versions)
    overview = gr.Textbox(
        label=t("models.overview"), lines=3, interactive=False, show_label=False, container=False, elem_id="models-overview"
    )
    progress = gr.Textbox(
        label=t("models.progress"), interactive=False, show_label=False, container=False, elem_id="models-progress"
    )
    with gr.Row():
        retrain = gr.Button(t("models.retrain"), variant="primary", elem_id="models-retrain")
        cancel = gr.Button(t("models.cancel"), elem_id="models-cancel")
        refresh = gr.Button(t("models.refresh"), elem_id="models-refresh")
    table = gr.Dataframe(label=t("models.table"), interactive=False, wrap=True, elem_id="models-table")
    picked = gr.Dropdown(label=t("models.pick"), choices=[], interactive=True, elem_id="models-pick")
    gate = gr.Textbox(label=t("models.gate"), lines=4, interactive=False, show_label=False, elem_id="models-gate")
    worse = gr.Dataframe(
        label=t("models.worse"),
        interactive=False,
        wrap=True,
        elem_id="models-worse",
        visible=False,
        column_widths=["34%", "22%", "22%", "22%"],
    )
    with gr.Row():
        share = gr.Slider(0.05, 0.95, value=0.5, step=0.05, label=t("models.share"), elem_id="models-share")
        reason = gr.Textbox(label=t("models.reason"), max_length=1000, elem_id="models-reason")
    with gr.Row():
        offer = gr.Button(t("models.offer"), elem_id="models-offer")
        promote = gr.Button(t("models.promote"), variant="primary", elem_id="models-promote")
        roll_back = gr.Button(t("models.roll_back"), variant="stop", elem_id="models-rollback")
    with gr.Row():
        losses = gr.LinePlot(
            x="step", y="loss", color="run", title=t("models.curve.losses"), x_title=t("models.curve.step"),
            y_axis_format=".2~g", y_title=t("models.curve.loss"),
            color_title=" ", height=280, min_width=320, buttons=[], show_label=False, elem_id="models-losses", visible=False,
        )  # fmt: skip
        scores = gr.LinePlot(
            x="version", y="score", color="part", title=t("models.curve.scores"), x_title=t("models.column.version"),
            y_title=t("models.curve.score"), y_axis_format=".3f", color_title=" ", height=280, min_width=320, buttons=[], show_label=False,
            elem_id="models-scores", visible=False,
        )  # fmt: skip
    below = gr.Textbox(label=t("models.curves"), interactive=False, show_label=False, container=False, elem_id="models-curves")
    drawn = gr.State("")
    runs = gr.Dataframe(label=t("models.runs"), interactive=False, wrap=True, elem_id="models-runs")
    everything = [overview, progress, table, picked, gate, worse, runs]

    def gate_of(number: int | None) -> list[Any]:
        listed = shown.worse(number)
        return [shown.gate(number), gr.Dataframe(listed, visible=len(listed) > 0)]

    def redraw(chosen: int | None) -> list[Any]:
        number, choices = shown.choice(chosen)
        return [
            shown.overview(), shown.progress(), shown.table(), gr.Dropdown(choices=choices, value=number), *gate_of(number), shown.runs(),
        ]  # fmt: skip

    def plot(number: int | None, before: str) -> list[Any]:
        made = plotted.plots(shown.choice(number)[0])
        mark = f"{made.losses.to_csv()}{made.scores.to_csv()}{made.words}"
        if mark == before:  # a plot drawn anew flickers
            return [gr.skip()] * 4
        return [
            gr.LinePlot(made.losses, visible=len(made.losses) > 0),
            gr.LinePlot(made.scores, sort=made.order, visible=len(made.scores) > 0),
            gr.Textbox(made.words, visible=bool(made.words)),
            mark,
        ]

    def do_retrain(chosen: int | None, request: gr.Request) -> list[Any]:
        run = _said(t, lambda: retrainer.start("button", author_of(request)))
        gr.Info(t("models.started", run=run.id, examples=run.examples), title=t("models.toast.info"))
        return redraw(chosen)

    def do_cancel(chosen: int | None, request: gr.Request) -> list[Any]:
        now = retrainer.progress()
        if now is None:
            raise gr.Error(t("models.idle"), print_exception=False, title=t("models.toast.error"))
        _said(t, lambda: retrainer.cancel(now.run, author_of(request)))
        gr.Info(t("models.cancelled", run=now.run), title=t("models.toast.info"))
        return redraw(chosen)

    def do_offer(chosen: int, part: float, why: str, request: gr.Request) -> list[Any]:
        experiment = _said(t, lambda: retrainer.offering.offer(chosen, part, author_of(request), why))
        gr.Info(t("models.offered", version=chosen, experiment=experiment.name), title=t("models.toast.info"))
        return redraw(chosen)

    def do_promote(chosen: int, why: str, request: gr.Request) -> list[Any]:
        _said(t, lambda: retrainer.offering.promote(chosen, author_of(request), why))
        gr.Info(t("models.promoted", version=chosen), title=t("models.toast.info"))
        return redraw(chosen)

    def do_roll_back(chosen: int | None, why: str, request: gr.Request) -> list[Any]:
        made = _said(t, lambda: experiments.roll_back(author_of(request), why))
        gr.Info(t("models.rolled_back", version=made.version), title=t("models.toast.info"))
        return redraw(chosen)

    refresh.click(redraw, picked, everything, api_visibility="private", show_progress="hidden")
    clock = gr.Timer(3)
    clock.tick(redraw, picked, everything, api_visibility="private", show_progress="hidden")
    picked.input(gate_of, picked, [gate, worse], api_visibility="private", show_progress="hidden")
    gr.on(
        [clock.tick, picked.change],
        plot,
        [picked, drawn],
        [losses, scores, below, drawn],
        api_visibility="private",
        show_progress="hidden",
    )
    retrain.click(do_retrain, picked, everything, api_visibility="private", show_progress="hidden")
    cancel.click(do_cancel, picked, everything, api_visibility="private", show_progress="hidden")
    offer.click(do_offer, [picked, share, reason], everything, api_visibility="private", show_progress="hidden")
    promote.click(do_promote, [picked, reason], everything, api_visibility="private", show_progress="hidden")
    roll_back.click(do_roll_back, [picked, reason], everything, api_visibility="private", show_progress="hidden")
    blocks = gr.context.Context.root_block
    assert blocks is not None, "build() is called inside a gr.Blocks"
    blocks.load(redraw, picked, everything, api_visibility="private", show_progress="hidden")


def _said(t: Say, act: Callable[[], Any]) -> Any:
    """Run an act of a person; what it refuses is told to them in the page's language."""
    try:
        return act()
    except AmendError as error:
        # Gradio shows a message as HTML, and a refusal may quote what somebody wrote.
        raise gr.Error(escape(told(error, t)), print_exception=False, title=t("models.toast.error")) from error
