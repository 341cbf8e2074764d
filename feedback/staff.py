"""Who is staff: passwords of people (argon2), tokens of programs (sha256 of 256 random bits), logins (sessions.py).

`python -m feedback.staff token NAME` makes a token, `revoke NAME` ends it; `password [NAME]` sets a password, `logout NAME`
ends every login of a person.
"""

from __future__ import annotations

import argparse
import getpass
import hmac
import re
import secrets
import sys
from hashlib import sha256
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from feedback.errors import AmendError, BadInput
from feedback.home import Home, write_atomically
from feedback.secret_table import SecretTable, Table
from feedback.sessions import Sessions

OWNER = "owner"
_MIN_PASSWORD = 10


class Staff:
    """The people and programs that may do more than visitors. State is in the home's secrets; read at each use."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._hasher = PasswordHasher()
        self._passwords = SecretTable(home.secrets / "passwords.json")
        self._tokens = SecretTable(home.secrets / "tokens.json")
        self.sessions = Sessions(home, lambda name: self._passwords.read().get(name, ""))
        # Verified when a name is unknown, so that a guess takes the same time whether or not the name exists.
        self._decoy = self._hasher.hash(secrets.token_hex(8))

    # -- people --------------------------------------------------------------------------------------------------

    def first_password(self) -> str | None:
        """At first start make the owner's password and return it, to be printed once; None later."""
        if self._passwords.read():
            return None
        password = secrets.token_urlsafe(12)
        self.set_password(OWNER, password)
        return password

    def set_password(self, name: str, password: str) -> None:
        """Set a person's password; their open logins end. Raises BadInput for a bad name or a short password."""
        _check_name(name)
        if len(password) < _MIN_PASSWORD:
            raise BadInput(f"the password has {len(password)} characters: at least {_MIN_PASSWORD} are needed")
        self._passwords.put(name, self._hasher.hash(password))

    def check_password(self, name: str, password: str) -> bool:
        """Return whether this is the person's password."""
        known = self._passwords.read().get(name)
        try:
            return self._hasher.verify(known or self._decoy, password) and known is not None
        except (VerificationError, InvalidHashError):
            return False

    def log_out(self, name: str) -> None:
        """End every login of a person. Raises BadInput with the names there are."""
        _known(name, self._passwords.read(), "person with a password")
        self.sessions.end_all(name)

    # -- programs ------------------------------------------------------------------------------------------------

    def make_token(self, name: str) -> str:
        """Return a new bearer token; an earlier one of the same name ends. Only its hash is kept."""
        _check_name(name)
        token = f"amend_{secrets.token_urlsafe(32)}"
        self._tokens.put(name, sha256(token.encode()).hexdigest())
        return token

    def revoke(self, name: str) -> None:
        """End a program's token. Raises BadInput with the names there are."""
        _known(name, self._tokens.read(), "token")
        self._tokens.change(lambda table: {known: digest for known, digest in table.items() if known != name})

    def owner_token(self) -> str:
        """Return the token with which commands on this machine ask the running app (kept in a file of mode 600).

        Where it was revoked, or replaced by `token owner`, it is made anew.
        """
        path = self._home.secrets / "owner.token"
        if path.exists() and self.holder(kept := path.read_text(encoding="utf-8")) == OWNER:
            return kept
        token = self.make_token(OWNER)
        write_atomically(path, token, 0o600)
        return token

    def holder(self, token: str) -> str | None:
        """Return whose token this is, or None."""
        digest = sha256(token.encode()).hexdigest()
        for name, known in self._tokens.read().items():
            if hmac.compare_digest(known, digest):
                return name
        return None


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", name):
        raise BadInput(f"name {name!r}: 1 to 64 of ASCII letters, digits, . _ @ - , beginning with a letter or digit")


def _known(name: str, table: Table, what: str) -> None:
    if name not in table:
        raise BadInput(f"no {what} is named {name!r}; there are: {', '.join(sorted(table)) or 'none'}")


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
    verbs.add_parser("revoke", help="end a program's token").add_argument("name")
    verbs.add_parser("logout", help="end every login of a person; the password stays").add_argument("name")
    arguments = parser.parse_args(argv)
    try:
        staff = Staff(Home(arguments.home or Path("var") / arguments.demo.stem))
        if arguments.verb == "token":
            print(staff.make_token(arguments.name))
        elif arguments.verb == "revoke":
            staff.revoke(arguments.name)
            print(f"the token of {arguments.name} is revoked")
        elif arguments.verb == "logout":
            staff.log_out(arguments.name)
            print(f"every login of {arguments.name} has ended")
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
