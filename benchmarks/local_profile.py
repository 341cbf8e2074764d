"""The local profile: 40 contributors on one machine, each with a cookie and a network prefix of their own. It measures nothing.

The app counts and limits by network prefix, and from one machine all requests come from 127.0.0.1. A demo trusts the proxies of
its TOML (`[server] trusted_proxies`, 127.0.0.1 unless it says otherwise) to name the visitor's address in X-Forwarded-For; so a
benchmark beside the app speaks as such a proxy. The addresses are of 198.18.0.0/15, which is set aside for benchmarks (RFC 2544)
and reaches nobody. A demo that trusts no proxy, or another machine's address, takes no notice of the header: all are one prefix.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import httpx

CONTRIBUTORS = 40


def address(number: int) -> str:
    """Return the address of contributor `number` (0..511): each is alone in a /24."""
    return f"198.{18 + number // 256}.{number % 256}.7"


def headers(number: int, channel: str = "") -> dict[str, str]:
    """Return the headers with which contributor `number` asks; the channel is the one their page would have come by."""
    made = {"X-Forwarded-For": address(number)}
    return {**made, "Referer": f"http://localhost/?channel={channel}"} if channel else made


@contextlib.contextmanager
def contributors(url: str, count: int = CONTRIBUTORS) -> Iterator[list[httpx.Client]]:
    """Open `count` clients of the app at `url`, each a contributor of its own from the first answer on, and close them."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(httpx.Client(base_url=url, headers=headers(number), timeout=60)) for number in range(count)]
