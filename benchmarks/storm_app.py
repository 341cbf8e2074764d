"""app.py as it is, except that its log is checkpointed more often, and tells how long it took to open.

`python -m benchmarks.storm_app CHECKPOINT_BYTES ARGUMENTS`, with the arguments of app.py.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import app
import model.house
from feedback.store import Store


class Timed(Store):
    """The log, checkpointed after `often` bytes; it says on standard output how long it took to open."""

    often = 0

    def __init__(self, directory: Path) -> None:
        begun = time.perf_counter()
        super().__init__(directory, checkpoint_bytes=self.often)
        print(f"the log was open after {time.perf_counter() - begun:.3f} s, undone: {self.undone}", flush=True)


def main(argv: list[str]) -> int:
    """Serve as app.py does; return its exit status."""
    Timed.often = int(argv[0])
    vars(model.house)["Store"] = Timed  # the one place where the app opens its log
    return app.main(argv[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
