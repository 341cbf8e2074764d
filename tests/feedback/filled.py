"""Logs with so many predictions and corrections, and what a closed one holds: what tests of backups stand on."""

from __future__ import annotations

from pathlib import Path

from feedback.home import Home
from feedback.records import Correction, Prediction, input_hash
from feedback.rewriting import rows_in
from feedback.store import Store


def prediction(name: str, contributor: str = "u_ann") -> Prediction:
    """Return one prediction about a text of its own."""
    text = f"text of {name}"
    return Prediction(f"p_{name}", contributor, "", 0, "champion", 1, text, input_hash(text), {"label": "v1"}, 0.5, 1.0)


def correction(name: str, contributor: str = "u_ann") -> Correction:
    """Return a correction of it."""
    return Correction(f"c_{name}", f"p_{name}", contributor, {"label": "v2"}, False)


def fill(store: Store, names: range, contributor: str = "u_ann") -> None:
    """Store so many predictions with their corrections."""
    for number in names:
        store.add(prediction(str(number), contributor), correction(str(number), contributor))


def counted(file: Path) -> dict[str, int]:
    """Return how many predictions and corrections a closed log has, and how many corrections hang in the air."""
    tables = ("predictions", "corrections", "corrections ANTI JOIN predictions p ON p.id = corrections.prediction_id")
    return {table.split(" A")[0] + ("" if "ANTI" not in table else " alone"): n for table, n in (
        (table, int(str(rows_in(file, f"SELECT count(*) FROM {table}", [])[0][0]))) for table in tables
    )}  # fmt: skip


def filled_home(directory: Path) -> Home:
    """Return a home with a log of twenty predictions and corrections, closed."""
    made = Home(directory)
    with Store(made.directory) as store:
        fill(store, range(20))
    return made


def unfinished(directory: Path) -> list[Path]:
    """Return the unfinished files that lie in a test's homes, but for those whose process was killed on purpose."""
    return [path for path in directory.glob("[hf]*/**/*partial*") if "killed" not in path.parts]
