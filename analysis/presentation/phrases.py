"""A report's numbers and sentences in one language, as plain text. It computes no statistic and knows no markup.

`t` is the words catalogue bound to a language. What the replay, the votes and the design say is in replay_words.py, vote_words.py
and design_words.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.notes import MIN_USERS, Note, Verdict
from analysis.parts import Comparison, Covariate, GuardrailRow
from analysis.presentation.formats import between, change, relative, size
from analysis.report import Report
from analysis.sample_ratio import ALARM
from feedback.words import Say

KEYS: dict[Verdict, str] = {
    "collecting": "collecting",
    "no verdict yet": "no_verdict_yet",
    "B better": "better",
    "B worse": "worse",
    "no meaningful difference": "no_difference",
    "blocked: sample ratio": "blocked",
}
"""A verdict's name in the keys of the catalogue."""

OPEN = ("declared", "running", "paused")
"""States in which an experiment may still come to something."""


def metric_in_words(name: str, t: Say) -> str:
    """Return a metric's name with which way is better."""
    return t(f"experiments.metric.{name}")


def note_in_words(note: Note, t: Say) -> str:
    """Return a note's sentence; a metric in it by its words."""
    values = {key: metric_in_words(str(value), t) if key == "guardrail" else value for key, value in note.values.items()}
    return t(note.key, **values)


def headline(report: Report, t: Say) -> str:
    """Return the verdict in words, with the challenger's name."""
    votes = "votes." if report.side_by_side and report.verdict == "collecting" else ""
    return t(f"experiments.verdict.{votes}{KEYS[report.verdict]}", challenger=report.about)


def explanation(report: Report, t: Say) -> str:
    """Return what the verdict means and what it goes by."""
    votes = "votes." if report.side_by_side else ""
    metric = metric_in_words(report.metric, t)
    return t(f"experiments.explain.{votes}{KEYS[report.verdict]}", metric=metric, needed=MIN_USERS)


def shipping_in_words(report: Report, t: Say) -> list[str]:
    """Return whether the challenger may be shipped, first, and then what stands against it."""
    if report.state == "decided":
        winner = report.winner or t("experiments.ship.nobody")
        return [t("experiments.ship.decided", winner=winner, author=report.author), *_reason(report, t)]
    if report.shipping.ready:
        basis = "votes" if report.side_by_side else "guarded" if report.guardrails else "unguarded"
        return [
            t("experiments.ship.yes", challenger=report.shipping.challenger),
            t(f"experiments.ship.basis.{basis}", metric=metric_in_words(report.metric, t)),
        ]
    said = [t("experiments.ship.no")]
    if report.verdict == "blocked: sample ratio":
        return [*said, t("experiments.ship.blocked")]
    return said + [note_in_words(note, t) for note in report.shipping.against]


def rule_in_words(report: Report, t: Say) -> str:
    """Return the rule in force, what it promises, and how far the experiment is."""
    said = t(f"experiments.rule.{report.rule}", n_max=report.n_max, users=report.users, percent=f"{100 * report.alpha:g}")
    several = len(report.side_by_side.strengths) if report.side_by_side else len(report.comparisons)
    return said + t("experiments.join") + t("experiments.rule.several") if several > 1 else said


def difference_in_words(report: Report, comparison: Comparison, t: Say) -> str:
    """Return one difference with its interval and the relative lift, or that there is no number yet."""
    names = {"challenger": comparison.challenger, "control": comparison.control}
    if comparison.difference is None:
        return t("experiments.difference.none", **names)
    said = [t("experiments.difference", difference=change(comparison.difference, report.unit, t), **names)]
    if comparison.low is not None and comparison.high is not None:
        said.append(between(comparison.low, comparison.high, report.unit, t))
    # Without its interval: on the log scale of few users that can include 0 where the difference's, which decides, does not.
    if comparison.lift is not None:
        said.append(t("experiments.difference.lift", lift=relative(comparison.lift)))
    return t("experiments.difference.join").join(said)


def guardrail_in_words(row: GuardrailRow, t: Say) -> str:
    """Return whether a guardrail holds, how bad the difference may be at worst, and the margin."""
    limit = row.margin if row.better == "lower" else -row.margin
    said: Mapping[str, object] = {
        "challenger": row.challenger,
        "metric": metric_in_words(row.metric, t),
        "limit": change(limit, row.unit, t),
    }
    if row.holds is None or row.bound is None or row.difference is None:
        unknown = "unknown" if row.holds is None else "unbounded"
        return t(f"experiments.guardrail.{unknown}", **said)
    key = "holds" if row.holds else "broken" if row.broken else "open"
    bound, difference = (change(value, row.unit, t) for value in (row.bound, row.difference))
    return t(f"experiments.guardrail.{key}", bound=bound, difference=difference, **said)


def sample_ratio_in_words(report: Report, t: Say) -> str:
    """Return whether the arms have the users that their shares promise."""
    ratio = report.sample_ratio
    if ratio.p is None or ratio.chi2_p is None:
        return t("experiments.sample_ratio.none")
    key = "alarm" if ratio.p < ALARM else "fine"
    return t(f"experiments.sample_ratio.{key}", p=f"{ratio.p:.2g}", chi2=f"{ratio.chi2_p:.2g}")


def covariate_in_words(covariate: Covariate, t: Say) -> str:
    """Return how much of the noise CUPED took out."""
    name = t(f"experiments.covariate.{covariate.name}")
    if covariate.explained <= 0:
        return t("experiments.covariate.nothing", covariate=name)
    return t("experiments.covariate.took", covariate=name, percent=f"{100 * covariate.explained:.0f}")


def left_out_in_words(report: Report, t: Say) -> str:
    """Return how many users are left out and why."""
    out = report.left_out
    counts = {"two": out.two_variants, "carried": out.carried_over, "beyond": out.beyond, "exposed": out.exposed}
    return t("experiments.left_out.text", **counts)


def forecast_in_words(report: Report, t: Say) -> list[str]:
    """Return what the test can still find and when; nothing once it is over, and of votes, which no traffic forecasts."""
    if report.state not in OPEN or report.side_by_side is not None:
        return []
    found = report.forecast
    rate = f"{found.per_day:.0f}" if found.per_day >= 10 else f"{found.per_day:.1f}"
    said = [t("experiments.forecast.traffic", rate=rate) if found.per_day > 0 else t("experiments.forecast.no_traffic")]
    when = _when(found.days_to_end, found.per_day, t)
    if report.rule == "horizon":
        said.append(t("experiments.forecast.end", n_max=report.n_max, when=when))
    if found.detectable is None or found.wanted is None or found.wanted_users is None:
        return [*said, t("experiments.forecast.unknown")]
    power = f"{100 * found.power:.0f}"
    detectable, wanted = (size(value, report.unit, t) for value in (found.detectable, found.wanted))
    said.append(t("experiments.forecast.detectable", n_max=report.n_max, power=power, difference=detectable))
    when = _when(found.wanted_days, found.per_day, t)
    share = f"{100 * found.relative:.0f}"
    return [
        *said,
        t("experiments.forecast.wanted", share=share, difference=wanted, users=found.wanted_users, power=power, when=when),
    ]


def cannot_decide_yet(report: Report, t: Say) -> str:
    """Return when the A/B test, which cannot decide yet, could; and that the replay is the better guide, where there is one."""
    found = report.forecast
    if report.state not in OPEN:
        said = t("experiments.cannot.ended")
    elif found.wanted_users is None and found.per_day > 0:
        said = t("experiments.cannot.unknown")
    else:
        said = t("experiments.cannot.decide", when=_when(found.wanted_days, found.per_day, t))
    return said + t("experiments.join") + t("experiments.cannot.replay") if report.replay and report.replay.items else said


def _when(days: float | None, per_day: float, t: Say) -> str:
    if days is None:
        return t("experiments.when.not_within_a_year" if per_day > 0 else "experiments.when.nobody_comes")
    if days <= 0:
        return t("experiments.when.now")
    return t("experiments.when.a_day") if days <= 1 else t("experiments.when.days", days=math.ceil(days))


def _reason(report: Report, t: Say) -> list[str]:
    return [t("experiments.ship.reason", reason=report.reason)] if report.reason else []
