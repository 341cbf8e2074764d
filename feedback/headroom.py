"""How much room the disk under the log has: asked before each write, so that it is refused in words before a byte is lacking."""

from __future__ import annotations

import os
from pathlib import Path

from feedback.errors import StorageFull

MEGABYTE = 2**20
KEEP_FREE = 32 * MEGABYTE
"""What the log leaves free: for what its own disk needs beside it (a half-done checkpoint that is undone, keys, alarms)."""


class Headroom:
    """The free space under a directory, of which `keep` bytes are left alone."""

    def __init__(self, directory: Path, keep: int = KEEP_FREE) -> None:
        self.directory = directory
        self.keep = keep

    def ask(self, what: str, room: int = 0) -> None:
        """Raise StorageFull where the disk is read-only, or has less than `room` bytes beside those left alone.

        `what` begins the sentence: who asks, and what is not done.
        """
        disk = os.statvfs(self.directory)
        if disk.f_flag & os.ST_RDONLY:
            raise StorageFull(f"{what}: the disk under {self.directory} is mounted read-only; mount it for writing")
        free = disk.f_bavail * disk.f_frsize
        if free < room + self.keep:
            raise StorageFull(
                f"{what}: the disk under {self.directory} has {free / MEGABYTE:.1f} MB free, "
                f"{(room + self.keep) / MEGABYTE:.1f} MB are needed; free some space"
            )
