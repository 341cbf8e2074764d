"""The likeliest answer to every item, from everybody's answers: consensus.py and span_consensus.py in one form. It accepts nothing.

Outputs of several heads are solved head by head: whom to believe of a topic says little of whom to believe of a sentiment.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from feedback import consensus, span_consensus
from feedback.heads import output_text, told_by
from feedback.heard import Heard
from feedback.records import Json
from feedback.threshold import supported

Kind = str
"""How a task's outputs are compared, by the name of its widget: spans one by one, choices head by head, all others as wholes."""


class Likeliest(NamedTuple):
    """The likeliest answer to an item, in canonical JSON text, how surely, and whether enough people stand behind it."""

    output: str
    probability: float
    supported: bool


Solved = tuple[dict[str, Likeliest], list[float], list[bool], list[float]]
"""By item the likeliest answer; of items of known truth, as if unknown, the posteriors and whether they were right; and the
posteriors of open items. The last three are of corrections with enough support alone: those are what would be accepted."""


def likeliest_labels(answers: Sequence[Heard], known: dict[str, str], trusted: frozenset[str]) -> Solved:
    """Solve for outputs of one label. known: item -> its truth as JSON text; trusted: whom the traps prove."""
    labels = sorted({text for a in answers for text in (a.output, a.shown) if text} | set(known.values()))
    if not answers:
        return {}, [], [], []
    said = [consensus.LabelAnswer(a.item, a.contributor, a.output, a.shown) for a in answers]
    solved = consensus.batch(said, labels, known)
    leading = solved.leading()
    likeliest = {best.item: Likeliest(best.label, best.probability, supported(best.said_by, trusted)) for best in leading}
    held = [h for h in solved.held_out() if h.leading.corrects and supported(h.leading.said_by, trusted)]
    claimed = [b.probability for b in leading if b.item not in known and b.corrects and supported(b.said_by, trusted)]
    return likeliest, [h.leading.probability for h in held], [h.right for h in held], claimed


def likeliest_heads(answers: Sequence[Heard], known: dict[str, str], trusted: frozenset[str]) -> Solved:
    """Solve each head by itself. An item's likeliest answer joins the heads that enough people stand behind, as sure as the least sure.

    known and trusted as for labels. Posteriors and whether they were right are those of single heads.
    """
    best: dict[str, dict[str, Likeliest]] = defaultdict(dict)
    posteriors: list[float] = []
    right: list[bool] = []
    claimed: list[float] = []
    told = {text: told_by(text) or {} for a in answers for text in (a.output, a.shown)}
    truths = {item: told_by(text) or {} for item, text in known.items()}
    for head in sorted({head for answer in answers for head in told[answer.output]}):
        said = [
            answer._replace(output=told[answer.output][head], shown=told[answer.shown].get(head, ""))
            for answer in answers
            if head in told[answer.output]
        ]
        truth = {item: labels[head] for item, labels in truths.items() if head in labels}
        likeliest, of_traps, were_right, of_open = likeliest_labels(said, truth, trusted)
        for item, one in likeliest.items():
            best[item][head] = one
        posteriors += of_traps
        right += were_right
        claimed += of_open
    return {item: _joined(heads) for item, heads in best.items()}, posteriors, right, claimed


def _joined(heads: Mapping[str, Likeliest]) -> Likeliest:
    """Return the supported heads as one answer; all of them where none is."""
    supported = {head: one for head, one in heads.items() if one.supported}
    chosen = supported or heads
    return Likeliest(
        output_text({head: one.output for head, one in chosen.items()}),
        min(one.probability for one in chosen.values()),
        bool(supported),
    )


def likeliest_spans(answers: Sequence[Heard], known: dict[str, str], trusted: frozenset[str]) -> Solved:
    """Solve for outputs of spans. known and trusted as for labels."""
    if not answers:
        return {}, [], [], []
    said = [span_consensus.SpanAnswer(a.item, a.contributor, _triples(a.output), _triples(a.shown)) for a in answers]
    truth = {item: frozenset(_triples(output)) for item, output in known.items()}
    solved = span_consensus.batch(said, truth)
    sayers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for answer in answers:
        sayers[answer.item, answer.output].add(answer.contributor)
    leading = solved.leading()
    likeliest = {}
    for best in leading:
        output = _canonical(best.spans)
        who = sayers.get((best.item, output), set())
        # What was shown, and nobody confirmed, is no answer. One that joins what several said is, if it corrects.
        probability = best.probability if who or best.corrects else 0.0
        likeliest[best.item] = Likeliest(
            output, probability, best.supported(trusted) and (best.corrects or supported(who, trusted))
        )
    held = [h for h in solved.held_out() if h.leading.corrects and h.leading.supported(trusted)]
    claimed = [b.probability for b in leading if b.item not in known and b.corrects and b.supported(trusted)]
    return likeliest, [h.leading.probability for h in held], [h.right for h in held], claimed


def _canonical(spans: Sequence[span_consensus.Span]) -> str:
    """Return an output of spans as the log holds it (store.py writes JSON this way)."""
    ordered = [{"start": start, "end": end, "label": label} for start, end, label in sorted(spans)]
    return json.dumps({"spans": ordered}, ensure_ascii=False, sort_keys=True)


def apart(one: str, two: str) -> int:
    """Return how many spans stand in one of two outputs alone; 0 where outputs are no spans, which are never joined."""
    return len(set(_triples(one)) ^ set(_triples(two)))


def _triples(output: str) -> tuple[tuple[int, int, str], ...]:
    value: Json = json.loads(output)
    return tuple((int(span["start"]), int(span["end"]), str(span["label"])) for span in value.get("spans", ()))


SOLVERS: dict[str, Callable[[Sequence[Heard], dict[str, str], frozenset[str]], Solved]] = {
    "spans": likeliest_spans,
    "choices": likeliest_heads,
}
"""By kind; of every other kind likeliest_labels."""
