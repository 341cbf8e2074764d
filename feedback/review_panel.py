"""The Review page inside the studio: wires the use cases of reviewers to the page's script. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

import gradio as gr

from feedback.demo import Demo
from feedback.desk import Desk
from feedback.entrance import LANGUAGE_PATHS
from feedback.errors import BadInput
from feedback.records import Json, text_of
from feedback.review_context import Others, agreement_between_people, answers_to
from feedback.review_progress import Recent
from feedback.review_value import Waiting
from feedback.store import Store
from feedback.widgets import widget_named
from feedback.widgets.kind import Kind
from feedback.widgets.page import Answering, answering, component, facts_of, string
from feedback.words import Say, Words

MAX_LIST = 10_000  # identifiers that a page may send at once
MAX_AHEAD = 20
GROUPS = 200  # texts that are offered for acceptance at once
LAST = 5
VERDICT_WORDS = {
    "accept": "review.done_accept",
    "reject": "review.done_reject",
    "amend": "review.done_amend",
    "undecided": "status.undecided",
}

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
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Add the Review page to the Blocks that are being built. `reviewer_of` names the person who judges, or raises; `names`: see panel."""
    kind = widget_named(widget)
    facts = facts_of(demo, labels, words, language, ("review", "page", widget, "spans", "choice"), names)
    # Relative to where the studio is mounted: a proxy may have put a path before all of it.
    facts["release"] = "../" * (LANGUAGE_PATHS[language].count("/") + 1) + "api/v1/reviews/release"
    component("review_page.js", kind, facts, _calls(desk, kind, labels, words, language, reviewer_of), "review")


def _calls(
    desk: Desk, kind: Kind, labels: Sequence[str], words: Words, language: str, reviewer_of: ReviewerOf
) -> list[Answering]:
    """Return the functions that the page calls; every one asks first who the reviewer is."""
    call = answering(words, language, lambda request: False)  # staff are known by their login, not by the contributor's cookie
    reviewing, store, say = desk.reviewing, desk.reviewing.store, words.speaker(language)

    def state(data: Json, reviewer: str, done: Sequence[str] = (), **more: Json) -> dict[str, Json]:
        """Return what every answer brings: items up to what the page wants, the counts, the reviewer's last acts."""
        page, have = string(data, "page"), [id_ for id_ in strings(data, "have") if id_ not in set(done)]
        opened = more.pop("opened", [])
        want = max(0, min(whole(data, "ahead"), MAX_AHEAD) + 1 - len(have))
        offered = reviewing.offer(page, want, {*have, *strings(data, "skipped"), *(item.id for item in opened)}) if want else []
        return {
            "items": [shown(item, store) for item in [*opened, *offered]],
            "progress": reviewing.progress(reviewer, moment(data, "since"), page)._asdict(),
            "recent": [_recent(act) for act in reviewing.recent(reviewer, LAST)],
            **more,
        }

    @call
    def queue(data: Json, request: gr.Request) -> dict[str, Json]:
        return state(data, reviewer_of(request))

    @call
    def judge(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        id_, verdict = string(data, "correction"), string(data, "verdict")
        output = kind.read(data.get("output"), labels) if verdict == "amend" else None
        reviewing.judge(
            reviewer, id_, verdict, output, string(data, "reason"), page=string(data, "page"), key=string(data, "key")
        )
        return state(data, reviewer, [id_], others=_others(reviewing.others(reviewer, id_), say))

    @call
    def repeat(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        done = [review.correction_id for review in reviewing.repeat(reviewer, string(data, "correction"), string(data, "page"))]
        return state(data, reviewer, done, repeated=done)

    @call
    def undo(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        back = reviewing.undo(reviewer, strings(data, "reviews"))
        opened = reviewing.open(string(data, "page"), back) if len(back) == 1 else []
        return state(data, reviewer, opened=opened)

    @call
    def release(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        reviewing.leases.release(string(data, "page"), strings(data, "items"))
        return state(data, reviewer)

    @call
    def renew(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer_of(request)
        return {"gone": reviewing.leases.renew(string(data, "page"), strings(data, "items")[:MAX_AHEAD])}

    @call
    def others(data: Json, request: gr.Request) -> dict[str, Json]:
        return {"others": _others(reviewing.others(reviewer_of(request), string(data, "correction")), say)}

    @call
    def unanimous(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer_of(request)
        groups = reviewing.unanimous(GROUPS, string(data, "page"))
        return {
            "groups": [{**group._asdict(), "text": text_of(group.input), "corrections": list(group.corrections)} for group in groups]
        }  # fmt: skip

    @call
    def accept_unanimous(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer = reviewer_of(request)
        asked = strings(data, "corrections")
        made = reviewing.accept_unanimous(reviewer, asked, string(data, "page"))
        return state(data, reviewer, asked, accepted=len(made.reviews), left_out=made.left_out)

    @call
    def agreement(data: Json, request: gr.Request) -> dict[str, Json]:
        reviewer_of(request)
        return {"rows": [row._asdict() for row in agreement_between_people(store)]}

    return [queue, judge, repeat, undo, release, renew, others, unanimous, accept_unanimous, agreement]


def shown(item: Waiting, store: Store) -> dict[str, Json]:
    """Return one waiting correction as the page shows it, with what versions answered; nothing of what others said."""
    answers = [answer._asdict() for answer in answers_to(store, item.id)]
    parts = {name: value for name, value in item._asdict().items() if name not in ("input", "created", "value")}
    return {**parts, "text": text_of(item.input), "reasons": list(item.reasons), "answers": answers}


def _recent(act: Recent) -> dict[str, Json]:
    return {
        **act._asdict(), "reviews": list(act.reviews), "text": text_of(act.input), "created": act.created.isoformat() + "Z",
    }  # fmt: skip


def _others(found: Others, say: Say) -> dict[str, Json]:
    return {
        "said": [{**one._asdict(), "status_words": say(f"status.{one.status}")} for one in found.said],
        "judged": [{**one._asdict(), "verdict": say(VERDICT_WORDS[one.verdict])} for one in found.judged],
        "alike": len(found.alike),
    }


def strings(data: Json, key: str) -> list[str]:
    """Return a list of texts that the page sent, [] where it sent none; raise BadInput for anything else."""
    value = data.get(key, [])
    if not isinstance(value, list) or len(value) > MAX_LIST or not all(isinstance(one, str) for one in value):
        raise BadInput(f"{key} must be a list of at most {MAX_LIST} texts")
    return value


def whole(data: Json, key: str) -> int:
    """Return a whole number that the page sent, 0 where it sent none; raise BadInput for anything else."""
    value = data.get(key, 0)
    if type(value) is not int:
        raise BadInput(f"{key} must be a whole number, not {type(value).__name__}")
    return value


def moment(data: Json, key: str) -> datetime | None:
    """Return a time that the page sent (ISO 8601), None where it sent none; raise BadInput for anything else."""
    text = string(data, key)
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput(f"{key} is {text[:40]!r}: it must be a time such as 2026-01-31T08:00:00Z") from error
