"""The Models page of the studio: versions, their scores and gate, retrain, offer, promote, roll back. It draws; others decide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import pandas as pd

from feedback.errors import AmendError
from feedback.experiments import Experiments
from feedback.words import Say
from model.retrain import Retrainer
from model.versions import Card, Versions

_RUN_COLUMNS = ("began", "state", "trigger", "examples", "version", "detail", "id")
_VERSION_COLUMNS = ("version", "role", "method", "parent", "examples", "score", "gate", "created")


def build(
    t: Say, retrainer: Retrainer, experiments: Experiments, versions: Versions, *, author_of: Callable[[gr.Request], str]
) -> None:
    """Draw the page into the surrounding gr.Tab. `author_of(request)` names who is logged in."""
    shown = _Shown(t, retrainer, experiments, versions)
    overview = gr.Textbox(lines=3, interactive=False, show_label=False, container=False, elem_id="models-overview")
    progress = gr.Textbox(interactive=False, show_label=False, container=False, elem_id="models-progress")
    with gr.Row():
        retrain = gr.Button(t("models.retrain"), variant="primary", elem_id="models-retrain")
        cancel = gr.Button(t("models.cancel"), elem_id="models-cancel")
        refresh = gr.Button(t("models.refresh"), elem_id="models-refresh")
    table = gr.Dataframe(label=t("models.table"), interactive=False, wrap=True, elem_id="models-table")
    picked = gr.Dropdown(label=t("models.pick"), choices=[], interactive=True, elem_id="models-pick")
    gate = gr.Textbox(lines=4, interactive=False, show_label=False, elem_id="models-gate")
    with gr.Row():
        share = gr.Slider(0.05, 0.95, value=0.5, step=0.05, label=t("models.share"), elem_id="models-share")
        reason = gr.Textbox(label=t("models.reason"), max_length=1000, elem_id="models-reason")
    with gr.Row():
        offer = gr.Button(t("models.offer"), elem_id="models-offer")
        promote = gr.Button(t("models.promote"), variant="primary", elem_id="models-promote")
        roll_back = gr.Button(t("models.roll_back"), variant="stop", elem_id="models-rollback")
    runs = gr.Dataframe(label=t("models.runs"), interactive=False, wrap=True, elem_id="models-runs")
    everything = [overview, progress, table, picked, gate, runs]

    def redraw(chosen: int | None) -> list[Any]:
        number, choices = shown.choice(chosen)
        return [
            shown.overview(), shown.progress(), shown.table(), gr.Dropdown(choices=choices, value=number), shown.gate(number), shown.runs(),
        ]  # fmt: skip

    def do_retrain(chosen: int | None, request: gr.Request) -> list[Any]:
        run = _said(lambda: retrainer.start("button", author_of(request)))
        gr.Info(t("models.started", run=run.id, examples=run.examples))
        return redraw(chosen)

    def do_cancel(chosen: int | None, request: gr.Request) -> list[Any]:
        now = retrainer.progress()
        if now is None:
            raise gr.Error(t("models.idle"), print_exception=False)
        _said(lambda: retrainer.cancel(now.run, author_of(request)))
        gr.Info(t("models.cancelled", run=now.run))
        return redraw(chosen)

    def do_offer(chosen: int, part: float, why: str, request: gr.Request) -> list[Any]:
        experiment = _said(lambda: retrainer.offer(chosen, part, author_of(request), why))
        gr.Info(t("models.offered", version=chosen, experiment=experiment.name))
        return redraw(chosen)

    def do_promote(chosen: int, why: str, request: gr.Request) -> list[Any]:
        _said(lambda: retrainer.promote(chosen, author_of(request), why))
        gr.Info(t("models.promoted", version=chosen))
        return redraw(chosen)

    def do_roll_back(chosen: int | None, why: str, request: gr.Request) -> list[Any]:
        made = _said(lambda: experiments.roll_back(author_of(request), why))
        gr.Info(t("models.rolled_back", version=made.version))
        return redraw(chosen)

    refresh.click(redraw, picked, everything, api_visibility="private", show_progress="hidden")
    gr.Timer(3).tick(redraw, picked, everything, api_visibility="private", show_progress="hidden")
    picked.input(shown.gate, picked, gate, api_visibility="private", show_progress="hidden")
    retrain.click(do_retrain, picked, everything, api_visibility="private", show_progress="hidden")
    cancel.click(do_cancel, picked, everything, api_visibility="private", show_progress="hidden")
    offer.click(do_offer, [picked, share, reason], everything, api_visibility="private", show_progress="hidden")
    promote.click(do_promote, [picked, reason], everything, api_visibility="private", show_progress="hidden")
    roll_back.click(do_roll_back, [picked, reason], everything, api_visibility="private", show_progress="hidden")
    blocks = gr.context.Context.root_block
    assert blocks is not None, "build() is called inside a gr.Blocks"
    blocks.load(redraw, picked, everything, api_visibility="private", show_progress="hidden")


def _said(act: Callable[[], Any]) -> Any:
    """Run an act of a person; what it refuses is told to them in words."""
    try:
        return act()
    except AmendError as error:
        raise gr.Error(str(error), print_exception=False) from error


class _Shown:
    """What the page shows, computed from the rooms at each redraw."""

    def __init__(self, t: Say, retrainer: Retrainer, experiments: Experiments, versions: Versions) -> None:
        self._t = t
        self._retrainer = retrainer
        self._experiments = experiments
        self._versions = versions

    def overview(self) -> str:
        """Say who serves, who challenges, who waits, and what went wrong on disk or with the webhook."""
        t = self._t
        lines = [t("models.now", champion=self._experiments.champion)]
        current = self._experiments.current
        for variant in current.variants[1:] if current else ():
            lines.append(
                t("models.challenger", version=variant.version, experiment=current.name if current else "", share=variant.share)
            )
        waiting = self._retrainer.waiting()
        if waiting:
            lines.append(t("models.waiting", version=waiting.number))
        accepted, new = self._retrainer.feedback()
        lines.append(t("models.accepted", count=accepted, new=new))
        people, needed = self._retrainer.believed_contributors()
        if 0 < people < needed:
            lines.append(t("models.few_contributors", count=people, needed=needed))
        lines += [t("models.problem", problem=problem) for problem in self._versions.problems()]
        delivery = self._retrainer.last_delivery()
        if delivery and delivery.error:
            lines.append(t("models.webhook_failed", event=delivery.event, error=delivery.error))
        return "\n".join(lines)

    def progress(self) -> str:
        """Say where the running training is."""
        now = self._retrainer.progress()
        if now is None:
            return self._t("models.idle")
        stage = self._t(f"models.stage.{now.stage}")
        return self._t("models.running", run=now.run, stage=stage, done=now.done, total=now.total, message=now.message)

    def choice(self, chosen: int | None) -> tuple[int | None, list[int]]:
        """Return the version that stays picked, and all that can be."""
        numbers = [card.number for card in reversed(self._versions.cards())]
        return (chosen if chosen in numbers else (numbers[0] if numbers else None)), numbers

    def table(self) -> pd.DataFrame:
        """Return one row a version, newest first."""
        rows = [
            (
                card.number, self._role(card), card.method or card.kind, "" if card.parent is None else card.parent,
                card.training.get("examples", ""), _score(card), self._t(f"models.verdict.{card.verdict}"), card.created,
            )
            for card in reversed(self._versions.cards())
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=[self._t(f"models.column.{name}") for name in _VERSION_COLUMNS])

    def gate(self, number: int | None) -> str:
        """Return every check of a version's gate in words."""
        if number is None:
            return ""
        card = self._versions.card(number)
        if card.gate is None:
            return self._t("models.no_gate", version=number, score=_score(card))
        title = self._t(
            "models.gate_title", version=number, champion=card.champion_version, verdict=self._t(f"models.verdict.{card.verdict}")
        )
        return "\n".join([title, *card.gate_words(), *self._weighing(card)])

    def _weighing(self, card: Card) -> list[str]:
        """Say what the caps did to the feedback that a version learned."""
        told = self._retrainer.weighing(card)
        if not told:
            return []
        lines = [self._t("models.weighing", **{name: told[name] for name in ("weight", "before", "alike", "scaled")})]
        if told["few_contributors"]:
            lines.append(self._t("models.round_few", count=told["contributors"], needed=told["needed"]))
        for group in told["over"]:
            kind = self._t(f"models.capped.{group['kind']}")
            lines.append(self._t("models.over", kind=kind, share=group["share"], cap=group["cap"]))
        return lines

    def runs(self) -> pd.DataFrame:
        """Return the newest retrainings."""
        rows = [
            {**row, "state": self._t(f"models.state.{row['state']}"), "began": f"{row['began']:%Y-%m-%d %H:%M}"}
            for row in self._retrainer.runs(20)
        ]
        frame = pd.DataFrame([[row[name] for name in _RUN_COLUMNS] for row in rows], columns=list(_RUN_COLUMNS))
        return frame.rename(columns={name: self._t(f"models.run.{name}") for name in _RUN_COLUMNS})

    def _role(self, card: Card) -> str:
        current = self._experiments.current
        if card.number == self._experiments.champion:
            return self._t("models.role.champion")
        if current and any(variant.version == card.number for variant in current.variants):
            return self._t("models.role.challenger")
        waiting = self._retrainer.waiting()
        return self._t("models.role.waiting" if waiting and waiting.number == card.number else "models.role.none")


def _score(card: Card) -> str:
    main = card.scores.get("test", {}).get("main")
    return "" if main is None else f"{main:.3f}"
