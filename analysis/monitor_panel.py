"""The Monitor page of the studio: the feed over time, early warnings, and the texts behind a point. It computes and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import gradio as gr
from gradio.context import Context

from analysis import monitor as figures
from analysis.monitoring import Monitor
from analysis.presentation.figures import escape
from analysis.presentation.monitor_words import CSS, Shown, behind, drawings, standing, warned, warning_words
from analysis.watch_items import Heads
from feedback.desk import Desk
from feedback.errors import AmendError
from feedback.records import Visitor, now
from feedback.words import Say, label_words

PERIODS = tuple(figures.PERIODS)
_MOST = 50  # texts behind a point that are listed


class Handlers:
    """What the page's handlers do, given the words and what was passed in."""

    def __init__(
        self,
        t: Say,
        monitor: Monitor,
        desk: Desk,
        names: Mapping[str, Mapping[str, str]],
        language: str,
        told: Callable[[AmendError], str],
    ) -> None:
        self._t, self._monitor, self._desk, self._names, self._language, self._told = t, monitor, desk, names, language, told

    def name(self, head: str, label: str) -> str:
        """Return a label as it is shown; of a task with heads the words of `head/label`."""
        return label_words(self._names, self._language, f"{head}/{label}") if head and self._has(f"{head}/{label}") else (
            label_words(self._names, self._language, label) if label else self._t("monitor.none")
        )  # fmt: skip

    def _has(self, key: str) -> bool:
        return key in self._names.get(self._language, {})

    def show(self, period: str, topic: str) -> list[Any]:
        """Return updates for all that is shown: topics, feed, warnings and their picker, drawings, points."""
        t, watch = self._t, self._monitor
        heads, at = watch.lookout.heads, now()
        cells = watch.lookout.cells
        topics = list(dict.fromkeys(cell.topic for cell in cells))
        sentiments = list(dict.fromkeys(cell.sentiment for cell in cells if cell.sentiment))
        topic = topic if topic in topics else ""
        sight = watch.lookout.last or watch.lookout.sight(at)
        steps = figures.steps(watch.store.frame, heads, at, period, topic, sentiments, sight)
        noted = watch.warnings.all(50)
        marked = [one.warning.raised - timedelta(seconds=1) for one in noted if topic in ("", one.warning.topic)]
        open_ = [(warning_words(one, heads, self.name, t), one.warning.id) for one in noted if one.acknowledged is None]
        topic_choices = [(t("monitor.all"), ""), *((self.name(heads.topic, one), one) for one in topics)]
        sentiment_choices = [(t("monitor.all"), ""), *((self.name(heads.sentiment, one), one) for one in sentiments)]
        points = [
            (t("monitor.point", at=f"{step.begin:%Y-%m-%d %H:%M}", items=step.items), step.begin.isoformat())
            for step in reversed(steps)
        ]
        return [
            gr.update(choices=topic_choices, value=topic),
            standing(sight, watch.feeds.standing(), steps, watch.lookout.rule.learn, t),
            warned(noted, heads, self.name, t),
            gr.update(choices=open_, value=open_[0][1] if open_ else None, visible=bool(open_)),
            gr.update(visible=bool(open_)), gr.update(visible=bool(open_)),
            drawings(steps, Shown(topic, sentiments, marked), heads, self.name, t),
            gr.update(choices=points, value=None),
            gr.update(choices=sentiment_choices, value="", visible=bool(sentiments)),
        ]  # fmt: skip

    def acknowledge(self, warning: str | None, note: str, author: str) -> str:
        """Acknowledge, say so, and return what stays in the note's field: nothing once it is used."""
        if not warning:
            return note
        try:
            self._monitor.warnings.acknowledge(warning, author, note)
        except AmendError as error:  # the edge: a refusal becomes its words
            gr.Warning(escape(self._told(error)))
            return note
        gr.Info(escape(self._t("monitor.acknowledged")))
        return ""

    def texts(self, period: str, topic: str, sentiment: str, point: str | None) -> list[Any]:
        """Return the texts behind a point, and the picker of the one to correct."""
        if not point:
            return ["", gr.update(choices=[], value=None, visible=False)]
        heads, begin = self._monitor.lookout.heads, datetime.fromisoformat(point)
        found = figures.texts(
            self._monitor.store.frame, heads, begin, begin + figures.PERIODS[period][1], topic, sentiment, _MOST
        )
        choices = [(one.text[:90], one.prediction_id) for one in found if isinstance(one.text, str)]
        shown = behind(found, lambda one: self._answer(one.output), self._t)
        return [shown, gr.update(choices=choices, value=None, visible=bool(choices))]

    def _answer(self, output: Any) -> str:
        labels = output.get("labels") if isinstance(output, dict) else None
        if isinstance(labels, dict):
            return ", ".join(self.name(head, str(label)) for head, label in labels.items())
        return self.name("", str(output.get("label", ""))) if isinstance(output, dict) else ""

    def correct(self, prediction: str | None, chosen: Mapping[str, str | None], visitor: Visitor) -> None:
        """Pass a correction on, and say what came of it: the heads that were chosen, or the one label."""
        said = {head: label for head, label in chosen.items() if label}
        if not prediction or not said:
            gr.Warning(escape(self._t("monitor.choose")))
            return
        output = {"label": said[""]} if "" in said else {"labels": said}
        try:
            _, status = self._desk.correct(visitor, prediction, output)
        except AmendError as error:  # the edge
            gr.Warning(escape(self._told(error)))
            return
        gr.Info(escape(self._t("monitor.corrected", status=self._t(f"monitor.status.{status}"))))


def heads_and_labels(labels: tuple[str, ...], heads: Heads) -> dict[str, list[str]]:
    """Return the labels of each head; of a task with one label under ""."""
    if not heads.topic:
        return {"": list(labels)}
    made: dict[str, list[str]] = {}
    for label in labels:
        head, _, name = label.partition("/")
        made.setdefault(head, []).append(name)
    return made


def build(
    t: Say,
    monitor: Monitor,
    desk: Desk,
    labels: tuple[str, ...],
    names: Mapping[str, Mapping[str, str]],
    *,
    language: str,
    told: Callable[[AmendError], str],
    visitor_of: Callable[[gr.Request], Visitor],
    author_of: Callable[[gr.Request], str],
) -> None:
    """Render the page inside the current `gr.Tab`; it is read anew when its tab is opened and at each choice.

    `labels` and `names` are the task's labels and how they are shown; `told` gives an error in the page's language;
    `author_of` raises Unauthorised for anybody but staff.
    """
    root = Context.root_block
    if root is None:
        raise RuntimeError("analysis.monitor_panel.build must be called inside a gr.Blocks")
    handlers = Handlers(t, monitor, desk, names, language, told)
    quiet: dict[str, Any] = {"api_visibility": "private"}
    parts = _Parts(t, heads_and_labels(labels, monitor.lookout.heads), handlers.name)
    opened = [Context.block.select] if isinstance(Context.block, gr.Tab) else []

    def show(period: str, topic: str, request: gr.Request) -> list[Any]:
        author_of(request)
        return handlers.show(period, topic)

    def seen(period: str, topic: str, warning: str | None, note: str, request: gr.Request) -> list[Any]:
        return [handlers.acknowledge(warning, note, author_of(request)), *handlers.show(period, topic)]

    def texts(period: str, topic: str, sentiment: str, point: str | None, request: gr.Request) -> list[Any]:
        author_of(request)
        return handlers.texts(period, topic, sentiment, point)

    def correct(given: dict[Any, Any], request: gr.Request) -> None:
        author_of(request)
        chosen = {head: given[part] for head, part in zip(parts.heads, parts.labels, strict=True)}
        handlers.correct(given[parts.item], chosen, visitor_of(request))

    looked, which = [parts.period, parts.topic], [parts.period, parts.topic, parts.sentiment, parts.point]
    gr.on([*opened, parts.refresh.click, parts.period.input, parts.topic.input], show, looked, parts.shown(), **quiet)
    parts.acknowledge.click(seen, [*looked, parts.warning, parts.note], [parts.note, *parts.shown()], **quiet)
    gr.on([parts.point.input, parts.sentiment.input], texts, which, [parts.texts, parts.item], **quiet)
    parts.item.change(lambda item: gr.update(visible=bool(item)), parts.item, parts.correcting, show_progress="hidden", **quiet)
    parts.correct.click(correct, {parts.item, *parts.labels}, None, **quiet)


class _Parts:
    """The page's components, drawn into the current context."""

    def __init__(self, t: Say, labels: Mapping[str, list[str]], name: Callable[[str, str], str]) -> None:
        with gr.Row():
            choices = [(t(f"monitor.period.{period}"), period) for period in PERIODS]
            self.period = gr.Radio(choices, value="day", label=t("monitor.period"), elem_id="monitor-period", scale=3)
            self.topic = gr.Dropdown(
                [(t("monitor.all"), "")], value="", label=t("monitor.topic"), elem_id="monitor-topic", scale=3
            )
            self.refresh = gr.Button(t("experiments.refresh"), elem_id="monitor-refresh", scale=1, min_width=120)
        self.feed = _html("monitor-feed")
        self.warned = _html("monitor-warnings")
        with gr.Row():
            self.warning = gr.Dropdown([], label=t("monitor.warning"), elem_id="monitor-warning", visible=False, scale=3)
            self.note = gr.Textbox(label=t("monitor.note"), max_length=1000, elem_id="monitor-note", visible=False, scale=2)
            self.acknowledge = gr.Button(t("monitor.acknowledge"), elem_id="monitor-acknowledge", visible=False, min_width=140)
        self.drawings = _html("monitor-drawings")
        with gr.Row():
            self.point = gr.Dropdown([], label=t("monitor.point.pick"), elem_id="monitor-point", scale=3)
            everything = [(t("monitor.all"), "")]
            self.sentiment = gr.Dropdown(
                everything, value="", label=t("monitor.sentiment"), elem_id="monitor-sentiment", visible=False
            )
        self.texts = _html("monitor-texts")
        self.item = gr.Dropdown([], label=t("monitor.item"), elem_id="monitor-item", visible=False)
        self.heads = list(labels)
        with gr.Row(visible=False, elem_id="monitor-correcting") as self.correcting:
            self.labels = [
                gr.Dropdown(
                    [(t("monitor.no_opinion"), ""), *((name(head, label), label) for label in labels[head])], value="",
                    label=name("", head) if head else t("monitor.label"), min_width=160,
                )
                for head in self.heads
            ]  # fmt: skip
            self.correct = gr.Button(t("monitor.correct"), variant="primary", elem_id="monitor-correct", min_width=140)

    def shown(self) -> list[Any]:
        """Return what `Handlers.show` fills, in its order."""
        made: list[Any] = [self.topic, self.feed, self.warned, self.warning, self.note, self.acknowledge]
        return [*made, self.drawings, self.point, self.sentiment]


def _html(name: str) -> gr.HTML:
    return gr.HTML("", elem_id=name, css_template=CSS, js_on_load=None, padding=False)
