"""Blocks and unblocks a contributor, and sees to it that what hangs on it is judged anew. It decides no correction itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from feedback.acceptance import POLICY, Agreement, blocked_contributors, opinions_on
from feedback.errors import BadInput, Conflict, NotFound
from feedback.records import Block, Review, Verdict, new_id
from feedback.store import Store

MAX_REASON = 1000


class Affected(NamedTuple):
    """What a block changed: the row that was stored, and how many corrections were accepted before and are after it."""

    block: Block
    before: int
    after: int


class Blocking:
    """Blocks and unblocks. `recompute(contributor)` judges again what a contributor had a say in; it is asked after each row.

    `screen` masks or refuses identifiers in reasons, as in what visitors write (masking.py).
    """

    def __init__(self, store: Store, recompute: Callable[[str], object], screen: Callable[[str], str] = str) -> None:
        self._store = store
        self._screen = screen
        self._recompute = recompute

    def block(self, contributor: str, author: str, reason: str) -> Affected:
        """Believe a contributor no more: what was accepted of theirs by a policy is undecided, a person's verdict stands.

        They are told nothing. Raises NotFound for one who never came, Conflict for one who is blocked, BadInput without a reason.
        """
        return self._set(contributor, True, author, reason)

    def unblock(self, contributor: str, author: str, reason: str) -> Affected:
        """Believe a contributor again: what they said is judged as if they had never been blocked. Raises as block does."""
        return self._set(contributor, False, author, reason)

    def is_blocked(self, contributor: str) -> bool:
        """Return whether a contributor is blocked now."""
        return bool(self._store.rows("SELECT 1 FROM current_blocks WHERE contributor = ? AND blocked", [contributor]))

    def _set(self, contributor: str, blocked: bool, author: str, reason: str) -> Affected:
        reason = reason.strip()
        if not reason or len(reason) > MAX_REASON:
            raise BadInput(
                f"the reason has {len(reason)} characters: between 1 and {MAX_REASON} are needed", code="reason_needed"
            )
        reason = self._screen(reason)
        there = self._store.rows(
            "SELECT 1 FROM predictions WHERE contributor = $1 UNION ALL SELECT 1 FROM corrections WHERE contributor = $1 LIMIT 1",
            [contributor],
        )
        if not there or contributor.startswith("policy:"):
            raise NotFound(f"no contributor {contributor!r}: erased, or never here", code="no_contributor")
        if self.is_blocked(contributor) == blocked:
            raise Conflict(f"{contributor} is {'blocked' if blocked else 'not blocked'} already", code="blocked_already")
        block = Block(contributor, blocked, author, reason)
        before = self._accepted()
        self._store.add(block)
        self._recompute(contributor)
        return Affected(block, before, self._accepted())

    def _accepted(self) -> int:
        return int(self._store.rows("SELECT count(*) AS n FROM current_corrections WHERE status = 'accepted'")[0]["n"])


def judge_anew(store: Store, policy: Agreement, contributor: str) -> list[Review]:
    """Judge again, by agreement, every text on which a contributor has said something; store and return what changed.

    Blocked contributors have no vote, and what they said is undecided. The reason does not give the block away: they read it.
    """
    blocked = blocked_contributors(store)
    texts = store.rows(
        """SELECT DISTINCT p.input_hash, p.input::VARCHAR AS input FROM corrections c JOIN predictions p ON p.id = c.prediction_id
           WHERE c.contributor = ? ORDER BY ALL""",
        [contributor],
    )
    changed: list[Review] = []
    for text in texts:
        opinions = opinions_on(store, text["input_hash"], text["input"], of_blocked=True)
        verdicts: dict[str, tuple[Verdict, str]] = policy.decide([o for o in opinions if o.contributor not in blocked])
        for opinion in opinions:
            if opinion.contributor in blocked and opinion.verdict == "accept":
                verdicts[opinion.correction_id] = (
                    "undecided",
                    f"not enough agreement (rule: at least {policy.agree}, and a majority)",
                )
        changed += [Review(new_id("r"), id_, verdict, None, POLICY, reason) for id_, (verdict, reason) in verdicts.items()]
    if changed:
        store.add(*changed)
    return changed
