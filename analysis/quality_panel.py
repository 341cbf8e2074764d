"""The Quality page of the studio: how each version fares, the champion over time, how long feedback waits, and drift. It computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import pandas as pd

from analysis.quality import BLOCK, Block, VersionQuality
from analysis.quality_watch import QualityWatch, Seen
from feedback.words import Say

_VERSION_COLUMNS = ("version", "predictions", "confidence", "corrected", "judged", "right", "gap")


def build(t: Say, watch: QualityWatch, *, author_of: Callable[[gr.Request], str]) -> None:
    """Draw the page into the surrounding gr.Tab; `author_of` raises for whoever is not logged in."""
    gr.Markdown(t("quality.lead", block=BLOCK))
    found = gr.Textbox(lines=2, interactive=False, label=t("quality.findings"), elem_id="quality-findings")
    table = gr.Dataframe(label=t("quality.versions"), interactive=False, wrap=True, elem_id="quality-versions")
    plot = gr.LinePlot(
        x="block", y="share", color="measure", title=t("quality.over_time"), x_title=t("quality.block"), y_title=t("quality.share"),
        color_title=" ", y_axis_format=".0%", height=300, min_width=320, buttons=[], show_label=False, elem_id="quality-plot",
        visible=False,
    )  # fmt: skip
    below = gr.Textbox(
        label=t("quality.more"), lines=3, interactive=False, show_label=False, container=False, elem_id="quality-below"
    )
    refresh = gr.Button(t("quality.refresh"), elem_id="quality-refresh")

    def draw(request: gr.Request) -> list[Any]:
        author_of(request)
        seen = watch.look()
        return [
            "\n".join(_findings(t, seen)),
            _versions(t, seen.versions),
            gr.LinePlot(_lines(t, seen.blocks), visible=len(seen.blocks) > 1),
            "\n".join(_below(t, seen)),
        ]

    outputs = [found, table, plot, below]
    refresh.click(draw, None, outputs, api_visibility="private", show_progress="hidden")
    blocks = gr.context.Context.root_block
    assert blocks is not None, "build() is called inside a gr.Blocks"
    blocks.load(draw, None, outputs, api_visibility="private", show_progress="hidden")


def _findings(t: Say, seen: Seen) -> list[str]:
    lines = [t(f"quality.{one.measure}", before=one.before, now=one.now, count=one.items, p=one.p) for one in seen.findings]
    if seen.drift and seen.drift.drifted:
        lines.append(t("quality.input_drift", share=seen.drift.far, count=seen.drift.texts))
    if seen.drift and seen.drift.unread:
        lines.append(t("quality.unknown_words", share=seen.drift.unknown, usual=seen.drift.usual_unknown, count=seen.drift.texts))
    whole = sum(block.whole for block in seen.blocks)
    return lines or [t("quality.nothing") if whole > 2 else t("quality.too_early", block=BLOCK, whole=whole)]


def _versions(t: Say, versions: list[VersionQuality]) -> pd.DataFrame:
    rows = [
        (
            one.version, one.predictions, f"{one.confidence:.1%}", f"{one.corrected:.1%}", one.judged,
            "–" if one.right is None else f"{one.right:.1%}", "–" if one.gap is None else f"{100 * one.gap:+.1f}",
        )
        for one in versions
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[t(f"quality.col_{name}") for name in _VERSION_COLUMNS])


def _lines(t: Say, blocks: list[Block]) -> pd.DataFrame:
    rows: list[tuple[int, float, str]] = []
    for number, block in enumerate(blocks, 1):
        rows += [(number, block.confidence, t("quality.line_confidence")), (number, block.corrected, t("quality.line_corrected"))]
        if block.right is not None:
            rows.append((number, block.right, t("quality.line_right")))
    return pd.DataFrame(rows, columns=["block", "share", "measure"])


def _below(t: Say, seen: Seen) -> list[str]:
    lines = []
    if seen.waits.median is not None:
        lines.append(t("quality.waits", median=seen.waits.median, most=seen.waits.nine_in_ten, count=seen.waits.verdicts))
    lines.append(t("quality.pending", count=seen.waits.pending, oldest=seen.waits.oldest))
    if seen.drift:
        lines.append(t("quality.drift", far=seen.drift.far, unknown=seen.drift.unknown, count=seen.drift.texts))
    return lines
