"""What the votes of a side-by-side experiment say, as blocks: strengths with intervals, win shares, position bias."""

from __future__ import annotations

from scipy import special

from analysis.presentation.blocks import Bar, Block, Heading, Line
from analysis.presentation.formats import percent
from analysis.side_by_side import Position, SideBySide, Strength
from feedback.words import Say


def vote_blocks(found: SideBySide, control: str, t: Say) -> list[Block]:
    """Return the part about the votes. `control` is the first variant's name."""
    made: list[Block] = [Heading(t("experiments.votes.title"))]
    for strength in found.strengths:
        made.append(Line(_strength(strength, control, t), "strong"))
        if strength.low is not None and strength.high is not None and strength.log_strength is not None:
            made.append(Bar(strength.low, strength.log_strength, strength.high))
            made.append(Line(_interval(strength, t)))
        if len(found.strengths) > 1:
            made.append(Line(t("experiments.votes.took_part", challenger=strength.challenger, votes=strength.votes), "quiet"))
    made.append(Line(t("experiments.votes.basis", votes=found.votes, users=found.users, ties=found.ties)))
    if found.regularised:
        made.append(Line(t("experiments.votes.regularised"), "quiet"))
    made.append(Line(_position(found.position, t)))
    return [*made, Line(t("experiments.votes.explained"), "quiet")]


def sentences_of(found: SideBySide, control: str, t: Say) -> list[str]:
    """Return the same as plain lines, for programs."""
    return [block.text for block in vote_blocks(found, control, t) if isinstance(block, Line)]


def _strength(strength: Strength, control: str, t: Say) -> str:
    names = {"challenger": strength.challenger, "control": control}
    if strength.win_probability is None or strength.log_strength is None:
        return t("experiments.votes.strength.none", **names)
    log = f"{strength.log_strength:+.2f}"
    return t("experiments.votes.strength", share=percent(strength.win_probability), log=log, **names)


def _interval(strength: Strength, t: Say) -> str:
    """Return the strength's interval, and the same as shares: P(preferred) = 1/(1 + exp(-log-strength))."""
    low, high = strength.low or 0.0, strength.high or 0.0
    shares = {"share_low": percent(float(special.expit(low))), "share_high": percent(float(special.expit(high)))}
    return t("experiments.votes.interval", low=f"{low:+.2f}", high=f"{high:+.2f}", **shares)


def _position(position: Position, t: Say) -> str:
    if position.left is None or position.low is None or position.high is None:
        return t("experiments.votes.position.none")
    key = "fair" if position.low <= 0.5 <= position.high else "biased"
    ends = {"low": percent(position.low), "high": percent(position.high)}
    return t(f"experiments.votes.position.{key}", decided=position.decided, left=percent(position.left), **ends)
