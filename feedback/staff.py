"""Who is staff: passwords of people (argon2), tokens of programs (sha256 of 256 random bits), logins as signed cookies.

`python -m feedback.staff token NAME` makes a token; `python -m feedback.staff password [NAME]` sets a password.
"""

from __future__ import annotations

import argparse
import getpass
import hmac
import json
import re
import secrets
import sys
from hashlib import sha256
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from itsdangerous import BadSignature, URLSafeTimedSerializer

from feedback.errors import AmendError, BadInput
from feedback.home import Home, write_atomically

OWNER = "owner"
SESSION_SECONDS = 14 * 24 * 3600
_MIN_PASSWORD = 10


class Staff:
    """The people and programs that may do more than visitors. State is in the home's secrets; read at each use."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._hasher = PasswordHasher()
        self._serializer = URLSafeTimedSerializer(home.secret("session.key").decode(), salt="studio")
        # Verified when a name is unknown, so that a guess takes the same time whether or not the name exists.
        self._decoy = self._hasher.hash(secrets.token_hex(8))

    # -- people --------------------------------------------------------------------------------------------------

    def first_password(self) -> str | None:
        """At first start make the owner's password and return it, to be printed once; None later."""
        if self._read("passwords.json"):
            return None
        password = secrets.token_urlsafe(12)
        self.set_password(OWNER, password)
        return password

    def set_password(self, name: str, password: str) -> None:
        """Set a person's password; their open logins end. Raises BadInput for a bad name or a short password."""
        _check_name(name)
        if len(password) < _MIN_PASSWORD:
            raise BadInput(f"the password has {len(password)} characters: at least {_MIN_PASSWORD} are needed")
        self._update("passwords.json", name, self._hasher.hash(password))

    def check_password(self, name: str, password: str) -> bool:
        """Return whether this is the person's password."""
        known = self._read("passwords.json").get(name)
        try:
            return self._hasher.verify(known or self._decoy, password) and known is not None
        except (VerificationError, InvalidHashError):
            return False

    def login(self, name: str) -> str:
        """Return the value of a login cookie for a person whose password was right."""
        return self._serializer.dumps([name, self._generation(name)])

    def logged_in(self, cookie: str) -> str | None:
        """Return the name in a login cookie that is signed by us, fresh and of the present password; else None."""
        try:
            name, generation = self._serializer.loads(cookie, max_age=SESSION_SECONDS)
        except (BadSignature, ValueError, TypeError):
            return None
        return name if isinstance(name, str) and hmac.compare_digest(str(generation), self._generation(name)) else None

    def _generation(self, name: str) -> str:
        return sha256(self._read("passwords.json").get(name, "").encode()).hexdigest()[:16]

    # -- programs ------------------------------------------------------------------------------------------------

    def make_token(self, name: str) -> str:
        """Return a new bearer token; an earlier one of the same name ends. Only its hash is kept."""
        _check_name(name)
        token = f"amend_{secrets.token_urlsafe(32)}"
        self._update("tokens.json", name, sha256(token.encode()).hexdigest())
        return token

    def owner_token(self) -> str:
        """Return the token with which commands on this machine ask the running app (kept in a file of mode 600)."""
        path = self._home.secrets / "owner.token"
        if path.exists():
            return path.read_text(encoding="utf-8")
        token = self.make_token(OWNER)
        write_atomically(path, token, 0o600)
        return token

    def holder(self, token: str) -> str | None:
        """Return whose token this is, or None."""
        digest = sha256(token.encode()).hexdigest()
        for name, known in self._read("tokens.json").items():
            if hmac.compare_digest(known, digest):
                return name
        return None

    def _read(self, name: str) -> dict[str, str]:
        path = self._home.secrets / name
        if not path.exists():
            return {}
        known: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return known

    def _update(self, file: str, name: str, value: str) -> None:
        write_atomically(self._home.secrets / file, json.dumps({**self._read(file), name: value}, indent=1), 0o600)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", name):
        raise BadInput(f"name {name!r}: 1 to 64 of ASCII letters, digits, . _ @ - , beginning with a letter or digit")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m feedback.staff", description="Passwords of people and tokens of programs.")
    parser.add_argument("--home", type=Path, default=None, help="the demo's home directory (default: var/NAME of --demo)")
    parser.add_argument("--demo", type=Path, default=Path("demos/disease.toml"))
    verbs = parser.add_subparsers(dest="verb", required=True)
    token = verbs.add_parser("token", help="make a bearer token for a program; it is printed once")
    token.add_argument("name")
    password = verbs.add_parser("password", help="set a person's password (asked for, or read from standard input)")
    password.add_argument("name", nargs="?", default=OWNER)
    arguments = parser.parse_args(argv)
    try:
        staff = Staff(Home(arguments.home or Path("var") / arguments.demo.stem))
        if arguments.verb == "token":
            print(staff.make_token(arguments.name))
        else:
            asked = getpass.getpass("New password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
            staff.set_password(arguments.name, asked)
            print(f"the password of {arguments.name} is set; their open logins have ended")
    except AmendError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
