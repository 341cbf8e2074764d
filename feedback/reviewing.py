"""The use cases of reviewers: be given what is worth most, judge it, take it back, accept the unanimous, see the progress.

Page and routes come here; the rules are here and not on buttons. What a verdict is worth is in review_value.py, what may
be read around a correction in review_context.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from feedback.errors import BadInput, Conflict, Forbidden, NotFound, TooLarge
from feedback.leases import Leases
from feedback.records import Json, Review, Status, Verdict, keyed_id, new_id, now
from feedback.review_context import Others, Unanimous, others_on, unanimous
from feedback.review_progress import Progress, Recent, progress, recent
from feedback.review_value import Ranking, Waiting, waiting
from feedback.store import Store

VERDICTS: tuple[Verdict, ...] = ("accept", "reject", "amend")
MAX_REASON_CHARS = 1000
OPEN_STATUSES = ("pending", "undecided")


class Checking(Protocol):
    """What reviewing needs of model/: the task's rules."""

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Return input and output in canonical form; raise BadInput where a rule is broken."""


class Bulk(NamedTuple):
    """What became of a bulk acceptance: the stored verdicts, and how many corrections were no longer unanimous or free."""

    reviews: tuple[str, ...]
    left_out: int


class Reviewing:
    """The reviewers' work over one log. Safe to use from many threads.

    `reopened(input_hash, input_json)` is called after a verdict was taken back: the policy may have its word again.
    `screen` masks or refuses identifiers in reasons, which contributors read, as in what visitors write (masking.py).
    """

    def __init__(
        self,
        store: Store,
        model: Checking,
        reopened: Callable[[str, str], object] = lambda input_hash, input_json: None,
        leases: Leases | None = None,
        *,
        screen: Callable[[str], str] = str,
    ) -> None:
        self.store = store
        self._model = model
        self._reopened = reopened
        self._screen = screen
        self._lock = threading.Lock()  # between what is read and the verdict that stands on it
        self._ranked = Ranking(store)
        self.leases = leases or Leases()

    # -- the queue -----------------------------------------------------------------------------------------------

    def queue(self, limit: int = 50) -> list[Waiting]:
        """Return what waits, most valuable first (see review_value.py), open in a page or not."""
        return waiting(self.store, limit)

    def offer(self, page: str, want: int, without: Collection[str] = ()) -> list[Waiting]:
        """Return up to `want` items for a page, most valuable first, and lease them to it: nobody else is offered them.

        `without` are items that the page does not want: those it has, and those it skipped.
        """
        if not page:
            raise BadInput("a page that is to be given items needs a name of its own")
        known = self._ranked.best(want + len(without) + len(self.leases.elsewhere(page)))
        kept = set(without)
        free = {item.id: item for item in known if item.id not in kept}
        return [free[id_] for id_ in self.leases.take(page, free, want)]

    def open(self, page: str, corrections: Collection[str]) -> list[Waiting]:
        """Lease these corrections to a page and return them, those that wait and are free; one that was taken back comes so."""
        found = {item.id: item for item in waiting(self.store, len(corrections), corrections)}
        return [found[id_] for id_ in self.leases.take(page, found, len(found))]

    # -- verdicts ------------------------------------------------------------------------------------------------

    def judge(
        self, reviewer: str, correction_id: str, verdict: str, output: Json = None, reason: str = "", *,
        page: str = "", key: str = "",
    ) -> Review:  # fmt: skip
        """Store a person's verdict: accept, reject, or amend with an output of their own. The newest verdict counts.

        From a page (`page`) the correction must wait still and not be open in another page; a program's verdict outranks
        an earlier one. `key` makes a retry the same call. Raises BadInput, NotFound, Conflict, TooLarge.
        """
        if verdict not in VERDICTS:
            raise BadInput(f"unknown verdict {verdict!r}: available are {', '.join(VERDICTS)}")
        if len(reason) > MAX_REASON_CHARS:
            raise TooLarge(
                f"the reason has {len(reason)} characters; at most {MAX_REASON_CHARS} are kept",
                code="review_reason_long",
                values={"count": len(reason), "limit": MAX_REASON_CHARS},
            )
        reason = self._screen(reason)
        if (verdict == "amend") != (output is not None):
            raise BadInput("an output belongs to the verdict 'amend', and to it alone")
        with self._lock:
            row = self._correction(correction_id)
            if output is not None:
                _, output = self._model.check(json.loads(row["input"]), output)
            id_ = keyed_id("r", reviewer, key) if key else new_id("r")
            review = Review(id_, correction_id, verdict, output, reviewer, reason)  # checked above
            if key and (known := self._review(id_)):
                return _retried(known, review, key)
            self._may_judge(row, verdict, page)
            self.store.add(review)
        if page:
            self.leases.release(page, [correction_id])
        return review

    def repeat(self, reviewer: str, correction_id: str, page: str = "") -> list[Review]:
        """Give those who say just the same of the same text, and wait, the verdict that the reviewer gave this one."""
        with self._lock:
            mine = self._own_verdict(reviewer, correction_id)
            elsewhere = self.leases.elsewhere(page)
            alike = [id_ for id_ in others_on(self.store, correction_id, reviewer).alike if id_ not in elsewhere]
            return self._add_all(alike, reviewer, mine.verdict, mine.output, mine.reason)

    def undo(self, reviewer: str, review_ids: Sequence[str]) -> list[str]:
        """Take the reviewer's own verdicts back, all or none; return their corrections, which wait again.

        What is taken back already stays so. Raises NotFound, Forbidden for another's verdict, Conflict where somebody has
        judged anew since.
        """
        with self._lock:
            standing = [row for id_ in dict.fromkeys(review_ids) if (row := self._to_undo(reviewer, id_))]
            self._add_all([row["correction_id"] for row in standing], reviewer, "reopen", None, "")
        for input_hash, input_json in {(row["input_hash"], row["input"]) for row in standing}:
            self._reopened(input_hash, input_json)
        return [row["correction_id"] for row in standing]

    def accept_unanimous(self, reviewer: str, corrections: Collection[str], page: str = "") -> Bulk:
        """Accept these corrections at once, each with a verdict of its own.

        Those that are unanimous no more (see review_context.unanimous), or open in another page, are left out and counted.
        """
        asked = set(corrections)
        with self._lock:
            elsewhere = self.leases.elsewhere(page)
            reasons = {
                id_: f"accepted together with others: {group.people} contributors say the same, nobody otherwise"
                for group in unanimous(self.store)
                for id_ in group.corrections
                if id_ in asked and id_ not in elsewhere
            }
            moment = now()
            made = [Review(new_id("r"), id_, "accept", None, reviewer, why, moment) for id_, why in reasons.items()]
            if made:
                self.store.add(*made)
        if page:
            self.leases.release(page, reasons)
        return Bulk(tuple(review.id for review in made), len(asked) - len(made))

    # -- reading -------------------------------------------------------------------------------------------------

    def unanimous(self, limit: int, page: str = "") -> list[Unanimous]:
        """Return what may be accepted at once, without what is open in other pages."""
        elsewhere = self.leases.elsewhere(page)
        return [group for group in unanimous(self.store, limit) if elsewhere.isdisjoint(group.corrections)]

    def others(self, reviewer: str, correction_id: str) -> Others:
        """Return what others said of a correction's text; raise Conflict before the reviewer has judged it: blind until then."""
        self._correction(correction_id)
        self._own_verdict(reviewer, correction_id)
        return others_on(self.store, correction_id, reviewer)

    def recent(self, reviewer: str, limit: int = 10) -> list[Recent]:
        """Return the reviewer's last acts that stand, newest first: what can be taken back."""
        return recent(self.store, reviewer, limit)

    def progress(self, reviewer: str, since: datetime | None = None, page: str = "") -> Progress:
        """Return how far the work is; `since` (UTC where it names no zone) is when the reviewer's day began, midnight UTC where not said."""
        began = since or now().replace(hour=0, minute=0, second=0, microsecond=0)
        if began.tzinfo is not None:
            began = began.astimezone(UTC).replace(tzinfo=None)
        return progress(self.store, reviewer, began, len(self.leases.elsewhere(page)))

    def status(self, correction_id: str) -> Status:
        """Return where a correction stands; raise NotFound for one that is not there."""
        status: Status = self._correction(correction_id)["status"]
        return status

    def tally(self) -> dict[str, int]:
        """Return the number of corrections by status (of those that occur)."""
        rows = self.store.rows("SELECT status, count(*) AS n FROM current_corrections GROUP BY status ORDER BY status")
        return {row["status"]: int(row["n"]) for row in rows}

    # -- inside --------------------------------------------------------------------------------------------------

    def _correction(self, id_: str) -> dict[str, Any]:
        rows = self.store.rows(
            """SELECT c.id, c.input, c.input_hash, c.status, c.reviewer, coalesce(b.blocked, false) AS blocked
               FROM current_corrections c LEFT JOIN current_blocks b ON b.contributor = c.contributor WHERE c.id = ?""",
            [id_],
        )
        if not rows:
            raise NotFound(f"no correction {id_!r}", code="review_gone")
        return rows[0]

    def _may_judge(self, row: dict[str, Any], verdict: str, page: str) -> None:
        if row["status"] == "withdrawn":
            raise Conflict("its contributor has withdrawn this correction: it can no longer be judged", code="review_withdrawn")
        if row["blocked"] and verdict != "reject":
            raise Conflict("its contributor is blocked: nothing of theirs is accepted; reject it", code="review_blocked")
        if page and row["status"] not in OPEN_STATUSES:
            raise Conflict("somebody has judged this correction meanwhile: look again", code="review_judged")
        if page and self.leases.renew(page, [row["id"]]):
            raise Conflict("this correction is open in another reviewer's page by now: look again", code="review_elsewhere")

    def _review(self, id_: str) -> Review | None:
        rows = self.store.rows("SELECT * FROM reviews WHERE id = ?", [id_])
        return Review(**{**rows[0], "output": json.loads(rows[0]["output"] or "null")}) if rows else None

    def _own_verdict(self, reviewer: str, correction_id: str) -> Review:
        """Return the reviewer's newest verdict on a correction unless it was taken back."""
        rows = self.store.rows(
            """SELECT id FROM reviews r WHERE correction_id = ? AND reviewer = ? AND verdict <> 'reopen'
               AND created > coalesce((SELECT max(created) FROM reviews o WHERE o.correction_id = r.correction_id
                                       AND o.verdict = 'reopen'), '1970-01-01'::TIMESTAMP)
               ORDER BY created DESC LIMIT 1""",
            [correction_id, reviewer],
        )
        own = self._review(rows[0]["id"]) if rows else None
        if own is None:
            raise Conflict("what others say is shown once you have judged it yourself", code="review_blind")
        return own

    def _to_undo(self, reviewer: str, review_id: str) -> dict[str, Any] | None:
        """Return the verdict's row if it stands, None if it was taken back already; raise for what is not to be undone."""
        rows = self.store.rows(
            """SELECT r.correction_id, r.reviewer, c.input_hash, c.input, coalesce(n.id = r.id, false) AS stands,
                      EXISTS (SELECT 1 FROM reviews o WHERE o.correction_id = r.correction_id AND o.verdict = 'reopen'
                              AND o.created >= r.created) AS taken_back
               FROM reviews r JOIN current_corrections c ON c.id = r.correction_id
               LEFT JOIN current_reviews n ON n.correction_id = r.correction_id WHERE r.id = ? AND r.verdict <> 'reopen'""",
            [review_id],
        )
        if not rows:
            raise NotFound(f"no verdict {review_id!r}", code="verdict_gone")
        if rows[0]["reviewer"] != reviewer:
            raise Forbidden(
                "only whoever gave a verdict takes it back; judge the correction anew instead", code="verdict_of_another"
            )
        if rows[0]["taken_back"]:
            return None
        if not rows[0]["stands"]:
            raise Conflict("somebody has judged this correction anew since: your verdict counts no more", code="review_judged")
        return rows[0]

    def _add_all(self, corrections: Sequence[str], reviewer: str, verdict: Verdict, output: Json, reason: str) -> list[Review]:
        moment = now()  # one act: taken back together
        made = [Review(new_id("r"), id_, verdict, output, reviewer, reason, moment) for id_ in corrections]
        if made:
            self.store.add(*made)
        return made


def _retried(known: Review, review: Review, key: str) -> Review:
    if (known.correction_id, known.verdict, known.output, known.reason) != (
        review.correction_id, review.verdict, review.output, review.reason,
    ):  # fmt: skip
        raise Conflict(f"the Idempotency-Key {key!r} was used for a different request: use a new key for a new request")
    return known
