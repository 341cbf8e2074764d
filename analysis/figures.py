"""A report in words and as HTML fragments. It computes no statistic; everything it is given is escaped.

`t` is the words catalogue bound to one language. Fragments need no script, no outside file and no style sheet.
"""

from __future__ import annotations

import html
import math

from analysis.notes import Verdict
from analysis.report import Comparison, Report
from analysis.sample_ratio import ALARM
from feedback.words import Say

_KEYS: dict[Verdict, str] = {
    "collecting": "collecting",
    "no verdict yet": "no_verdict_yet",
    "B better": "better",
    "B worse": "worse",
    "no meaningful difference": "no_difference",
    "blocked: sample ratio": "blocked",
}
_TONES: dict[Verdict, str] = {"B better": "#16a34a", "B worse": "#dc2626", "blocked: sample ratio": "#d97706"}
_MISSING = "–"

# Gradio fills its HTML component through a template language: its signs are escaped with HTML's own.
_SIGNS = str.maketrans({"$": "&#36;", "{": "&#123;", "}": "&#125;", "`": "&#96;", "\\": "&#92;", "@": "&#64;"})


def escape(text: object) -> str:
    """Return text that is text wherever it is put into one of our fragments: neither markup nor template."""
    return html.escape(str(text), quote=True).translate(_SIGNS)


def headline(report: Report, t: Say) -> str:
    """Return the verdict in words, with the challenger's name."""
    return t(f"experiments.verdict.{_KEYS[report.verdict]}", challenger=report.about)


def sentences(report: Report, t: Say) -> dict[str, str | list[str]]:
    """Return what the page says, as plain text: verdict, explanation, rule, differences, sample_ratio, left_out, notes."""
    metric = t(f"experiments.metric.{report.metric}")
    return {
        "verdict": headline(report, t),
        "explanation": t(f"experiments.explain.{_KEYS[report.verdict]}", metric=metric),
        "rule": rule_in_words(report, t),
        "differences": [difference_in_words(report, comparison, t) for comparison in report.comparisons],
        "sample_ratio": _ratio_in_words(report, t),
        "left_out": t(
            "experiments.left_out.text",
            two=report.left_out.two_variants,
            carried=report.left_out.carried_over,
            exposed=report.left_out.exposed,
        ),
        "notes": [t(note.key, **note.values) for note in report.notes],
    }


def rule_in_words(report: Report, t: Say) -> str:
    """Return the rule in force, what it promises, and how far the experiment is."""
    said = t(f"experiments.rule.{report.rule}", n_max=report.n_max, users=report.users, percent=f"{100 * report.alpha:g}")
    return f"{said} {t('experiments.rule.several')}" if len(report.comparisons) > 1 else said


def difference_in_words(report: Report, comparison: Comparison, t: Say) -> str:
    """Return one difference with its interval and the relative lift, or that there is no number yet."""
    names = {"challenger": comparison.challenger, "control": comparison.control}
    if comparison.difference is None:
        return t("experiments.difference.none", **names)
    said = [t("experiments.difference", difference=_change(comparison.difference, report.unit, t), **names)]
    if comparison.low is not None and comparison.high is not None:
        low, high = (_change(end, report.unit, t) for end in (comparison.low, comparison.high))
        said.append(t("experiments.difference.interval", low=low, high=high))
    # Without its interval: on the log scale of few users that can include 0 where the difference's, which decides, does not.
    if comparison.lift is not None:
        said.append(t("experiments.difference.lift", lift=_relative(comparison.lift)))
    return t("experiments.difference.join").join(said)


def page(report: Report, t: Say) -> str:
    """Return the whole report as one escaped HTML fragment, verdict first. Reads on a phone of 390 pixels."""
    said = sentences(report, t)
    state = t(f"experiments.state.{report.state}")
    subtitle = t("experiments.subtitle", name=report.experiment, number=report.number, state=state)
    tone = _TONES.get(report.verdict, "inherit")
    parts = [
        f'<p style="margin:0;opacity:.75">{escape(subtitle)}</p>',
        f'<h2 style="margin:.1em 0;font-size:1.9rem;line-height:1.2;color:{tone};overflow-wrap:anywhere"'
        f' data-verdict="{escape(report.verdict)}">{escape(said["verdict"])}</h2>',
        f"<p>{escape(said['explanation'])}</p>",
    ]
    if report.hypothesis:
        parts.append(f'<p style="overflow-wrap:anywhere">{escape(t("experiments.hypothesis", text=report.hypothesis))}</p>')
    parts.append(_section(t("experiments.notes"), said["notes"]))
    parts.append(f"<h3>{escape(t('experiments.differences'))}</h3>")
    for comparison, words in zip(report.comparisons, said["differences"], strict=True):
        parts.append(f"{bar(comparison)}<p>{escape(words)}</p>")
    parts.append(f"<h3>{escape(t('experiments.arms', metric=t(f'experiments.metric.{report.metric}')))}</h3>")
    parts.append(table(report, t))
    for key in ("rule", "sample_ratio", "left_out"):
        parts.append(_section(t(f"experiments.{key}"), said[key]))
    return f'<div class="experiment-report">{"".join(parts)}</div>'


def table(report: Report, t: Say) -> str:
    """Return the arms as columns, so that two or three fit a phone; more scroll sideways inside the table."""
    rows: list[tuple[str, list[str]]] = [
        ("users", [str(arm.users) for arm in report.arms]),
        ("share", [_percent(arm.share) for arm in report.arms]),
        ("predictions", [str(arm.predictions) for arm in report.arms]),
        ("corrections", [str(arm.corrections) for arm in report.arms]),
        ("rate", [_level(arm.rate, report.unit, t) for arm in report.arms]),
        ("interval", [_ends(arm.low, arm.high, report.unit, t) for arm in report.arms]),
        ("response_rate", [_percent(arm.response_rate) for arm in report.arms]),
        ("predictions_per_user", [_number(arm.predictions_per_user, 2) for arm in report.arms]),
        ("latency", [_ms(arm.latency_ms, t) for arm in report.arms]),
    ]
    cell = 'style="padding:.3em .6em;border:0;border-bottom:1px solid #8884;text-align:{};vertical-align:top"'
    left, right = cell.format("left"), cell.format("right")
    names = [t("experiments.arm", name=arm.name, version=arm.version) for arm in report.arms]
    head = "".join(f'<th scope="col" {right}>{escape(name)}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row" {left}>{escape(t(f"experiments.row.{key}"))}</th>'
        + "".join(f"<td {right}>{escape(value)}</td>" for value in values)
        + "</tr>"
        for key, values in rows
    )
    inner = f'<thead><tr><td style="border:0"></td>{head}</tr></thead><tbody>{body}</tbody>'
    style = "border-collapse:collapse;border:0;width:100%"
    return f'<div style="overflow-x:auto"><table style="{style}">{inner}</table></div>'


def bar(comparison: Comparison) -> str:
    """Return the interval as a small drawing about the line of no difference; empty where there is no interval."""
    low, high, value = comparison.low, comparison.high, comparison.difference
    if low is None or high is None or value is None:
        return ""
    reach = 1.1 * max(abs(low), abs(high), 1e-9)  # the line of no difference stays in the middle
    x0, x1, x = (150 + 150 * end / reach for end in (low, high, value))
    return (
        '<svg viewBox="0 0 300 28" style="width:100%;max-width:32rem;display:block" aria-hidden="true">'
        '<line x1="150" y1="2" x2="150" y2="26" stroke="currentColor" stroke-opacity=".5" stroke-dasharray="3 3"/>'
        f'<line x1="{x0:.1f}" y1="14" x2="{x1:.1f}" y2="14" stroke="currentColor" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{x:.1f}" cy="14" r="5" fill="currentColor"/></svg>'
    )


def _section(title: str, said: str | list[str]) -> str:
    lines = [said] if isinstance(said, str) else said
    if not lines:
        return ""
    return f"<h3>{escape(title)}</h3>" + "".join(f"<p>{escape(line)}</p>" for line in lines)


def _ratio_in_words(report: Report, t: Say) -> str:
    ratio = report.sample_ratio
    if ratio.p is None or ratio.chi2_p is None:
        return t("experiments.sample_ratio.none")
    key = "alarm" if ratio.p < ALARM else "fine"
    return t(f"experiments.sample_ratio.{key}", p=f"{ratio.p:.2g}", chi2=f"{ratio.chi2_p:.2g}")


def _level(value: float | None, unit: str, t: Say) -> str:
    if value is None or unit == "per user":
        return _number(value, 2)
    return _percent(value) if unit == "share" else _ms(math.exp(value), t)


def _ends(low: float | None, high: float | None, unit: str, t: Say) -> str:
    return _MISSING if low is None or high is None else f"{_level(low, unit, t)} – {_level(high, unit, t)}"


def _change(value: float, unit: str, t: Say) -> str:
    if unit == "share":
        return t("experiments.points", value=f"{100 * value:+.1f}")
    return _relative(math.expm1(value)) if unit == "log ms" else f"{value:+.2f}"


def _relative(value: float) -> str:
    return f"{100 * value:+.0f} %" if value < 10 else "> +1000 %"


def _percent(value: float | None) -> str:
    return _MISSING if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, digits: int) -> str:
    return _MISSING if value is None else f"{value:.{digits}f}"


def _ms(value: float | None, t: Say) -> str:
    return _MISSING if value is None else t("experiments.ms", value=f"{value:.0f}" if value >= 10 else f"{value:.1f}")
