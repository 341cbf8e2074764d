"""The Review page inside the studio: wires the desk's queue and verdicts to the page's script. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gradio as gr

from feedback.demo import Demo
from feedback.desk import Desk, Waiting
from feedback.errors import BadInput
from feedback.records import Json, text_of
from feedback.widgets import widget_named
from feedback.widgets.kind import Kind
from feedback.widgets.page import Answering, answering, component, facts_of, string
from feedback.words import Words

QUEUE_LIMIT = 50
MAX_REASON_CHARS = 500

ReviewerOf = Callable[[gr.Request], str]


def build(
    desk: Desk,
    demo: Demo,
    *,
    widget: str,
    labels: Sequence[str],
    words: Words,
    language: str,
    reviewer_of: ReviewerOf,
) -> None:
    """Add the Review page to the Blocks that are being built. `reviewer_of` names the person who judges, or raises."""
    kind = widget_named(widget)
    facts = facts_of(demo, labels, words, language, ("review", "page", "spans", "choice"))
    facts["agree"] = demo.acceptance.agree
    component("review_page.js", kind, facts, _calls(desk, kind, labels, words, language, reviewer_of), "review")


def _calls(
    desk: Desk, kind: Kind, labels: Sequence[str], words: Words, language: str, reviewer_of: ReviewerOf
) -> list[Answering]:
    """Return the functions that the page calls; every one asks first who the reviewer is."""
    call = answering(words, language, lambda request: False)  # staff are known by their login, not by the contributor's cookie

    def state() -> dict[str, Json]:
        tally = desk.tally()
        waiting = tally.get("pending", 0) + tally.get("undecided", 0)
        counts = {"waiting": waiting, "accepted": tally.get("accepted", 0), "rejected": tally.get("rejected", 0)}
        return {"items": [shown(item) for item in desk.queue(QUEUE_LIMIT)], "tally": counts}

    @call
    def queue(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer_of(request)
        return state()

    @call
    def judge(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        verdict, reason = string(data, "verdict"), string(data, "reason")
        if len(reason) > MAX_REASON_CHARS:
            raise BadInput(f"the reason has {len(reason)} characters; at most {MAX_REASON_CHARS} are kept")
        output = kind.read(data.get("output"), labels) if verdict == "amend" else None
        desk.review(reviewer, string(data, "correction"), verdict, output, reason)
        return state()

    return [queue, judge]


def shown(item: Waiting) -> dict[str, Json]:
    """Return one waiting correction as the page shows it."""
    return {
        "id": item.id,
        "text": text_of(item.input),
        "shown": item.shown,
        "proposed": item.proposed,
        "confirmation": item.confirmation,
        "comment": item.comment,
        "status": item.status,
        "confidence": item.confidence,
        "variant": item.variant,
        "version": item.version,
    }
