"""The policy `reliability`: accepts what several contributors say, weighed by how far each has earned it.

From the log come everybody's standing answers; trap items, and what reviewers settled, are items of known truth. likeliest.py
says which answer is the likeliest and how surely; from which probability on it is
accepted is set on the traps, judged as if their truth were unknown (threshold.py). One unknown contributor never is: it takes
two, or one whom the traps prove. While too few traps were answered, agreement (acceptance.py) decides, and the reasons say so.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

from feedback.acceptance import Agreement, Opinion, blocked_contributors
from feedback.heads import at_one, told_by, within
from feedback.heard import TRAP_ANSWERS, Heard, answers, records
from feedback.likeliest import SOLVERS, Likeliest, apart, likeliest_labels
from feedback.likeliest import Kind as Kind
from feedback.noted import Noted
from feedback.records import Review, Trap, Verdict, new_id
from feedback.reliability import Reliability, TrustRule
from feedback.store import Store
from feedback.threshold import Bin, Threshold, ThresholdRule, calibration, threshold
from feedback.unanimous import changes, known_traps

POLICY = "policy:reliability"
_SOME = 1000  # inputs; for more at once everything is judged


class Standing(NamedTuple):
    """What the policy goes by now: the threshold with its source, the calibration on traps, and who is trusted."""

    rule: Literal["reliability", "agreement"]  # agreement: too few traps were answered
    trap_answers: int
    threshold: Threshold
    calibration: tuple[Bin, ...]
    contributors: dict[str, Reliability]

    @property
    def trusted(self) -> frozenset[str]:
        """Return the contributors whom the traps prove."""
        return frozenset(name for name, found in self.contributors.items() if found.trusted)


class _Basis(NamedTuple):
    """What, if it changes, may change the verdict on an input of which nothing new was said."""

    trap_answers: int
    traps: int
    blocks: int
    rewrites: int


class Believing:
    """Judges the whole log, when asked or some moments after something was said. Safe to use from many threads."""

    def __init__(self, store: Store, kind: Kind, agree: int = 2, precision: float = 0.95, *, pause: float = 0.5) -> None:
        self._store = store
        self._kind = kind
        self._agreement = Agreement(agree)
        self._rule = ThresholdRule(target=precision)
        self._trust = TrustRule()
        self._lock = threading.Lock()
        self._basis: _Basis | None = None  # of the last judging of everything, where agreement decided
        self._noted = Noted(self._settle_heard, pause, "believing", "answers could not be judged")

    # -- when ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Judge by itself from now on, some moments after each answer."""
        self._noted.begin()

    def close(self) -> None:
        """Stop judging by itself."""
        self._noted.close()

    def heard(self, input_hash: str, input_json: str) -> None:
        """Take note that something was said of an input: it is judged some moments later."""
        self._noted.note(input_hash)

    # -- what ------------------------------------------------------------------------------------------------------

    def settle(self) -> list[Review]:
        """Judge every standing answer and store the verdicts that changed; return them.

        Items that became traps, or are none any more, change who is believed: then it judges once more.
        """
        with self._lock:
            basis = self._look()
            reviews, traps_changed = self._settle_once()
            self._basis = None if traps_changed or basis.trap_answers >= self._rule.few else basis
            return [*reviews, *self._settle_once()[0]] if traps_changed else reviews

    def _settle_heard(self, hashes: frozenset[str]) -> list[Review]:
        """Judge what was said since: where agreement decides, an input is judged for itself, and the others stand as they are."""
        with self._lock:
            alone = self._basis is not None and len(hashes) <= _SOME and self._basis == self._look()
            if alone:
                return self._settle_once(hashes)[0]
        return self.settle()

    def _look(self) -> _Basis:
        (row,) = self._store.rows(
            f"""SELECT (SELECT count(*) FROM ({TRAP_ANSWERS})) AS trap_answers, (SELECT count(*) FROM traps) AS traps,
                (SELECT count(*) FROM blocks) AS blocks"""
        )
        return _Basis(row["trap_answers"], row["traps"], row["blocks"], self._store.rewrites)

    def _settle_once(self, hashes: frozenset[str] | None = None) -> tuple[list[Review], bool]:
        blocked = blocked_contributors(self._store)
        heard = answers(self._store, hashes)
        believed = [answer for answer in heard if answer.contributor not in blocked]
        if (
            hashes is not None or _trap_answers(believed) < self._rule.few
        ):  # agreement decides: what nobody goes by is not computed
            reviews, traps = self._agreed(believed), []
        else:
            standing, likeliest = self._judge(believed)
            reviews = self._verdicts(believed, standing, likeliest)
            traps = self._traps(believed, standing, likeliest)
        for answer in heard:  # a block is not given away: they read the same as where nobody agrees
            if answer.contributor in blocked and answer.policy in ("accept", "amend") and not answer.person:
                reviews.append(_review(answer.id, "undecided", "not enough agreement"))
        if reviews or traps:
            self._store.add(*reviews, *traps)
        return reviews, bool(traps)

    def _traps(self, believed: Sequence[Heard], standing: Standing, likeliest: dict[str, Likeliest]) -> list[Trap]:
        sure = {
            item: best.output
            for item, best in likeliest.items()
            if best.supported and best.probability >= standing.threshold.value
        }
        return changes(believed, sure, standing.trusted, known_traps(self._store), POLICY)

    def settled_without(self, contributor: str) -> list[Review]:
        """Judge anew after a contributor was blocked, or is believed again: everybody they spoke beside is judged with it."""
        return self.settle()

    def standing(self) -> Standing:
        """Return what the policy goes by now, for the pages."""
        blocked = blocked_contributors(self._store)
        return self._judge([answer for answer in answers(self._store) if answer.contributor not in blocked])[0]

    def _judge(self, believed: Sequence[Heard]) -> tuple[Standing, dict[str, Likeliest]]:
        people = {name: record.reliability for name, record in records(self._store, self._trust).items()}
        telling = [answer for answer in believed if not answer.founding]
        known = {answer.item: answer.trap or answer.settled for answer in telling if answer.trap or answer.settled}
        solve = SOLVERS.get(self._kind, likeliest_labels)
        trusted = frozenset(name for name, found in people.items() if found.trusted)
        likeliest, posteriors, right, claimed = solve(telling, known, trusted)
        found = threshold(posteriors, right, claimed, self._rule)
        trap_answers = _trap_answers(believed)
        rule: Literal["reliability", "agreement"] = "reliability" if trap_answers >= self._rule.few else "agreement"
        return Standing(rule, trap_answers, found, calibration(posteriors, right), people), likeliest

    def _agreed(self, believed: Sequence[Heard]) -> list[Review]:
        made: list[Review] = []
        for said in _by_item(believed).values():
            opinions = [Opinion(a.id, a.contributor, a.output, a.policy) for a in said if not a.person]
            if len(opinions) < self._agreement.agree and not any(opinion.verdict for opinion in opinions):
                continue  # most items of a long log: said once, never judged
            made += [
                _review(id_, verdict, f"{why}; too few trap items answered to weigh people")
                for id_, (verdict, why) in self._agreement.decide(opinions).items()
            ]
        return made

    def _verdicts(self, believed: Sequence[Heard], standing: Standing, likeliest: dict[str, Likeliest]) -> list[Review]:
        made: list[Review] = []
        for item, said in _by_item(believed).items():
            made += self._weighed([answer for answer in said if not answer.person], said, likeliest[item], standing)
        return made

    def _weighed(self, open_: Sequence[Heard], said: Sequence[Heard], best: Likeliest, standing: Standing) -> list[Review]:
        sure = best.probability >= standing.threshold.value and best.supported
        people = len({answer.contributor for answer in said})
        rule = f"{best.probability:.1%} likely; needed {standing.threshold.value:.1%}, set on {standing.threshold.judged} trap answers"
        joined = sure and told_by(best.output) is None and best.output not in {answer.output for answer in said}
        nearest = min(open_, key=lambda answer: apart(answer.output, best.output), default=None) if joined else None
        made: list[Review] = []
        for answer in open_:
            verdict: Verdict
            if answer is nearest:
                verdict, why = "amend", "the likeliest answer joins what several said"
            elif sure:
                verdict, why = _beside(answer.output, best.output)
            elif people >= 2 or answer.policy in ("accept", "amend", "reject"):
                verdict, why = "undecided", "not sure enough" if best.supported else "too few people to stand behind an answer"
            else:
                continue
            output = best.output if verdict == "amend" else ""
            if (answer.policy, answer.given) != (verdict, output):
                likely = best.probability if verdict in ("accept", "amend") else None
                made.append(_review(answer.id, verdict, f"{why} ({rule}; {people} contributors)", output, likely))
        return made


def _beside(output: str, best: str) -> tuple[Verdict, str]:
    """Return the verdict on an output beside the likeliest one, which is sure: of several heads it may tell some alone, or more."""
    if output == best or within(json.loads(output), json.loads(best)):
        return "accept", "the likeliest answer"
    if at_one(output, best):
        return "undecided", "not sure enough of every head that it tells"
    return "reject", "another answer is the likeliest"


def _trap_answers(believed: Sequence[Heard]) -> int:
    return sum(answer.trap != "" and not answer.founding for answer in believed)


def _by_item(believed: Sequence[Heard]) -> dict[str, list[Heard]]:
    """Return what is judged: no answer to a trap, since nobody is to be told by a verdict which items are traps."""
    found: dict[str, list[Heard]] = defaultdict(list)
    for answer in believed:
        if not answer.trap and not answer.founding:
            found[answer.item].append(answer)
    return found


def _review(id_: str, verdict: Verdict, reason: str, output: str = "", probability: float | None = None) -> Review:
    given = json.loads(output) if output else None
    return Review(new_id("r"), id_, verdict, given, POLICY, reason, probability=probability)
