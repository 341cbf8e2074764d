"""Which version waits for its turn, and who may offer or promote one. It trains nothing and judges nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from feedback.errors import AmendError, Conflict
from feedback.store import Store
from model.card import Card
from model.lineage import carries_erased
from model.rounds import LANE, Rounds

_log = logging.getLogger("amend.offering")


class Offering:
    """Versions on their way from the gate into an experiment, and to the champion's place."""

    def __init__(self, rounds: Rounds, store: Store) -> None:
        self._rounds = rounds
        self._store = store
        self._settings = rounds.demo.experiment
        self._experiments = rounds.experiments
        self._versions = rounds.versions

    def waiting(self) -> Card | None:
        """Return the passed candidate that waits for its turn: the newest one that no experiment has tried.

        One that carries what was erased since is left out: the next retraining makes one that does not.
        """
        tried = {variant.version for experiment in self._experiments.all() for variant in experiment.variants}
        tried.add(self._experiments.champion)
        tried |= {int(row["version"]) for row in self._store.rows("SELECT DISTINCT version FROM promotions")}
        cards, erased = self._rounds.lineage()
        newer = [
            card for card in cards.values()
            if card.number > max(tried) and card.verdict == "passed" and not carries_erased(card.number, cards, erased)
        ]  # fmt: skip
        return newer[-1] if newer else None

    def offer(self, number: int, share: float | None, author: str, reason: str = "") -> Any:
        """Make a version the challenger. What the gate did not pass is offered only with a reason."""
        card = self._versions.card(number)
        _ask_reason(card, reason, "offered")
        chosen = self._settings.challenger_share if share is None else share
        return self._experiments.offer(number, share=chosen, author=author, reason=reason, defaults=self._settings.declared())

    def promote(self, number: int, author: str, reason: str = "") -> Any:
        """Make a version the champion. What the gate did not pass is promoted only with a reason."""
        _ask_reason(self._versions.card(number), reason, "promoted")
        return self._experiments.promote(number, author, reason)

    def offer_waiting(self, regate: Callable[[int, str], object] | None) -> None:
        """Offer the candidate that waits, once no experiment runs, where the demo offers by itself.

        One that was gated against an older champion is gated again by `regate(number, author)`; None: there is no time for it now.
        """
        if self._settings.offer != "automatic" or self._experiments.current is not None:
            return
        card = self.waiting()
        if card is None:
            return
        try:
            if card.champion_version != self._experiments.champion:
                if regate and not self._gate_failed(card.number):
                    regate(card.number, "policy:offer")
            else:
                self.offer(card.number, None, f"policy:{LANE if card.trigger == LANE else 'offer'}", "passed the gate")
        except AmendError as error:
            _log.warning("version %d could not be offered: %s", card.number, error)

    def _gate_failed(self, number: int) -> bool:
        """Whether a renewed gate of this version broke down: then a person starts it again, not a timer."""
        sql = "SELECT 1 FROM training_runs WHERE \"trigger\" = 'gate' AND version = ? AND state IN ('failed', 'cancelled')"
        return bool(self._store.rows(sql, [number]))


def _ask_reason(card: Card, reason: str, what: str) -> None:
    if card.verdict not in ("passed", "first") and not reason.strip():
        raise Conflict(
            f"the gate's verdict on version {card.number} is {card.verdict!r}: it is {what} only with a reason",
            code="reason_of_verdict",
            values={"version": card.number},
        )
