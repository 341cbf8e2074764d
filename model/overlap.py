"""Texts that are in the data more than once, and where one copy teaches while another judges. It removes nothing.

What is equal up to case and white space is kept apart by the program already (`left out`): the judging copy stays. A
near-duplicate (feedback/duplicates.py) is learned from all the same (`learned`): its judge is flattered by it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from feedback.duplicates import duplicate_groups
from feedback.records import Example, Json, normalised, text_of

Sameness = Literal["exact", "normalised", "near"]
Leak = Literal["", "left out", "learned"]
PARTS = ("train", "validation", "test", "feedback", "gate")
"""`feedback`: accepted corrections that teach; `gate`: those that judge."""
JUDGING = frozenset({"validation", "test", "gate"})


class Member(NamedTuple):
    """One copy of a text: where it is and what is said of it."""

    part: str
    example: Example


class Group(NamedTuple):
    """Copies of one text, in the order of PARTS. `sameness` is the loosest one within it.

    `contradicts`: copies that are equal up to case and white space are answered differently.
    """

    sameness: Sameness
    leak: Leak
    contradicts: bool
    members: tuple[Member, ...]


def overlaps(parts: Mapping[str, Sequence[Example]]) -> list[Group]:
    """Return every text that is there more than once: leaks that are learned first, then contradictions, then the rest."""
    members = [Member(part, example) for part in PARTS for example in parts.get(part, ())]
    alike: dict[int, list[Member]] = defaultdict(list)
    for group, member in zip(duplicate_groups([text_of(m.example.input) for m in members]), members, strict=True):
        alike[group].append(member)
    found = [_group(tuple(copies)) for copies in alike.values() if len(copies) > 1]
    return sorted(found, key=lambda group: (group.leak != "learned", not group.contradicts, group.leak == ""))


def counts(groups: Sequence[Group]) -> dict[str, int]:
    """Return how many groups there are of each sameness, leak and contradiction."""
    return {
        **{kind: sum(group.sameness == kind for group in groups) for kind in ("exact", "normalised", "near")},
        "leaks_left_out": sum(group.leak == "left out" for group in groups),
        "leaks_learned": sum(group.leak == "learned" for group in groups),
        "contradictions": sum(group.contradicts for group in groups),
    }


def as_json(group: Group) -> dict[str, Any]:
    """Return a group as JSON. An accepted correction is named by its id: its words belong to whoever wrote them."""
    members = [
        {
            "part": member.part,
            "input": "" if member.example.correction_id else member.example.input,
            "output": member.example.output,
            "correction_id": member.example.correction_id,
        }
        for member in group.members
    ]
    return {"sameness": group.sameness, "leak": group.leak, "contradicts": group.contradicts, "members": members}


def _group(members: tuple[Member, ...]) -> Group:
    texts = {text_of(member.example.input) for member in members}
    hashes = {member.example.input_hash for member in members}
    sameness: Sameness = "exact" if len(texts) == 1 else "normalised" if len(hashes) == 1 else "near"
    judging = {member.example.input_hash for member in members if member.part in JUDGING}
    teaching = {member.example.input_hash for member in members if member.part not in JUDGING}
    leak: Leak = "" if not judging or not teaching else "learned" if teaching - judging else "left out"
    said: dict[str, set[str]] = defaultdict(set)
    for member in members:
        said[member.example.input_hash].add(_said(text_of(member.example.input), member.example.output))
    return Group(sameness, leak, any(len(answers) > 1 for answers in said.values()), members)


def _said(text: str, output: Json) -> str:
    """Return an answer so that it compares over copies that differ in case and white space: what is marked, not where."""
    if "spans" not in output:
        return str(output)
    return str([(span["label"], normalised(text[span["start"] : span["end"]])) for span in output["spans"]])
