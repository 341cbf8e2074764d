"""The copies of feedback that the app keeps beside the log (snapshots, runs, backups), and how something is erased from them.

Out of reach: exports and copies that somebody carried elsewhere, and what a disk keeps of removed files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import pandas as pd

from feedback.checkpoint import fsync
from feedback.errors import AmendError
from feedback.home import Home, write_atomically
from feedback.rewriting import Act, rewrite_file

_EXAMPLES, _MANIFEST = "examples.parquet", "manifest.json"
_SHORTEST = 8
"""Characters from which a text is looked for in the output of training runs: shorter ones occur by chance."""


def snapshots_with(home: Home, contributor: str, corrections: frozenset[str], hashes: frozenset[str]) -> list[str]:
    """Return the ids of the snapshots that hold something of a contributor: their rows, these corrections, or these inputs."""
    _settle(home)
    found = []
    for directory in sorted(home.snapshots.iterdir()):
        file = directory / _EXAMPLES
        if not directory.name.startswith(".") and file.exists():
            frame = pd.read_parquet(file, columns=["contributor", "correction_id", "input_hash"])
            if _going(frame, contributor, corrections, hashes).any():
                found.append(directory.name)
    return found


def erase_from_snapshots(
    home: Home, names: Sequence[str], contributor: str, corrections: frozenset[str], hashes: frozenset[str]
) -> int:
    """Write these snapshots anew without the rows; return how many rows went.

    The manifest keeps the snapshot's id and time, counts what is left, and says how many rows were `erased` and which
    sha256 the file had `before`: cards of versions name the sha256 that they learned from.
    """
    total = 0
    for name in names:
        directory = home.snapshots / name
        frame = pd.read_parquet(directory / _EXAMPLES)
        kept = frame[~_going(frame, contributor, corrections, hashes)]
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        _swap(directory, kept, manifest, len(frame) - len(kept))
        total += len(frame) - len(kept)
    return total


def erase_from_runs(home: Home, texts: Sequence[str]) -> int:
    """Blank these texts in what training processes wrote down (job, progress, output); return the number of files changed.

    Texts under 8 characters are not looked for.
    """
    wanted = {form for text in texts if len(text) >= _SHORTEST for form in _forms(text)}
    changed = 0
    for file in sorted([*home.runs.glob("*/*.txt"), *home.runs.glob("*/*.json")]):
        before = file.read_text(encoding="utf-8", errors="surrogateescape")
        after = before
        for form in wanted:
            after = after.replace(form, "[erased]")
        if after != before:
            write_atomically(file, after)
            changed += 1
    return changed


def copies_of(home: Home) -> list[Path]:
    """Return the copies of the log that the app has made and keeps: backups, and those from before a migration."""
    return sorted([*home.backups.glob("*.duckdb"), *home.directory.glob("log.before-migration-*.duckdb")])


def partials_of(home: Home) -> list[Path]:
    """Return unfinished copies: those of the moment, and what a kill has left."""
    return sorted([*home.backups.glob("*.partial*"), *home.directory.glob("log.before-migration-*.partial*")])


def erase_from_copies(home: Home, needed: Callable[[Path], bool], act: Act, stale: Sequence[Path]) -> tuple[int, tuple[str, ...]]:
    """Rewrite every copy of the log of which `needed` says so; return how many, and what could not be rewritten and why.

    Unfinished copies (`stale`: partials_of before the log was rewritten) and broken logs that were put aside are removed.
    """
    for path in [*stale, *home.directory.glob("log.duckdb.broken*")]:
        path.unlink(missing_ok=True)
    done = 0
    left: list[str] = []
    for file in copies_of(home):
        try:
            if needed(file):
                rewrite_file(file, act)
                done += 1
        except (AmendError, OSError) as error:
            left.append(f"{file.name}: {error}")
    return done, tuple(left)


def _going(frame: pd.DataFrame, contributor: str, corrections: frozenset[str], hashes: frozenset[str]) -> pd.Series[bool]:
    return (
        (frame["contributor"] == contributor)
        | frame["correction_id"].isin(list(corrections))
        | frame["input_hash"].isin(list(hashes))
    )


def _swap(directory: Path, kept: pd.DataFrame, manifest: dict[str, object], erased: int) -> None:
    """Put a new snapshot in the place of the old one. A kill between the two renames is settled by _settle."""
    staged, gone = (directory.with_name(f".{directory.name}.{which}") for which in ("partial", "gone"))
    for path in (staged, gone):
        shutil.rmtree(path, ignore_errors=True)
    staged.mkdir()
    kept.to_parquet(staged / _EXAMPLES, index=False)
    parts = kept["part"].value_counts().to_dict()
    before = manifest["sha256"]
    manifest |= {
        "rows": len(kept),
        "train": int(parts.get("train", 0)),
        "gate": int(parts.get("gate", 0)),
        "contributors": int(kept["contributor"].nunique()),
        "sha256": sha256((staged / _EXAMPLES).read_bytes()).hexdigest(),
        "erased": int(str(manifest.get("erased", 0))) + erased,
        "before": [*_listed(manifest.get("before")), before],
    }
    write_atomically(staged / _MANIFEST, json.dumps(manifest, indent=1))
    directory.rename(gone)
    staged.rename(directory)
    fsync(directory.parent)
    shutil.rmtree(gone)


def _settle(home: Home) -> None:
    """Undo a swap that a kill cut short, and remove what lies about."""
    for gone in home.snapshots.glob(".*.gone"):
        directory = gone.with_name(gone.name.removeprefix(".").removesuffix(".gone"))
        if directory.exists():
            shutil.rmtree(gone)
        else:
            gone.rename(directory)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _forms(text: str) -> set[str]:
    """Return a text as it stands in plain files and in JSON."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
