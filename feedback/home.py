"""The home directory of a running demo: all that is written. Paths, secrets, the lock, atomic files; no records."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from feedback.errors import LogLocked


class Home:
    """DIR of `--home DIR`: log, versions, snapshots, runs, secrets, backups, each in a place of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        for path in (self.directory, self.snapshots, self.runs, self.backups, self.secrets):
            path.mkdir(parents=True, exist_ok=True)
        self.secrets.chmod(0o700)

    @property
    def snapshots(self) -> Path:
        """Frozen training sets."""
        return self.directory / "snapshots"

    @property
    def runs(self) -> Path:
        """Jobs and progress of training processes."""
        return self.directory / "runs"

    @property
    def backups(self) -> Path:
        """Copies of the log."""
        return self.directory / "backups"

    @property
    def secrets(self) -> Path:
        """Keys, password hash and tokens; mode 700."""
        return self.directory / "secrets"

    @property
    def running_file(self) -> Path:
        """Where a running app says how to reach it."""
        return self.directory / "running.json"

    @property
    def identity(self) -> str:
        """A name for this home that reveals nothing of it: how a command tells our app from another on the same port."""
        return sha256(b"home:" + self.secret("identity.key")).hexdigest()[:16]

    def secret(self, name: str) -> bytes:
        """Return a random key that is made at first use and kept (mode 600)."""
        path = self.secrets / name
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_hex(32).encode())
        return path.read_bytes()


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a whole file or nothing: a temporary sibling, fsync, rename."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.partial")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staged, path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise


class FileLock:
    """An advisory lock that says who holds it. flock(2): it ends with the process, whatever way it ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise LogLocked with the holder and what to do."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.read(handle, 4096))
            os.close(handle)
            raise LogLocked(
                f"{self.path.parent}: the log is in use by {holder}. Let the running app do it "
                "(the commands of model and feedback ask it by themselves), or stop that process first."
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps({"pid": os.getpid(), "command": " ".join(sys.argv)[:300]}).encode())
        self._handle = handle

    def release(self) -> None:
        """Let go; the file stays."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _holder(raw: bytes) -> str:
    try:
        said: dict[str, Any] = json.loads(raw)
    except ValueError:
        return "another process"
    return f"process {said.get('pid')} ({said.get('command')})"
