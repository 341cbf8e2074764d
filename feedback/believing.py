"""The policy `reliability`: accepts what several contributors say, weighed by how far each has earned it.

From the log come everybody's standing answers; trap items, and what reviewers settled, are items of known truth. consensus.py
(labels) or span_consensus.py (spans) says which answer is the likeliest and how surely; from which probability on it is
accepted is set on the traps, judged as if their truth were unknown (threshold.py). One unknown contributor never is: it takes
two, or one whom the traps prove. While too few traps were answered, agreement (acceptance.py) decides, and the reasons say so.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from feedback import consensus, span_consensus
from feedback.acceptance import Agreement, Opinion
from feedback.errors import AmendError
from feedback.records import Json, Review, Verdict, new_id
from feedback.reliability import Reliability, TrustRule, reliability
from feedback.store import Store
from feedback.threshold import Bin, Threshold, ThresholdRule, calibration, supported, threshold

POLICY = "policy:reliability"
_LOG = logging.getLogger(__name__)

Kind = Literal["choice", "spans"]
"""How a task's outputs are compared: one label, or spans; the name of its widget."""


class Heard(NamedTuple):
    """One standing answer. `item` is the exact input as JSON text; `person` is whether a reviewer has judged it."""

    id: str
    contributor: str
    item: str
    output: str  # canonical JSON text
    shown: str
    policy: str  # this policy's standing verdict, "" for none
    person: str  # a person's standing verdict, "" for none
    settled: str  # the output that a person accepted, "" for none
    trap: str  # the truth, where the item is a trap, else ""


class Likeliest(NamedTuple):
    """The likeliest answer to an item, in canonical JSON text, how surely, and whether enough people stand behind it."""

    output: str
    probability: float
    supported: bool


class Standing(NamedTuple):
    """What the policy goes by now: the threshold with its source, the calibration on traps, and who is trusted."""

    rule: Literal["reliability", "agreement"]  # agreement: too few traps were answered
    threshold: Threshold
    calibration: tuple[Bin, ...]
    contributors: dict[str, Reliability]

    @property
    def trusted(self) -> frozenset[str]:
        """Return the contributors whom the traps prove."""
        return frozenset(name for name, found in self.contributors.items() if found.trusted)


# Answers of the blocked and of policies count nowhere. A person's verdict stands until it is reopened.
_SQL = """
WITH judged AS (
    SELECT correction_id,
        arg_max(verdict, created) FILTER (reviewer = 'policy:reliability' OR reviewer = 'policy:agreement') AS policy
    FROM reviews WHERE starts_with(reviewer, 'policy:') GROUP BY correction_id)
SELECT c.id, c.contributor, c.input::VARCHAR AS item, c.proposed::VARCHAR AS output, c.shown::VARCHAR AS shown,
    coalesce(j.policy, '') AS policy,
    CASE WHEN c.reviewer <> '' AND NOT starts_with(c.reviewer, 'policy:') THEN c.status ELSE '' END AS person,
    CASE WHEN c.reviewer <> '' AND NOT starts_with(c.reviewer, 'policy:') AND c.status = 'accepted'
        THEN c.output::VARCHAR ELSE '' END AS settled,
    coalesce(t.output::VARCHAR, '') AS trap
FROM current_corrections c
LEFT JOIN judged j ON j.correction_id = c.id
LEFT JOIN current_traps t ON t.active AND t.input_hash = c.input_hash AND t.input::VARCHAR = c.input::VARCHAR
WHERE c.status <> 'withdrawn' AND NOT starts_with(c.contributor, 'policy:')
ORDER BY c.created, c.id
"""


class Believing:
    """Judges the whole log, when asked or some moments after something was said. Safe to use from many threads."""

    def __init__(self, store: Store, kind: Kind, agree: int = 2, precision: float = 0.95, *, pause: float = 0.5) -> None:
        self._store = store
        self._kind = kind
        self._agreement = Agreement(agree)
        self._rule = ThresholdRule(target=precision)
        self._trust = TrustRule()
        self._pause = pause
        self._lock = threading.Lock()
        self._heard = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    # -- when ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Judge by itself from now on, some moments after each answer."""
        self._thread = threading.Thread(target=self._watch, name="believing", daemon=True)
        self._thread.start()
        self._heard.set()

    def close(self) -> None:
        """Stop judging by itself."""
        self._ended.set()
        self._heard.set()
        if self._thread:
            self._thread.join()

    def heard(self, input_hash: str, input_json: str) -> None:
        """Take note that something was said of an input: the log is judged some moments later."""
        self._heard.set()

    def _watch(self) -> None:
        while True:
            self._heard.wait()
            if self._ended.wait(self._pause):
                return
            self._heard.clear()
            try:
                self.settle()
            except AmendError as error:  # the thread's outer edge: what is said next tries again
                _LOG.warning("answers could not be judged: %s", error)

    # -- what ------------------------------------------------------------------------------------------------------

    def settle(self) -> list[Review]:
        """Judge every standing answer and store the verdicts that changed; return them."""
        with self._lock:
            blocked = {
                str(row["contributor"]) for row in self._store.rows("SELECT contributor FROM current_blocks WHERE blocked")
            }
            answers = [Heard(**row) for row in self._store.rows(_SQL)]
            believed = [answer for answer in answers if answer.contributor not in blocked]
            standing, likeliest = self._judge(believed)
            verdicts = self._verdicts(believed, standing, likeliest)
            for answer in answers:  # a block is not given away: they read the same as where nobody agrees
                if answer.contributor in blocked and answer.policy == "accept" and not answer.person:
                    verdicts[answer.id] = ("undecided", "not enough agreement")
            reviews = [Review(new_id("r"), id_, verdict, None, POLICY, reason) for id_, (verdict, reason) in verdicts.items()]
            if reviews:
                self._store.add(*reviews)
            return reviews

    def settled_without(self, contributor: str) -> list[Review]:
        """Judge anew after a contributor was blocked, or is believed again: everybody they spoke beside is judged with it."""
        return self.settle()

    def standing(self) -> Standing:
        """Return what the policy goes by now, for the pages."""
        answers = [Heard(**row) for row in self._store.rows(_SQL)]
        return self._judge(answers)[0]

    def _judge(self, answers: Sequence[Heard]) -> tuple[Standing, dict[str, Likeliest]]:
        results: dict[str, list[bool]] = defaultdict(list)
        for answer in answers:
            if answer.trap:
                results[answer.contributor].append(answer.output == answer.trap)
            elif answer.person == "rejected":  # a reviewer's no is one more failed trap
                results[answer.contributor].append(False)
        people = {name: reliability(found, self._trust) for name, found in results.items()}
        known = {answer.item: answer.trap or answer.settled for answer in answers if answer.trap or answer.settled}
        solve = _labels if self._kind == "choice" else _spans
        trusted = frozenset(name for name, found in people.items() if found.trusted)
        likeliest, posteriors, right, claimed = solve(answers, known, trusted)
        found = threshold(posteriors, right, claimed, self._rule)
        enough = sum(answer.trap != "" for answer in answers) >= self._rule.few
        rule: Literal["reliability", "agreement"] = "reliability" if enough else "agreement"
        return Standing(rule, found, calibration(posteriors, right), people), likeliest

    def _verdicts(
        self, answers: Sequence[Heard], standing: Standing, likeliest: dict[str, Likeliest]
    ) -> dict[str, tuple[Verdict, str]]:
        by_item: dict[str, list[Heard]] = defaultdict(list)
        for answer in answers:
            if not answer.trap:  # nobody is told by a verdict which items were traps
                by_item[answer.item].append(answer)
        made: dict[str, tuple[Verdict, str]] = {}
        for item, said in by_item.items():
            open_ = [answer for answer in said if not answer.person]
            if standing.rule == "agreement":
                opinions = [Opinion(a.id, a.contributor, a.output, a.policy) for a in open_]
                decided = self._agreement.decide(opinions)
                made |= {
                    id_: (verdict, f"{why}; too few trap items answered to weigh people")
                    for id_, (verdict, why) in decided.items()
                }
            else:
                made |= self._weighed(open_, said, likeliest[item], standing)
        return made

    def _weighed(
        self, open_: Sequence[Heard], said: Sequence[Heard], best: Likeliest, standing: Standing
    ) -> dict[str, tuple[Verdict, str]]:
        sure = best.probability >= standing.threshold.value and best.supported
        people = len({answer.contributor for answer in said})
        rule = f"{best.probability:.1%} likely; needed {standing.threshold.value:.1%}, set on {standing.threshold.judged} trap answers"
        made: dict[str, tuple[Verdict, str]] = {}
        for answer in open_:
            verdict: Verdict
            if sure:
                same = answer.output == best.output
                verdict, why = ("accept", "the likeliest answer") if same else ("reject", "another answer is the likeliest")
            elif people >= 2 or answer.policy in ("accept", "reject"):
                verdict, why = "undecided", "not sure enough" if best.supported else "too few people to stand behind an answer"
            else:
                continue
            if answer.policy != verdict:
                made[answer.id] = (verdict, f"{why} ({rule}; {people} contributors)")
        return made


Solved = tuple[dict[str, Likeliest], list[float], list[bool], list[float]]
"""By item the likeliest answer; of items of known truth, as if unknown, the posteriors and whether they were right; and the
posteriors of open items. The last three are of corrections with enough support alone: those are what would be accepted."""


def _labels(answers: Sequence[Heard], known: dict[str, str], trusted: frozenset[str]) -> Solved:
    labels = sorted({text for a in answers for text in (a.output, a.shown)} | set(known.values()))
    if not answers:
        return {}, [], [], []
    said = [consensus.LabelAnswer(a.item, a.contributor, a.output, a.shown) for a in answers]
    solved = consensus.batch(said, labels, known)
    leading = solved.leading()
    likeliest = {best.item: Likeliest(best.label, best.probability, supported(best.said_by, trusted)) for best in leading}
    held = [h for h in solved.held_out() if h.leading.corrects and supported(h.leading.said_by, trusted)]
    claimed = [b.probability for b in leading if b.item not in known and b.corrects and supported(b.said_by, trusted)]
    return likeliest, [h.leading.probability for h in held], [h.right for h in held], claimed


def _spans(answers: Sequence[Heard], known: dict[str, str], trusted: frozenset[str]) -> Solved:
    if not answers:
        return {}, [], [], []
    said = [span_consensus.SpanAnswer(a.item, a.contributor, _triples(a.output), _triples(a.shown)) for a in answers]
    truth = {item: frozenset(_triples(output)) for item, output in known.items()}
    solved = span_consensus.batch(said, truth)
    texts = {(a.item, frozenset(_triples(a.output))): a.output for a in answers}
    leading = solved.leading()
    likeliest = {}
    for best in leading:
        # An answer that nobody gave as a whole (the best parts of several) is accepted for nobody: a reviewer may give it.
        output = texts.get((best.item, frozenset(best.spans)), "")
        likeliest[best.item] = Likeliest(output, best.probability if output else 0.0, best.supported(trusted))
    held = [h for h in solved.held_out() if h.leading.corrects and h.leading.supported(trusted)]
    claimed = [b.probability for b in leading if b.item not in known and b.corrects and b.supported(trusted)]
    return likeliest, [h.leading.probability for h in held], [h.right for h in held], claimed


def _triples(output: str) -> tuple[tuple[int, int, str], ...]:
    value: Json = json.loads(output)
    return tuple((int(span["start"]), int(span["end"]), str(span["label"])) for span in value.get("spans", ()))
