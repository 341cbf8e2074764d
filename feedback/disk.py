"""A disk that takes no more: told from other errors, and said in words even where stderr lies on it. It frees nothing."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from pathlib import Path

from feedback.errors import StorageFull

REFUSED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""The error numbers with which a disk refuses to be written to: full, over quota, a file too large, read-only."""
_IN_WORDS = re.compile(r"\(os error (\d+)\)|\bcode: (\d+)\b|\[errno (\d+)\]", re.IGNORECASE)


def refused(error: BaseException) -> int | None:
    """Return the error number with which the disk refused to be written to (full, over quota, read-only); None for other errors.

    The writers of weights, of tokenizers and of Parquet are not written in Python: their errors carry the number in the text alone.
    """
    numbers = [error.errno] if isinstance(error, OSError) and error.errno else []
    numbers += [int(next(filter(None, found.groups()))) for found in _IN_WORDS.finditer(str(error))]
    return next((number for number in numbers if number in REFUSED), None)


def refuse_full_disk(error: BaseException, place: Path) -> None:
    """Raise StorageFull, which names `place`, where the error says that its disk takes no more; else do nothing."""
    number = refused(error)
    if number is not None:
        raise StorageFull(
            f"the disk under {place} takes no more ({os.strerror(number)}): nothing half-written is kept; free some space and start again"
        ) from error


def say(line: str) -> None:
    """Print a line on stderr. Where its file is on a full disk too, the line is lost and the work goes on."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())  # past Python's buffer: what it cannot write it tries again at the exit, and fails it
