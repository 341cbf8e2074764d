"""The Monitor page's parts as escaped HTML: how the feed stands, its drawings, warnings, and the texts behind a point. It computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from analysis.lookout import Sight
from analysis.monitor import Step, Text
from analysis.presentation.figures import CSS as REPORT_CSS
from analysis.presentation.figures import escape
from analysis.presentation.monitor_plots import Line, Marks, drawn, legend
from analysis.watch_items import Heads
from feedback.feeds.reading import Standing
from feedback.warnings import Noted, sentence
from feedback.words import Say

CSS = (
    REPORT_CSS
    + """
.experiment-report svg.feed { max-width: 46rem; }
.experiment-report .legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9em; }
.experiment-report .legend svg.key { display: inline-block; width: 26px; height: 10px; margin: 0 .4em 0 0; }
.experiment-report ul.warnings { list-style: none; margin: .3rem 0; padding: 0; }
.experiment-report ul.warnings li { margin: .35rem 0; padding: .55rem .8rem; border-radius: .6rem; background: #fff4e0; color: #7a4100; }
.dark & .experiment-report ul.warnings li { background: #3a2a10; color: #f7c56b; }
.experiment-report ul.warnings li.seen { background: none; color: inherit; border: 1px solid #8884; }
.experiment-report ol.texts { margin: .4rem 0; padding: 0; list-style: none; }
.experiment-report ol.texts li { padding: .5rem 0; border-bottom: 1px solid #8884; }
.experiment-report ol.texts small { display: block; opacity: .75; }
"""
)

Name = Callable[[str, str], str]
"""(head, label) -> the label as it is shown."""


class Shown(NamedTuple):
    """What the drawings are of: a topic or "" for all, the sentiments in their order, and the marks on them."""

    topic: str
    sentiments: Sequence[str]
    warned: Sequence[datetime]


def standing(sight: Sight | None, sources: Sequence[Standing], steps: Sequence[Step], days: int, t: Say) -> str:
    """Return how the feed stands: how much came, whether it is watched, and what is the matter with its sources."""
    items = sum(step.items for step in steps)
    lines = [t("monitor.items", items=items, versions=", ".join(map(str, _versions(steps))) or "–")]
    watched = sight is not None and sight.looked.watched > 0
    lines.append(t("monitor.watched" if watched else "monitor.learning", days=days))
    for one in sources:
        read = f"{one.read:%Y-%m-%d %H:%M}"
        lines.append(
            t("monitor.source.failed", source=one.source, read=read, detail=one.failed) if one.failed
            else t("monitor.source", source=one.source, read=read, stored=one.taken.stored, known=one.taken.known, bad=len(one.taken.problems))
        )  # fmt: skip
    return _wrapped("".join(f"<p{' class=quiet' if number else ''}>{escape(line)}</p>" for number, line in enumerate(lines)))


def warned(noted: Sequence[Noted], heads: Heads, name: Name, t: Say) -> str:
    """Return the warnings, those that nobody acknowledged first."""
    if not noted:
        return _wrapped(f'<p class="quiet">{escape(t("monitor.no_warnings"))}</p>')
    items = []
    for one in sorted(noted, key=lambda each: each.acknowledged is not None):
        who = "" if one.acknowledged is None else t("monitor.seen", author=one.warning.author, reason=one.warning.reason or "–")
        small = t("monitor.raised", raised=f"{one.warning.raised:%Y-%m-%d %H:%M}", version=one.warning.version)
        items.append(
            f"<li{' class=seen' if who else ''}>{escape(warning_words(one, heads, name, t))}"
            f"<br><small>{escape(small)} {escape(who)}</small></li>"
        )
    return _wrapped(f'<ul class="warnings">{"".join(items)}</ul>')


def warning_words(noted: Noted, heads: Heads, name: Name, t: Say) -> str:
    """Return a warning's sentence with its labels as they are shown."""
    topic, sentiment = noted.warning.topic, noted.warning.sentiment
    shown = {topic: name(heads.topic, topic), sentiment: name(heads.sentiment, sentiment)}
    return sentence(noted.warning, t, lambda label: shown.get(label, label))


def drawings(steps: Sequence[Step], shown: Shown, heads: Heads, name: Name, t: Say) -> str:
    """Return the volume and, where there are sentiments, their shares over time, with a table of the same figures."""
    times = [step.begin for step in steps]
    marks = Marks(shown.warned, _changes(steps))
    of = name(heads.topic, shown.topic) if shown.topic else t("monitor.all")
    title = t("monitor.volume", topic=of)
    volume = Line("", [(step.low, float(step.items), step.high) for step in steps])
    parts = [f"<h3>{escape(title)}</h3>", drawn(times, [volume], title, marks, usual=[step.usual for step in steps])]
    parts.append(f'<p class="quiet">{escape(t("monitor.volume.how"))}</p>')
    if shown.sentiments:
        title = t("monitor.shares", topic=of)
        names = [name(heads.sentiment, sentiment) for sentiment in shown.sentiments]
        lines = [
            Line(words, [_triple(step, sentiment) for step in steps])
            for words, sentiment in zip(names, shown.sentiments, strict=True)
        ]
        parts += [f"<h3>{escape(title)}</h3>", drawn(times, lines, title, marks, share=True), legend(names)]
        parts.append(f'<p class="quiet">{escape(t("monitor.shares.how"))}</p>')
    return _wrapped("".join(parts) + _table(steps, shown, heads, name, t))


def behind(found: Sequence[Text], describe: Callable[[Text], str], t: Say) -> str:
    """Return the texts behind a point; text of others stays text."""
    if not found:
        return _wrapped(f'<p class="quiet">{escape(t("monitor.no_texts"))}</p>')
    items = []
    for one in found:
        words = escape(one.text) if one.text is not None else f"<em>{escape(t('monitor.gone'))}</em>"
        link = (
            f' <a href="{escape(one.link)}" target="_blank" rel="noopener noreferrer">{escape(t("monitor.link"))}</a>'
            if one.link
            else ""
        )
        small = f"{one.published:%Y-%m-%d %H:%M} · {one.source} · {describe(one)} · v{one.version}"
        items.append(f"<li>{words}<small>{escape(small)}{link}</small></li>")
    return _wrapped(f'<ol class="texts">{"".join(items)}</ol>')


def _table(steps: Sequence[Step], shown: Shown, heads: Heads, name: Name, t: Say) -> str:
    names = [name(heads.sentiment, sentiment) for sentiment in shown.sentiments]
    head = [t("monitor.time"), t("monitor.count"), t("monitor.between"), t("monitor.usual"), *names]
    rows = []
    for step in reversed(steps):
        shares = [f"{100 * step.shares[s].share:.0f} %" if s in step.shares else "–" for s in shown.sentiments]
        usual = "–" if step.usual is None else f"{step.usual:.1f}"
        cells = [str(step.items), f"{step.low:.1f} – {step.high:.1f}", usual, *shares]
        rows.append(
            f'<tr><th scope="row">{step.begin:%m-%d %H:%M}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        )
    inner = (
        f"<thead><tr>{''.join(f'<th scope=col>{escape(cell)}</th>' for cell in head)}</tr></thead><tbody>{''.join(rows)}</tbody>"
    )
    table = f'<div class="scroll" tabindex="0"><table class="numbers">{inner}</table></div>'
    return f"<details><summary>{escape(t('monitor.table'))}</summary>{table}</details>"


def _triple(step: Step, sentiment: str) -> tuple[float, float, float] | None:
    share = step.shares.get(sentiment)
    return None if share is None else (share.low, share.share, share.high)


def _versions(steps: Sequence[Step]) -> list[int]:
    return sorted({version for step in steps for version in step.versions})


def _changes(steps: Sequence[Step]) -> list[tuple[datetime, int]]:
    """Return when another version than before began to answer."""
    answered = [(step.begin, step.versions[-1]) for step in steps if step.versions]
    return [(begin, version) for (_, before), (begin, version) in pairwise(answered) if version != before]


def _wrapped(inner: str) -> str:
    return f'<div class="experiment-report">{inner}</div>'
