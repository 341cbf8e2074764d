"""A disk of some megabytes of its own, to be filled to the byte, made read-only, or broken. It needs a user who may mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTE = 2**20


class SmallDisk:
    """A mounted file system; `path` is where."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def free(self) -> int:
        """Return the bytes that can still be written."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Fill the disk up with a file of its own, but for some bytes."""
        with self._ballast.open("ab", buffering=0) as file:
            while (more := self.free() - leave) > 0:
                file.write(bytes(min(more, MEGABYTE)))

    def clear(self) -> None:
        """Take that file away."""
        self._ballast.unlink()

    def remount(self, how: str) -> None:
        """Mount it anew, as "ro" or "rw"."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk in memory at `path`; skip the test where this user may not."""
    path.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        _unmount(path)


@contextmanager
def breaking_disk(path: Path, megabytes: int) -> Iterator[tuple[SmallDisk, Path]]:
    """Mount a disk that turns read-only at an error, as a failing one does; yield it with the file that makes an error.

    No running program's disk can be remounted read-only by hand: it is busy. Skips where there are no loop devices.
    """
    image = path.with_name(path.name + ".img")
    with image.open("wb") as file:
        file.truncate(megabytes * MEGABYTE)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", str(image)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mkfs.ext4 cannot make a file system here")
    path.mkdir()
    _mount("-o", "loop,errors=remount-ro", str(image), str(path))
    try:
        found = subprocess.run(["findmnt", "-n", "-o", "SOURCE", str(path)], capture_output=True, text=True, check=True)
        trigger = Path("/sys/fs/ext4") / Path(found.stdout.strip()).name / "trigger_fs_error"
        if not trigger.exists():
            pytest.skip("this kernel cannot make an error on purpose")
        yield SmallDisk(path), trigger
    finally:
        _unmount(path)
        image.unlink()


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount a file system: {done.stderr.strip()}")


def _unmount(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=True)
