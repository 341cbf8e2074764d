"""How much each accepted example of a round weighs: near-duplicates once, then the caps. It judges no label and writes nothing.

What the log knows of an example makes its groups: the contributor, the cohorts (network prefix, channel, the hour in which the
contributor was first seen) and what was changed into what. What a reviewer accepted keeps its weight. An import is the
owner's own act: its annotators are capped as contributors, but they came by no network and in no hour of their own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from feedback.caps import Capped, CapRule, Weighed, capped
from feedback.duplicates import count_once, duplicate_groups
from feedback.exchange.contributor_ids import PREFIX
from feedback.records import Example, Json, text_of
from feedback.store import Store

_SHOWN = 5  # groups that a manifest names, the heaviest first

# Of an accepted example: what was shown, by which network and channel it came, when its contributor was first seen, who decided.
_SQL = """
WITH first AS (SELECT contributor, min(created) AS seen FROM predictions GROUP BY contributor)
SELECT c.id, c.contributor, c.shown, c.output, c.channel, c.network, strftime(f.seen, '%Y-%m-%dT%H') AS hour,
    NOT starts_with(c.reviewer, 'policy:') AS reviewed
FROM current_corrections c LEFT JOIN first f ON f.contributor = c.contributor WHERE c.status = 'accepted'
"""


class Round(NamedTuple):
    """A round's examples with their weights, and what the caps did. `alike` counts texts beyond the first of their kind."""

    examples: list[Example]
    capped: Capped
    alike: int
    before: float  # weight in all before the caps and the counting once
    contributors: int  # of what no reviewer accepted
    needed: int  # contributors without whom the cap on each cannot be met

    def told(self) -> dict[str, Json]:
        """Return what a manifest and a page say of it, as JSON values; weights and shares rounded to .001."""
        over = sorted(self.capped.over, key=lambda group: -group.share / group.cap)
        return {
            "weight": round(sum(example.weight for example in self.examples), 3),
            "before": round(self.before, 3),
            "alike": self.alike,
            "contributors": self.contributors,
            "needed": self.needed,
            "few_contributors": self.capped.few_contributors,
            "met": self.capped.met,
            "scaled": len(self.capped.scaled),
            "over": [
                {"kind": group.kind, "share": round(group.share, 3), "cap": group.cap} for group in over[:_SHOWN]
            ],  # no names: a manifest outlives an erasure
        }


def weigh(store: Store, examples: Sequence[Example], rule: CapRule) -> Round:
    """Return the examples with their weights in this round; their order stays.

    Call it with what will be learned from: items that only judge weigh nothing and fill no cap.
    """
    rows = {str(row["id"]): row for row in store.rows(_SQL)}
    reviewed = [bool(rows[e.correction_id]["reviewed"]) if e.correction_id in rows else False for e in examples]
    groups = duplicate_groups([text_of(e.input) for e in examples])
    once = count_once([e.weight for e in examples], groups, reviewed)
    weighed = [
        Weighed(weight, e.contributor, *_groups(rows.get(e.correction_id)), exempt)
        for e, weight, exempt in zip(examples, once, reviewed, strict=True)
    ]
    found = capped(weighed, rule)
    kept = [replace(e, weight=weight) for e, weight in zip(examples, found.weights, strict=True)]
    people = len({e.contributor for e, exempt in zip(examples, reviewed, strict=True) if not exempt})
    return Round(kept, found, len(examples) - len(set(groups)), sum(e.weight for e in examples), people, rule.fewest)


def label_pair(shown: Json, output: Json) -> str:
    """Return what was changed into what: `a -> b` of labels, the most frequent such change of spans; "" for no change.

    Of several heads it is the first that was changed, in the order of their names; of a head that is left out nothing is said.
    A span that was added changed `nothing` into its label; one whose borders moved, its label into the same label.
    """
    if not isinstance(shown, Mapping) or not isinstance(output, Mapping):
        return ""
    if "label" in output:
        return "" if output["label"] == shown.get("label") else f"{shown.get('label')} -> {output['label']}"
    if "labels" in output:
        was = shown.get("labels", {})
        changed = [head for head, label in sorted(output["labels"].items()) if was.get(head) != label]
        return f"{changed[0]}/{was.get(changed[0])} -> {changed[0]}/{output['labels'][changed[0]]}" if changed else ""
    if "spans" not in output:
        before_, after_ = _said({key: shown.get(key) for key in output}), _said(output)
        return "" if before_ == after_ else f"{before_} -> {after_}"
    before, after = _triples(shown), _triples(output)
    gone, come = sorted(before - after), sorted(after - before)
    changes: Counter[str] = Counter()
    for start, end, label in come:
        met = next((old for old in gone if old[0] < end and start < old[1]), None)
        if met:
            gone.remove(met)
        changes[f"{met[2] if met else 'nothing'} -> {label}"] += 1
    changes.update(f"{label} -> nothing" for _, _, label in gone)
    return min(changes, key=lambda name: (-changes[name], name)) if changes else ""


def _said(output: Mapping[str, Json]) -> str:
    return json.dumps(output, ensure_ascii=False, sort_keys=True)


def _groups(row: Mapping[str, Json] | None) -> tuple[tuple[str, ...], str]:
    """Return the cohorts and the label pair of an example; one that is not in the log (any more) has none."""
    if row is None:
        return (), ""
    pair = label_pair(json.loads(row["shown"]), json.loads(row["output"]))
    if str(row["contributor"]).startswith(PREFIX):
        return (), pair
    named = {"network": row["network"], "channel": row["channel"], "hour": row["hour"]}
    return tuple(f"{kind}:{name}" for kind, name in named.items() if name), pair


def _triples(output: Mapping[str, Json]) -> set[tuple[int, int, str]]:
    return {(int(span["start"]), int(span["end"]), str(span["label"])) for span in output.get("spans", ())}
