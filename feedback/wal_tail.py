"""The end of a write-ahead log that a power cut tore: found and cut off. It decodes no rows.

DuckDB writes a transaction as entries (8 bytes of size, 8 of checksum, the payload) that end with one of a 5-byte payload.
An end that is cut short it leaves out by itself. One whose middle never reached the disk has a wrong checksum, and DuckDB
refuses to open the log for it, although a commit is acknowledged only after all of it is durable: that end is nobody's.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_WHERE = re.compile(r"Corrupt WAL file: entry at byte position (\d+) computed checksum")
_HEAD = 16
_COMMIT = 5


def cut_torn_tail(wal: Path, said: str) -> int:
    """Cut off the last transaction where DuckDB's error says that it is torn; return the number of bytes cut, 0 for none.

    Nothing is cut where another commit follows: that was acknowledged, and is for a backup to bring back.
    """
    found = _WHERE.search(said)
    if found is None:
        return 0
    start = int(found.group(1)) - _HEAD
    with wal.open("rb") as file:
        file.seek(start)
        rest = file.read()
    if start < 0 or not rest or not _is_last(rest):
        return 0
    os.truncate(wal, start)
    return len(rest)


def _is_last(rest: bytes) -> bool:
    """Return whether the bytes are (of) one transaction: nothing that is complete stands behind its end."""
    place = 0
    while place + _HEAD <= len(rest):
        size = int.from_bytes(rest[place : place + 8], "little")
        place += _HEAD + size
        if size == _COMMIT:
            return place >= len(rest)
    return True
