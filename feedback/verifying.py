"""Reads a copy of the log from end to end, in a process of its own: a damaged file must not bring the app down with it.

`python -m feedback.verifying FILE` prints what it found as JSON; `verify(file)` runs that and reads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from feedback.errors import AmendError, LogBroken
from feedback.hanging import problems_in
from feedback.rewriting import rows_in
from feedback.schema import MIGRATIONS, TABLES

_ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 3600
_NICE = 10  # gives way to predictions


class Verified(NamedTuple):
    """What a whole copy holds. `problems` are rows that do not hang together: the log had them, the copy is whole all the same."""

    migration: int
    rows: dict[str, int]
    problems: list[str]
    champion: int | None


def verify(file: Path) -> Verified:
    """Read every block of a copy that no process has open. Raises LogBroken in words where it cannot be read."""
    if not file.is_file():
        raise LogBroken(f"{file}: no such file")
    command = ["nice", "-n", str(_NICE), sys.executable, "-m", "feedback.verifying", str(file.resolve())]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, cwd=_ROOT, env=environment)
    except subprocess.TimeoutExpired as error:
        raise LogBroken(f"{file}: could not be read within {_SECONDS} s") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"the reading process ended with status {done.returncode}"])[-1]
        raise LogBroken(f"{file} is damaged or no log: {said[:300]}")
    found = json.loads(done.stdout)
    return Verified(found["migration"], found["rows"], found["problems"], found["champion"])


def read_through(file: Path) -> Verified:
    """Read every value of every table, in this process. DuckDB checks the sum of each block that it reads."""
    migration = _number(file, "SELECT coalesce(max(number), 0) FROM migrations")
    if not 1 <= migration <= MIGRATIONS[-1].number:
        raise LogBroken(f"{file} is at migration {migration}; known are 1 to {MIGRATIONS[-1].number}")
    there = {str(row[0]) for row in rows_in(file, "SELECT table_name FROM duckdb_tables() WHERE NOT internal", [])}
    # The hash of a whole row needs every column: count(*) alone reads none.
    each = (f"SELECT '{table}', count(hash(t)) FROM \"{table}\" AS t" for table in TABLES if table in there)
    rows = {str(table): int(str(number)) for table, number in rows_in(file, " UNION ALL ".join(each), [])}
    problems = problems_in(lambda sql: _number(file, sql)) if migration == MIGRATIONS[-1].number else []
    champion = rows_in(file, "SELECT version FROM champion", [])
    return Verified(migration, rows, problems, int(str(champion[0][0])) if champion else None)


def _number(file: Path, sql: str) -> int:
    return int(str(rows_in(file, sql, [])[0][0]))


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    (file,) = argv if argv is not None else sys.argv[1:]
    try:
        print(json.dumps(read_through(Path(file))._asdict()))
    except AmendError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
