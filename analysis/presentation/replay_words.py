"""What the replay on corrections says, as blocks: estimate, interval, basis, by shown variant, the anchoring effect in plain words."""

from __future__ import annotations

from analysis.presentation.blocks import Bar, Block, Heading, Line, Table
from analysis.presentation.formats import between, change, percent, short, shorts
from analysis.presentation.phrases import note_in_words
from analysis.replay import Challenged, Paired, Replay
from feedback.words import Say

_EDITS = "per prediction"


def replay_blocks(replay: Replay | None, t: Say) -> list[Block]:
    """Return the part about the replay; why there is none where there is none."""
    made: list[Block] = [Heading(t("experiments.replay.title"))]
    if replay is None:
        return [*made, Line(t("experiments.replay.not_made"))]
    if not replay.items:
        return [*made, Line(t("experiments.replay.empty"))]
    basis = Line(t("experiments.replay.basis", items=replay.items, users=replay.users))
    explained = Line(t("experiments.replay.explained"), "quiet")
    for challenged in replay.challengers:
        made += _challenged(replay, challenged, t)
    return [*made, basis, explained]


def sentences_of(replay: Replay | None, t: Say) -> list[str]:
    """Return the same as plain lines, for programs."""
    return [block.text for block in replay_blocks(replay, t) if isinstance(block, Line)]


def _challenged(replay: Replay, challenged: Challenged, t: Say) -> list[Block]:
    names = {"challenger": challenged.challenger, "control": replay.control}
    overall = challenged.right.overall
    made: list[Block] = [Line(_estimate("right", overall, "share", names, t), "strong")]
    if overall.low is not None and overall.high is not None and overall.difference is not None:
        made += [Bar(overall.low, overall.difference, overall.high), Line(t(f"experiments.replay.{_leaning(overall)}", **names))]
    shares = {"right": percent(replay.right[challenged.challenger]), "control_right": percent(replay.right[replay.control])}
    made.append(Line(t("experiments.replay.shares", **shares, **names)))
    edits = challenged.edits.overall
    # The two are withheld for the same reason mostly; to say it twice helps nobody.
    if edits.difference is not None or edits.reason != overall.reason:
        made.append(Line(_estimate("edits", edits, _EDITS, names, t)))
    made += [Line(t("experiments.replay.by_shown", **names)), _by_shown(challenged, t)]
    made.append(Line(_anchoring(challenged.right.anchoring, names, t)))
    return made


def _estimate(what: str, paired: Paired, unit: str, names: dict[str, str], t: Say) -> str:
    if paired.difference is None:
        why = note_in_words(paired.reason, t) if paired.reason else ""
        return t(f"experiments.replay.{what}.none", reason=why, **names)
    said = t(f"experiments.replay.{what}", difference=change(paired.difference, unit, t), **names)
    return _with_interval(said, paired, unit, t)


def _leaning(paired: Paired) -> str:
    """Return which way the whole interval lies."""
    if paired.low is not None and paired.low > 0:
        return "more_often"
    return "less_often" if paired.high is not None and paired.high < 0 else "either"


def _by_shown(challenged: Challenged, t: Say) -> Table:
    rows = tuple(
        (shown, f"{found.items} / {found.users}", short(found.difference, "share"), shorts(found.low, found.high, "share", t))
        for shown, found in challenged.right.by_shown.items()
    )
    columns = ("shown", "items_people", "points", "interval")
    return Table(tuple(t(f"experiments.column.{name}") for name in columns), rows)


def _anchoring(paired: Paired, names: dict[str, str], t: Say) -> str:
    if paired.difference is None:
        return t("experiments.replay.anchoring.none", reason=note_in_words(paired.reason, t) if paired.reason else "", **names)
    key = {"more_often": "towards", "less_often": "away", "either": "either"}[_leaning(paired)]
    said = t("experiments.replay.anchoring", difference=change(paired.difference, "share", t), **names)
    meaning = t(f"experiments.replay.anchoring.{key}", **names)
    return t("experiments.replay.anchoring.meaning", said=_with_interval(said, paired, "share", t), meaning=meaning)


def _with_interval(said: str, paired: Paired, unit: str, t: Say) -> str:
    if paired.low is None or paired.high is None:
        return said
    return t("experiments.difference.join").join([said, between(paired.low, paired.high, unit, t)])
