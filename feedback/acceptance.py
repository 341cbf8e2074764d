"""Whether corrections are believed: the policy that stands in for a reviewer. It decides from the log and writes Reviews.

Today's policy is agreement: enough different contributors who say the same of the very same input, and more than
all who say otherwise. A person's verdict always outranks it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from feedback.heads import told_by
from feedback.records import Review, Verdict, new_id
from feedback.store import Store

POLICY = "policy:agreement"


class Opinion(NamedTuple):
    """One contributor's standing correction of an input. `output` is its canonical JSON text."""

    correction_id: str
    contributor: str
    output: str
    verdict: str  # the policy's last verdict, "" for none yet


class Agreement:
    """Accept what `agree` different contributors say alike, as long as they are more than those who differ."""

    def __init__(self, agree: int) -> None:
        self.agree = agree

    def decide(self, opinions: Sequence[Opinion]) -> dict[str, tuple[Verdict, str]]:
        """Return correction id -> (verdict, reason) for every correction whose verdict is to change.

        A contributor counts once, with their newest opinion. Fewer than `agree` contributors leave everything pending,
        and take back what was accepted while there were more (somebody withdrew). Outputs of several heads are judged head by
        head: one is accepted where each head that it tells is.
        """
        newest = {opinion.contributor: opinion.output for opinion in opinions}
        told = {output: heads for output in newest.values() if (heads := told_by(output)) is not None}
        if told:
            return self._by_head(opinions, newest, told)
        votes = Counter(newest.values())
        if not votes:
            return {}
        leader, most = votes.most_common(1)[0]
        believed = most >= self.agree and most > len(newest) - most
        verdicts: dict[str, tuple[Verdict, str]] = {}
        for opinion in opinions:
            rule = f"rule: at least {self.agree}, and a majority"
            if believed and opinion.output == leader == newest[opinion.contributor]:
                verdict: Verdict = "accept"
                reason = f"{most} contributors say the same, {len(newest) - most} otherwise ({rule})"
            elif len(newest) >= self.agree or opinion.verdict == "accept":
                verdict = "undecided"
                reason = f"{votes[opinion.output]} of {len(newest)} contributors say this ({rule})"
            else:
                continue
            if opinion.verdict != verdict:
                verdicts[opinion.correction_id] = (verdict, reason)
        return verdicts

    def _by_head(
        self, opinions: Sequence[Opinion], newest: Mapping[str, str], told: Mapping[str, Mapping[str, str]]
    ) -> dict[str, tuple[Verdict, str]]:
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        for output in newest.values():
            for head, label in told[output].items():
                votes[head][label] += 1
        leaders = {head: of_head.most_common(1)[0] for head, of_head in votes.items()}
        believed = {
            head: label for head, (label, most) in leaders.items() if most >= self.agree and most > votes[head].total() - most
        }
        verdicts: dict[str, tuple[Verdict, str]] = {}
        for opinion in opinions:
            mine = told_by(opinion.output) or {}
            fewest = min((votes[head][label] for head, label in mine.items()), default=0)
            rule = f"rule: at least {self.agree}, and a majority, of each head that is told"
            if mine.items() <= believed.items() and opinion.output == newest[opinion.contributor]:
                verdict: Verdict = "accept"
                reason = f"{fewest} contributors or more say the same of {', '.join(sorted(mine))} ({rule})"
            elif len(newest) >= self.agree or opinion.verdict == "accept":
                verdict = "undecided"
                reason = f"{fewest} of {len(newest)} contributors say this ({rule})"
            else:
                continue
            if opinion.verdict != verdict:
                verdicts[opinion.correction_id] = (verdict, reason)
        return verdicts


def blocked_contributors(store: Store) -> set[str]:
    """Return the contributors who are blocked now: what they say is believed by no policy."""
    return {str(row["contributor"]) for row in store.rows("SELECT contributor FROM current_blocks WHERE blocked")}


def opinions_on(store: Store, input_hash: str, input_json: str, *, of_blocked: bool = False) -> list[Opinion]:
    """Return the standing opinions on exactly this input that no person has judged, oldest first.

    What policies say is no opinion, nor what the blocked say (`of_blocked`: with theirs, for taking them back); and a trap's
    answers are not judged: its truth is known.
    """
    rows = store.rows(
        """WITH asked AS (SELECT id FROM predictions WHERE input_hash = $1 AND input::VARCHAR = $2),
                said AS (SELECT c.* FROM corrections c JOIN asked ON asked.id = c.prediction_id),
                judged AS (SELECT r.correction_id,
                                  max(r.created) FILTER (NOT starts_with(r.reviewer, 'policy:') AND r.verdict <> 'reopen')
                                      > coalesce(max(r.created) FILTER (r.verdict = 'reopen'), '-infinity') AS by_person,
                                  arg_max(r.verdict, r.created) FILTER (starts_with(r.reviewer, 'policy:')) AS verdict
                           FROM reviews r SEMI JOIN said ON said.id = r.correction_id GROUP BY r.correction_id)
           SELECT said.id, said.contributor, said.output::VARCHAR AS output, coalesce(judged.verdict, '') AS verdict
           FROM said LEFT JOIN judged ON judged.correction_id = said.id
           ANTI JOIN withdrawals w ON w.correction_id = said.id
           ANTI JOIN (SELECT contributor FROM current_blocks WHERE blocked AND NOT $3) b ON b.contributor = said.contributor
           WHERE NOT coalesce(judged.by_person, false) AND NOT starts_with(said.contributor, 'policy:')
               AND NOT EXISTS (FROM current_traps k WHERE k.active AND k.input_hash = $1 AND k.input::VARCHAR = $2)
           ORDER BY said.created, said.id""",
        [input_hash, input_json, of_blocked],
    )
    return [Opinion(str(r["id"]), str(r["contributor"]), str(r["output"]), str(r["verdict"])) for r in rows]


def apply_policy(store: Store, policy: Agreement, input_hash: str, input_json: str) -> list[Review]:
    """Judge what stands on one input and store the verdicts that changed; return them."""
    decided = policy.decide(opinions_on(store, input_hash, input_json))
    reviews = [Review(new_id("r"), id_, verdict, None, POLICY, reason) for id_, (verdict, reason) in decided.items()]
    if reviews:
        store.add(*reviews)
    return reviews


def judge_last(store: Store, judge: Callable[[str, str], object], minutes: int = 5) -> int:
    """Judge what was said in the log's last minutes and waits; return how many inputs. A kill may have come before their judging."""
    rows = store.rows(
        """SELECT DISTINCT input_hash, input::VARCHAR AS input FROM current_corrections
           WHERE status = 'pending' AND created >= (SELECT max(created) FROM corrections) - to_minutes($1)""",
        [minutes],
    )
    for row in rows:
        judge(row["input_hash"], row["input"])
    return len(rows)
