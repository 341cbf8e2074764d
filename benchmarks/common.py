"""What the benchmarks share: arguments, a running app of their own, tables and JSON. It measures nothing itself."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from feedback.home import Home
from feedback.staff import Staff

ROOT = Path(__file__).resolve().parent.parent


def arguments(description: str | None, default_preset: str = "small") -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has: --preset and --json."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=["small", "full"], default=default_preset)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there as one flat JSON object")
    return parser


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a plain-text table with aligned columns; floats with three decimals."""
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [list(columns), *cells]]
    return "\n".join(lines)


def write_json(path: Path | None, figures: dict[str, object]) -> None:
    """Write the figures, or nothing where no file is asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_app(demo: Path, home: Path, *, wait_seconds: float = 900) -> Iterator[tuple[str, str]]:
    """Start `python app.py` on a free port; yield its URL and a staff token; stop it at the end."""
    port = free_port()
    token = Staff(Home(home)).make_token("benchmark")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    log = (home / "app-output.txt").open("wb")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py"), str(demo), "--port", str(port), "--home", str(home)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=ROOT,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_ready(url, process, home / "app-output.txt", wait_seconds)
        yield url, token
    finally:
        process.terminate()
        process.wait(timeout=60)
        log.close()


def _wait_ready(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended with status {process.returncode}:\n{log.read_text(errors='replace')[-3000:]}")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise RuntimeError(f"the app was not ready after {seconds:.0f} s:\n{log.read_text(errors='replace')[-3000:]}")
