"""A small table of texts by name in the home's secrets: mode 600, changed under a lock, read at each use. It knows no meaning."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from feedback.home import write_atomically

Table = dict[str, str]


class SecretTable:
    """One JSON file. Safe for several threads and processes: a command beside the running app loses no change of either."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Table:
        """Return the table as it stands; empty where there is none."""
        try:
            known: Table = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return known

    def change(self, how: Callable[[Table], Table]) -> None:
        """Replace the table by `how(table)`, whole or not at all."""
        with self._alone():
            write_atomically(self._path, json.dumps(how(self.read()), indent=1), 0o600)

    def put(self, name: str, value: str) -> None:
        """Set one entry."""
        self.change(lambda table: {**table, name: value})

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        handle = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
