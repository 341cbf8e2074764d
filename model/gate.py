"""Whether a candidate may be offered: paired tests against the champion on the same items. It trains and registers nothing.

Old domain (the seed's validation part): not worse beyond what the set can see. Feedback slice (accepted items never
trained on): better. Every class, every sentence, and calibration are watched as well. Each rule is a constant with its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, norm

from feedback.records import Answer, Example, Json
from model.gate_report import Check, CheckVerdict, GateResult, Power, Worsened, check, verdict_of
from model.paired import LEVEL, Paired, calibration_error, paired_counts
from model.task import Task

OLD_MARGIN = 0.005
"""Old domain: the difference must reach -max(0.5 points, 1 standard error), its lower bound -max(0.5 points, the resolution)."""
FEEDBACK_ALPHA = 0.1
"""Feedback slice: one-sided p must be below this, and the point difference above 0."""
FEEDBACK_LEAST = 20
"""Feedback slice: with fewer items the slice is too small to decide."""
GOLD_ALPHA = 0.05
"""Gold items: a candidate that is worse on them with a one-sided p below this fails. They are the one part of the gate that
visitors cannot write: accepted lies make a poisoned candidate look good on the feedback slice (benchmarks/sleepers.py)."""
FEEDBACK_SEEN = 0.02
"""Feedback slice: where the set can see 2 points and the candidate is not better, it fails; a coarser set is undecided."""
CLASS_MARGIN = 0.02
"""Each class: no worse than 2 points, or so many standard errors where that is more: see class_errors."""
CLASS_ERRORS = 2.0
CLASS_LEAST = 5
"""Each class: with fewer true items of it a class is not judged, but said to be unseen."""
WORSE_SHARE = 0.05
WORSE_TO_BETTER = 0.25
"""At most 5 % of the sentences may get a worse answer, or a quarter of the share that gets a better one where that is more:
a candidate far above a weak champion changes many answers (docs/decisions.md has the figures)."""
SIGN_ALPHA = 0.05
"""Sentences made worse must not outnumber those made better at this level (exact sign test)."""
ECE_MARGIN = 0.01
"""Expected calibration error (15 bins) may grow by 1 point."""
WORSE_LISTED = 50
_NAMED = {name: {"key": f"models.shown.{name}"} for name in ("latency_ms", "size_mb")}  # measures with words of their own
RESAMPLES = 4000


class Slice(NamedTuple):
    """Items with the answers of both sides, in the same order."""

    examples: Sequence[Example]
    champion: Sequence[Answer]
    candidate: Sequence[Answer]


NOTHING = Slice((), (), ())


def run_gate(
    task: Task,
    old: Slice,
    feedback: Slice,
    shown: Mapping[str, tuple[float, float]] | None = None,
    seed: int = 0,
    gold: Slice = NOTHING,
    head: Slice = NOTHING,
    anchor: Slice = NOTHING,
) -> GateResult:
    """Judge a candidate. `old` is the seed's validation part, `feedback` the snapshot's gate part, `gold` the owner's items of
    known truth (both may be empty). `head`: both slices' items with, in the champion's place, the answers of a head on the
    frozen base that learned the same: it is ready in seconds, so a candidate that is no better is not worth its time. `anchor`: the old domain
    with, in the champion's place, the answers of the best champion before it: small losses, each within the margin, must not add up from
    round to round.

    `shown`: measures that are reported and never decide, name -> (champion, candidate), e.g. latency in ms.
    """
    random = np.random.default_rng(seed)
    pairs, new = _paired(task, old), _paired(task, feedback)
    checks = [
        _old_domain(pairs, random),
        *_anchor(_paired(task, anchor), random),
        _feedback(new, random),
        *_gold(_paired(task, gold), random),
        *_classes(pairs, all_named=not task.catalogued),
    ]
    checks += [
        *_sentences(pairs, new),
        _calibration(task, old, feedback),
        *_head(_paired(task, head), random),
        *_shown(shown or {}),
    ]
    everything = Slice(
        [*old.examples, *feedback.examples], [*old.champion, *feedback.champion], [*old.candidate, *feedback.candidate]
    )
    return GateResult(
        verdict_of(checks),
        tuple(checks),
        tuple(_worsened(task, everything)),
        _power(pairs, new, random),
        pairs.resolution() if len(pairs) else None,
        {"old": _scores(task, old), "feedback": _scores(task, feedback), "gold": _scores(task, gold)},
        _by_contributor(task, feedback),
    )


def _paired(task: Task, part: Slice) -> Paired:
    truth = [example.output for example in part.examples]
    return paired_counts(task, truth, [a.output for a in part.champion], [a.output for a in part.candidate])


def _scores(task: Task, part: Slice) -> dict[str, float]:
    if not part.examples:
        return {}
    truth = [example.output for example in part.examples]
    sides = {
        name: task.score(truth, [a.output for a in side])["main"]
        for name, side in (("champion", part.champion), ("candidate", part.candidate))
    }
    return {**sides, "items": float(len(truth))}


def _old_domain(pairs: Paired, random: np.random.Generator) -> Check:
    if not len(pairs):
        return check("old_domain", None, None, None, "undecided", 0, "old_domain.none")
    difference, lower = pairs.difference(), pairs.lower_bound(random, RESAMPLES)
    margin, least = -max(OLD_MARGIN, pairs.resolution()), -max(OLD_MARGIN, pairs.standard_error())
    verdict: CheckVerdict = "pass" if difference >= least and lower >= margin - 1e-12 else "fail"
    told = {"difference": difference, "least": least, "lower": lower, "margin": margin}
    said = {key: 100 * value for key, value in told.items()}
    return check("old_domain", difference, lower, margin, verdict, len(pairs), "old_domain", items=len(pairs), **said)


def _anchor(pairs: Paired, random: np.random.Generator) -> list[Check]:
    """Return the old domain's check once more, against the best champion before; none where the champion is the best."""
    if not len(pairs):
        return []
    same = _old_domain(pairs, random)
    return [check("anchor", same.value, same.lower, same.margin, same.verdict, same.items, "anchor", **same.values)]


def _feedback(pairs: Paired, random: np.random.Generator) -> Check:
    if len(pairs) < FEEDBACK_LEAST:
        difference = pairs.difference() if len(pairs) else None
        few = {"items": len(pairs), "least": FEEDBACK_LEAST}
        return check("feedback", difference, None, 0.0, "undecided", len(pairs), "feedback.few", **few)
    difference = pairs.difference()
    p = pairs.p_better(random, RESAMPLES)
    seen = difference <= 0 and pairs.resolution() <= FEEDBACK_SEEN  # the slice would have seen a gain worth having
    verdict: CheckVerdict = "fail"
    if difference > 0 and p < FEEDBACK_ALPHA:
        verdict = "pass"
    elif difference > 0 or (not seen and pairs.p_worse(random, RESAMPLES) >= FEEDBACK_ALPHA):
        verdict = "undecided"
    told = {"difference": 100 * difference, "items": len(pairs), "p": p, "test": _test(pairs), "alpha": FEEDBACK_ALPHA}
    return check("feedback", difference, p, 0.0, verdict, len(pairs), f"feedback.{verdict}", **told)


def _test(pairs: Paired) -> dict[str, str]:
    """Return the name of the test behind a p-value, as a key of the catalogue."""
    return {"key": "models.test.mcnemar" if pairs.one_answer else "models.test.bootstrap"}


def _gold(pairs: Paired, random: np.random.Generator) -> list[Check]:
    """Return the check on items of known truth; none where the demo has none that judge."""
    if not len(pairs):
        return []
    difference, p = pairs.difference(), pairs.p_worse(random, RESAMPLES)
    told = {"difference": 100 * difference, "items": len(pairs), "p": p, "test": _test(pairs), "alpha": GOLD_ALPHA}
    failed = difference < 0 and p < GOLD_ALPHA
    return [check("gold", difference, p, 0.0, "fail" if failed else "pass", len(pairs), "gold", **told)]


def _head(pairs: Paired, random: np.random.Generator) -> list[Check]:
    """Return the check against the head on the frozen base; none where there is no such head."""
    if not len(pairs):
        return []
    difference, p = pairs.difference(), pairs.p_better(random, RESAMPLES)
    told = {"difference": 100 * difference, "items": len(pairs), "p": p}
    return [check("head", difference, p, 0.0, "pass" if difference > 0 else "fail", len(pairs), "head", **told)]


def class_errors(classes: int) -> float:
    """Return how many standard errors a class may lose where so many are judged: 1 for one, at most CLASS_ERRORS.

    As many as keep an equal candidate from failing any class more often than it fails one class at 1 standard error
    (Bonferroni's inequality). At 1 standard error each, a single lost item of any of 77 classes refused every candidate.
    """
    return float(min(CLASS_ERRORS, norm.isf(norm.sf(1.0) / max(1, classes))))


def _classes(pairs: Paired, *, all_named: bool = True) -> list[Check]:
    """Return a check for each class. `all_named`: those of which nothing is there too; of a catalogue's entries that would be most."""
    checks = []
    judged = sum(int(pairs.of_label(label).champion[:, [0, 2]].sum()) >= CLASS_LEAST for label in pairs.labels)
    errors = class_errors(judged)
    for label in pairs.labels:
        one = pairs.of_label(label)
        seen = int(one.champion[:, [0, 2]].sum())
        if not seen and not all_named:
            continue
        if seen < CLASS_LEAST:
            told = {"label": {"label": label}, "items": seen, "least": CLASS_LEAST}
            checks.append(check(f"class:{label}", None, None, None, "shown", seen, "class.few", **told))
            continue
        difference, error = one.difference(), one.standard_error()
        margin = -max(CLASS_MARGIN, errors * error)
        verdict: CheckVerdict = "pass" if difference >= margin else "fail"
        told = {"label": {"label": label}, "difference": 100 * difference, "items": seen, "margin": 100 * margin}
        checks.append(check(f"class:{label}", difference, None, margin, verdict, seen, "class", **told))
    return checks


def _sentences(old: Paired, new: Paired) -> list[Check]:
    """Return the exact sign test on sentences and the ceiling on those made worse, over both slices."""
    better, worse = (a + b for a, b in zip(old.better_worse(), new.better_worse(), strict=True))
    items = len(old) + len(new)
    if not items:
        return [check("sentences", None, None, None, "undecided", 0, "sentences.none")]
    p = float(binomtest(worse, better + worse, 0.5, alternative="greater").pvalue) if better + worse else 1.0
    told = {"better": int(better), "worse": int(worse), "items": items, "p": p, "alpha": SIGN_ALPHA}
    sign = check("sentences", (better - worse) / items, p, 0.0, "fail" if p < SIGN_ALPHA else "pass", items, "sentences", **told)
    share = worse / items
    most = max(WORSE_SHARE, WORSE_TO_BETTER * better / items)
    verdict: CheckVerdict = "pass" if share <= most else "fail"
    ceiling = check("worse_share", share, None, most, verdict, items, "worse_share", share=share, items=items, most=most)
    return [sign, ceiling]


def _calibration(task: Task, *parts: Slice) -> Check:
    examples = [example for part in parts for example in part.examples]
    if not examples:
        return check("calibration", None, None, ECE_MARGIN, "undecided", 0, "calibration.none")
    before, after = (
        calibration_error([a.confidence for a in side], [_same(task, e, a) for e, a in zip(examples, side, strict=True)])
        for side in ([a for part in parts for a in part.champion], [a for part in parts for a in part.candidate])
    )
    told = {"before": 100 * before, "after": 100 * after, "most": 100 * ECE_MARGIN}
    verdict: CheckVerdict = "pass" if after - before <= ECE_MARGIN else "fail"
    return check("calibration", after - before, None, ECE_MARGIN, verdict, len(examples), "calibration", **told)


def _same(task: Task, example: Example, answer: Answer) -> bool:
    return not any(counts.fp or counts.fn for counts in task.counts(example.output, answer.output).values())


def _shown(shown: Mapping[str, tuple[float, float]]) -> list[Check]:
    return [
        check(name, after - before, None, None, "shown", 0, "shown", name=_NAMED.get(name, name), before=before, after=after)
        for name, (before, after) in shown.items()
    ]


def _worsened(task: Task, part: Slice) -> list[Worsened]:
    """Return the items made worse, those that lost most first."""
    found: list[tuple[int, Worsened]] = []
    for example, before, after in zip(*part, strict=True):
        loss = _errors(task, example.output, after.output) - _errors(task, example.output, before.output)
        if loss > 0:
            found.append((loss, Worsened(example.input, example.output, before.output, after.output)))
    found.sort(key=lambda pair: -pair[0])
    return [item for _, item in found[:WORSE_LISTED]]


def _errors(task: Task, truth: Json, answer: Json) -> int:
    return sum(counts.fp + counts.fn for counts in task.counts(truth, answer).values())


def _by_contributor(task: Task, part: Slice) -> dict[str, dict[str, float]]:
    """Return champion's and candidate's score on each contributor's items of the feedback slice: one of them may be a liar."""
    places: dict[str, list[int]] = {}
    for i, example in enumerate(part.examples):
        places.setdefault(example.contributor, []).append(i)
    return {
        who: _scores(task, Slice(*([side[i] for i in chosen] for side in part)))  # type: ignore[arg-type]
        for who, chosen in sorted(places.items())
    }


def _power(old: Paired, new: Paired, random: np.random.Generator, rounds: int = 20_000) -> Power | None:
    """Return how often the checks of old domain and feedback pass a candidate whose true difference is known in both.

    Measured differences are drawn as normal around the true one with these sets' standard errors. The checks of
    classes, sentences and calibration are left out: they can only lower the rates. A slice too small is left out too.
    """
    if not len(old):
        return None
    error, margin = old.standard_error(), -max(OLD_MARGIN, old.resolution())
    rates = []
    for true in (0.0, 0.005, -0.005):
        measured = random.normal(true, error, rounds)
        passed = (measured >= -max(OLD_MARGIN, error)) & (measured - norm.ppf(1 - LEVEL) * error >= margin)
        if len(new) >= FEEDBACK_LEAST and new.standard_error() > 0:
            passed &= random.normal(true, new.standard_error(), rounds) > norm.ppf(1 - FEEDBACK_ALPHA) * new.standard_error()
        rates.append(float(passed.mean()))
    return Power(*rates)
