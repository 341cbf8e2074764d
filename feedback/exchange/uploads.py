"""Files on their way in: a request's body is small, so a large file comes in parts and waits here until it is whole. It reads no form."""

from __future__ import annotations

import re
import time
from hashlib import sha256
from pathlib import Path

from feedback.errors import BadInput, Conflict, NotFound, TooLarge
from feedback.exchange.bytes_of import LARGEST_FILE

_ABANDONED_SECONDS = 24 * 3600


class Uploads:
    """Parts of files under `directory`, each named by 64 hex digits: its sha256, or for the page a random name.

    What nobody finished goes after a day.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drop_abandoned()

    def append(self, digest: str, offset: int, part: bytes) -> int:
        """Write a part at its place and return the bytes that are there now; a part sent twice changes nothing.

        Raises Conflict where a part before it is missing, BadInput for a name that is no sha256, TooLarge.
        """
        path = self._path(digest)
        self._drop_abandoned()
        have = path.stat().st_size if path.exists() else 0
        if offset > have or offset < 0:
            raise Conflict(f"the part begins at byte {offset}, and {have} bytes are there: send the parts in order")
        if offset + len(part) > LARGEST_FILE:
            raise TooLarge(
                f"the file has more than {LARGEST_FILE} bytes: cut it into several files",
                code="file_upload_large",
                values={"limit": LARGEST_FILE},
            )
        with path.open("r+b" if have else "wb") as file:
            file.seek(offset)
            file.write(part)
            return max(have, offset + len(part))

    def take(self, digest: str) -> bytes:
        """Return a whole file and forget it. Raises NotFound, or Conflict where its bytes are not those its name says."""
        path = self._path(digest)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"no file {digest} was uploaded, or it was imported already: upload it again") from None
        path.unlink(missing_ok=True)  # also where it is broken: it may hold people's texts
        if sha256(raw).hexdigest() != digest:
            raise Conflict(f"the {len(raw)} bytes that came are not the file {digest}: upload it again")
        return raw

    def read(self, name: str) -> bytes:
        """Return what was uploaded under a name so far and keep it, for a preview. Raises NotFound."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"no file {name} was uploaded, or it was imported already: upload it again") from None

    def forget(self, name: str) -> None:
        """Remove what was uploaded under a name, if anything is there."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise BadInput(f"{digest[:80]!r} is no sha256: 64 hex digits name an upload")
        return self._directory / digest

    def _drop_abandoned(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in self._directory.iterdir():
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
