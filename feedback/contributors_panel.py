"""The Contributors page of the studio, and the line about standing alarms that the Review page shows too. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import NamedTuple

import gradio as gr

from feedback.alarms import Alarm, Alarms, Watched
from feedback.blocking import Blocking
from feedback.conditions_panel import notice
from feedback.contributors import SORTS, Contributors, History, Said, Summary
from feedback.demo import Demo
from feedback.records import Json, text_of
from feedback.reliability import TrustRule, numbers
from feedback.standing import Acceptances, acceptance_words
from feedback.widgets import widget_named
from feedback.widgets.page import Answering, answering, component, facts_of, string
from feedback.words import Say, Words

LIMIT = 50  # contributors a page of the list
SAID_LIMIT = 200
_PREFIXES = ("contributors", "page", "spans", "choice")
_BANNER = (
    "& .alarm { margin: 0 auto .5rem; max-width: 46rem; padding: .75rem 1rem; border-radius: .75rem; background: #fdecea; color: #b42318; }"
    " .dark & .alarm { background: #3a1b18; color: #fda29b; }"
)

StaffOf = Callable[[gr.Request], str]
"""The name of the member of staff who asks, or Unauthorised."""


class Room(NamedTuple):
    """What the page needs of the room; `rule` says when traps make somebody trusted."""

    contributors: Contributors
    blocking: Blocking
    alarms: Alarms
    acceptances: Acceptances
    rule: TrustRule


def build(
    room: Room, demo: Demo, *, widget: str, labels: Sequence[str], words: Words, language: str, staff_of: StaffOf,
    names: Mapping[str, str] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Add the page to the Blocks that are being built; `names`: see panel."""
    kind = widget_named(widget)
    facts = facts_of(demo, labels, words, language, (*_PREFIXES, widget), names)
    facts["sorts"] = list(SORTS)
    facts["pageSize"] = LIMIT
    facts["saidLimit"] = SAID_LIMIT
    calls = _calls(room, words, language, staff_of)
    component("contributors_page.js", kind, facts, calls, "contributors")


def banner(alarms: Alarms, words: Words, language: str, staff_of: StaffOf) -> None:
    """Add a line that names the standing alarms, read anew at each load of the page; nothing where there is none."""
    say = words.speaker(language)

    def said() -> str:
        lines = [escape(alarm_words(alarm, say)) for alarm in alarms.standing()]
        if not lines:
            return ""
        return f'<p class="alarm" role="alert">{"<br>".join(lines)}<br>{escape(say("alarm.where"))}</p>'

    notice(said, _BANNER, "alarms", staff_of)


def _calls(room: Room, words: Words, language: str, staff_of: StaffOf) -> list[Answering]:
    """Return the functions that the page calls; every one asks first who it is."""
    say = words.speaker(language)
    call = answering(words, language, lambda request: False)  # staff are known by their login

    def page(data: Mapping[str, Json]) -> dict[str, Json]:
        offset = data.get("offset", 0)
        found, total = room.contributors.everybody(
            string(dict(data), "sort") or SORTS[0],
            part=string(dict(data), "part")[:300],
            blocked_only=data.get("blocked") is True,
            limit=LIMIT,
            offset=offset if isinstance(offset, int) and offset >= 0 else 0,
        )
        return {"people": [summary_words(item, room.rule, say) for item in found], "total": total}

    def watched() -> dict[str, Json]:
        sources = room.alarms.watched()
        cleared = [alarm for alarm in room.alarms.all() if alarm.cleared is not None]
        return {
            "alarms": [{"id": alarm.id, "words": alarm_words(alarm, say)} for alarm in room.alarms.standing()],
            "watched": [watched_words(item, say) for item in sources if item.alarm is None],
            "cleared": [cleared_words(alarm, say) for alarm in cleared[:10]],
        }

    @call
    def people(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        return {**page(data), **watched()}

    @call
    def person(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        return _person(room, string(data, "contributor"), say)

    @call
    def block(data: Json, request: gr.Request) -> dict[str, Json]:
        author = staff_of(request)
        blocked, name = data.get("blocked") is True, string(data, "contributor")
        done = (room.blocking.block if blocked else room.blocking.unblock)(name, author, string(data, "reason"))
        told = say(f"contributor.done_{'block' if blocked else 'unblock'}", before=done.before, after=done.after)
        return {**_person(room, name, say), "told": told}

    @call
    def clear(data: Json, request: gr.Request) -> dict[str, Json]:
        author = staff_of(request)
        room.alarms.clear(string(data, "alarm"), author, string(data, "reason"), normal=data.get("normal") is True)
        return watched()

    @call
    def acceptance(data: Json, request: gr.Request) -> dict[str, Json]:
        staff_of(request)
        return acceptance_words(room.acceptances.now(), say)

    return [people, person, block, clear, acceptance]


def _person(room: Room, name: str, say: Say) -> dict[str, Json]:
    history = room.contributors.one(name, SAID_LIMIT)
    return {
        "person": summary_words(history.summary, room.rule, say),
        "facts": _facts(history, say),
        "said": [said_words(item, say) for item in history.said],
        "traps": [
            {"text": text_of(t.input), "truth": t.truth, "answer": t.answer, "right": t.right, "created": t.created.isoformat() + "Z"}
            for t in history.traps
        ],
        "blocks": [
            {"words": say(f"contributor.was_{'blocked' if b.blocked else 'unblocked'}", author=b.author, reason=b.reason),
             "created": b.created.isoformat() + "Z"}
            for b in history.blocks
        ],
    }  # fmt: skip


def summary_words(item: Summary, rule: TrustRule, say: Say) -> dict[str, Json]:
    """Return one contributor as the list shows them: sentences, and the moments that the browser puts in its own form."""
    told = numbers(item.reliability, rule)
    return {
        "id": item.contributor,
        "blocked": item.blocked,
        "trust": told["verdict"],
        "trust_words": say(f"contributor.trust_{told['verdict']}"),
        "counts": say(
            "contributor.counts",
            corrections=item.corrections, confirmations=item.confirmations, accepted=item.accepted, rejected=item.rejected,
            open=item.pending + item.undecided,
        ),
        "reliability": say(
            "contributor.reliability",
            right=item.traps_right, answered=item.traps, mean=round(100 * item.reliability.mean),
            lower=round(100 * item.reliability.lower), bound=round(100 * rule.bound),
        ) if item.reliability.answered else say("contributor.no_traps", needed=rule.needed),
        "last": item.last_seen.isoformat() + "Z",
        "first": item.first_seen.isoformat() + "Z",
    }  # fmt: skip


def _facts(history: History, say: Say) -> list[str]:
    item = history.summary
    versions = ", ".join(map(str, history.versions))
    return [
        say("contributor.asked", predictions=item.predictions, withdrawn=item.withdrawn),
        say("contributor.channel", channel=item.channel) if item.channel else say("contributor.no_channel"),
        say("contributor.network", network=item.network) if item.network else say("contributor.no_network"),
        say("contributor.taught", versions=versions) if versions else say("contributor.taught_none"),
    ]


def said_words(item: Said, say: Say) -> dict[str, Json]:
    """Return one correction as the page shows it."""
    versions = ", ".join(map(str, item.versions or item.checks))
    status = item.status
    words = (
        say("status.taught" if item.versions else "status.checked", versions=versions)
        if status == "accepted" and versions
        else say(f"status.{status}")
    )
    return {
        "id": item.id, "text": text_of(item.input), "shown": item.shown, "proposed": item.proposed,
        "confirmation": item.confirmation, "comment": item.comment, "status": status, "status_words": words,
        "asked": say(f"contributor.asked_{item.asked}") if item.asked else "",
        "verdicts": [
            {"words": say(f"contributor.verdict_{one.verdict}", reviewer=one.reviewer), "reason": one.reason,
             "created": one.created.isoformat() + "Z"}
            for one in item.verdicts
        ],
        "created": item.created.isoformat() + "Z",
    }  # fmt: skip


def source_words(source: str, say: Say) -> str:
    """Return a source of verdicts in words: a policy, or a reviewer by name."""
    policy = source.removeprefix("policy:")
    return say("alarm.policy", name=policy) if policy != source else say("alarm.reviewer", name=source)


def alarm_words(alarm: Alarm, say: Say) -> str:
    """Return what has happened, in one sentence with its numbers."""
    return say(
        "alarm.raised",
        source=source_words(alarm.source, say), refused=alarm.recent.yes, of=alarm.recent.of,
        share=round(100 * alarm.recent.share), refused_before=alarm.before.yes, of_before=alarm.before.of,
        share_before=round(100 * alarm.before.share), raised=f"{alarm.raised:%Y-%m-%d %H:%M}",
    )  # fmt: skip


def cleared_words(alarm: Alarm, say: Say) -> str:
    """Return who cleared an alarm, when and why."""
    return say(
        "alarm.cleared_normal" if alarm.normal else "alarm.cleared",
        source=source_words(alarm.source, say), raised=f"{alarm.raised:%Y-%m-%d %H:%M}", author=alarm.author,
        cleared=f"{alarm.cleared:%Y-%m-%d %H:%M}", reason=alarm.reason,
    )  # fmt: skip


def watched_words(item: Watched, say: Say) -> str:
    """Return what the test says of a source that has no alarm."""
    jump, source = item.jump, source_words(item.source, say)
    values = {"source": source, "refused": jump.recent.yes, "of": jump.recent.of, "before": jump.before.of}
    if jump.state == "learning":
        return say("alarm.learning", **values)
    return say("alarm.steady", refused_before=jump.before.yes, **values)
