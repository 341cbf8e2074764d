"""Rate limits by contributor and network prefix, as the demo sets them. It counts in memory; it stores nothing."""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from feedback.demo import LimitSettings
from feedback.errors import TooMany
from feedback.records import Visitor


class Limits:
    """How much one contributor, and one network prefix, may do in a minute. Staff are not limited."""

    def __init__(self, settings: LimitSettings) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._factor = settings.per_network_factor
        self._allowed = {
            "predictions": settings.predictions_per_minute,
            "corrections": settings.corrections_per_minute,
            "votes": settings.predictions_per_minute,
        }

    def spend(self, what: str, visitor: Visitor, cost: int = 1) -> None:
        """Count `cost` acts of kind `what`, all or none; raise TooMany with the seconds to wait where a limit is reached.

        A cost above what a minute allows takes the whole minute: it waits, and is not refused for ever.
        """
        if visitor.staff:
            return
        allowed = self._allowed[what]
        cost = min(cost, allowed)
        self._hit(RateLimitItemPerMinute(allowed), what, "contributor", visitor.contributor, cost)
        if visitor.network:
            self._hit(RateLimitItemPerMinute(allowed * self._factor), what, "network", visitor.network, cost)

    def attempt(self, what: str, who: str, per_minute: int) -> None:
        """Count one attempt (a login) of `who`; raise TooMany past `per_minute`."""
        self._hit(RateLimitItemPerMinute(per_minute), what, "attempt", who)

    def _hit(self, item: RateLimitItemPerMinute, what: str, by: str, who: str, cost: int = 1) -> None:
        if self._limiter.hit(item, what, by, who, cost=cost):
            return
        reset = self._limiter.get_window_stats(item, what, by, who).reset_time
        wait = max(1, math.ceil(reset - time.time()))
        raise TooMany(
            f"more than {item.amount} {what} a minute by one {by}: try again in {wait} s",
            wait,
            code="too_many",
            values={"seconds": wait},
        )
