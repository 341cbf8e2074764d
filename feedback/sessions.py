"""Logins of people as signed cookies that expire and can be ended on the server; and the mark of a browser that a person used.

The mark is no login: it opens nothing. It only lets the person's own browser past the throttle that a stranger's guesses
at their name have filled, so that nobody can lock them out.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from feedback.home import Home
from feedback.secret_table import SecretTable, Table

SESSION_SECONDS = 14 * 24 * 3600
MARK_SECONDS = 365 * 24 * 3600


class Sessions:
    """`password_of` gives what a name's logins hang on (its password's hash): when that changes, they end."""

    def __init__(self, home: Home, password_of: Callable[[str], str]) -> None:
        key = home.secret("session.key").decode()
        self._logins = URLSafeTimedSerializer(key, salt="studio")
        self._marks = URLSafeTimedSerializer(key, salt="studio-browser")
        self._password_of = password_of
        self._ended = SecretTable(home.secrets / "ended-logins.json")  # login id -> when its cookie is out of date anyway
        self._epochs = SecretTable(home.secrets / "login-epochs.json")  # name -> a number that a log-out everywhere replaces

    def begin(self, name: str) -> str:
        """Return the value of a login cookie."""
        return self._dumped(self._logins, name)

    def holder(self, cookie: str) -> str | None:
        """Return the name in a login cookie that is signed by us, not out of date and not ended; else None."""
        found = self._loaded(self._logins, cookie, SESSION_SECONDS)
        return None if found is None or found[1] in self._ended.read() else found[0]

    def end(self, cookie: str) -> None:
        """End one login, wherever its cookie has got to. What is no login of ours is nothing to end."""
        found = self._loaded(self._logins, cookie, SESSION_SECONDS)
        if found is None:
            return
        until, this_moment = str(int(time.time()) + SESSION_SECONDS), time.time()

        def ended(table: Table) -> Table:
            return {**{login: end for login, end in table.items() if float(end) > this_moment}, found[1]: until}

        self._ended.change(ended)

    def end_all(self, name: str) -> None:
        """End every login of a person; marks of their browsers end with them."""
        self._epochs.put(name, secrets.token_hex(8))

    def mark(self, name: str) -> str:
        """Return the value of the cookie that marks a browser as one that this person logged in from."""
        return self._dumped(self._marks, name)

    def marked(self, cookie: str, name: str) -> str:
        """Return the id of a browser's mark where it is this person's and stands; "" else."""
        found = self._loaded(self._marks, cookie, MARK_SECONDS)
        return found[1] if found is not None and found[0] == name else ""

    def _dumped(self, serializer: URLSafeTimedSerializer, name: str) -> str:
        dumped = serializer.dumps([name, self._generation(name), secrets.token_hex(8)])
        return dumped if isinstance(dumped, str) else dumped.decode()

    def _loaded(self, serializer: URLSafeTimedSerializer, cookie: str, seconds: int) -> tuple[str, str] | None:
        """Return (name, id) of a cookie whose signature, age and generation hold."""
        try:
            said: Any = serializer.loads(cookie, max_age=seconds)
        except BadData:
            return None
        if not (isinstance(said, list) and len(said) == 3 and all(isinstance(part, str) for part in said)):
            return None  # signed by us in an earlier release
        name, generation, id_ = said
        return (name, id_) if secrets.compare_digest(generation, self._generation(name)) else None

    def _generation(self, name: str) -> str:
        stands_on = f"{self._epochs.read().get(name, '')}:{self._password_of(name)}"
        return sha256(stands_on.encode()).hexdigest()[:16]
