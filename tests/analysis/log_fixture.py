"""A small real log in memory for the tests of this room: the store's own tables, without the store's threads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pandas as pd

from feedback.records import Experiment, Variant
from feedback.schema import MIGRATIONS

START = datetime(2026, 11, 1)
TWO_ARMS = (Variant("champion", 1, 0.5), Variant("v2", 2, 0.5))


def experiment(number: int = 1, variants: tuple[Variant, ...] = TWO_ARMS, **settings: Any) -> Experiment:
    """Return an experiment named `x`, running unless told otherwise."""
    return Experiment("x", number, settings.pop("state", "running"), variants, **{"n_max": 400, **settings})


@dataclass
class Log:
    """An in-memory log. Time moves on a second with every row."""

    con: duckdb.DuckDBPyConnection = field(default_factory=lambda: duckdb.connect(":memory:"))
    rows: int = 0
    waiting: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for migration in MIGRATIONS:
            migration.apply(self.con)

    def frame(self, sql: str, params: Sequence[Any] = (), /) -> pd.DataFrame:
        """Answer one SELECT, as the store does."""
        self.flush()
        return self.con.execute(sql, list(params)).df()

    def declare(self, made: Experiment) -> Experiment:
        """Store one number of an experiment."""
        listed = {name: json.dumps([asdict(item) for item in getattr(made, name)]) for name in ("variants", "guardrails")}
        row = asdict(made) | listed | {"segments": json.dumps(made.segments)}
        self._insert("experiments", row)
        return made

    def expose(self, who: str, variant: str = "champion", number: int = 1, **other: Any) -> None:
        """Store a first meeting."""
        self._insert("exposures", {
            "experiment": "x", "experiment_number": number, "contributor": who, "variant": variant, "version": 1,
            "propensity": 0.5, "channel": "", "language": "", "device": "", "created": self._tick(), **other,
        })  # fmt: skip

    def predict(self, who: str, variant: str = "champion", number: int = 1, **other: Any) -> str:
        """Store a prediction and return its id."""
        name = f"p_{self.rows}"
        self._insert("predictions", {
            "id": name, "contributor": who, "experiment": "x", "experiment_number": number, "variant": variant,
            "version": 1, "input": '"in"', "input_hash": "h", "output": '"out"', "confidence": 0.5, "latency_ms": 100.0,
            "forced": False, "channel": "", "network": "", "created": self._tick(), **other,
        })  # fmt: skip
        return name

    def correct(self, who: str, prediction: str, confirmation: bool = False, **other: Any) -> str:
        """Store a correction and return its id."""
        name = f"c_{self.rows}"
        self._insert("corrections", {
            "id": name, "prediction_id": prediction, "contributor": who, "output": '"right"',
            "confirmation": confirmation, "comment": "", "created": self._tick(), "edits": float(not confirmation),
            **other,
        })  # fmt: skip
        return name

    def withdraw(self, who: str, correction: str, **other: Any) -> None:
        """Take a correction back."""
        self._insert("withdrawals", {"correction_id": correction, "contributor": who, "created": self._tick(), **other})

    def crowd(self, users: int, corrected: dict[str, int], each: int = 5, number: int = 1, prefix: str = "u") -> None:
        """Let `users` arrive, arms in turn, with `each` predictions; of 10 users of an arm the first `corrected` correct two."""
        arms = list(corrected)
        for index in range(users):
            who, arm = f"{prefix}{index}", arms[index % len(arms)]
            self.expose(who, arm, number)
            for turn in range(each):
                made = self.predict(who, arm, number)
                if turn < 2 and index // len(arms) % 10 < corrected[arm]:
                    self.correct(who, made)

    def _tick(self) -> datetime:
        self.rows += 1
        return START + timedelta(seconds=self.rows)

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self.waiting.setdefault(table, []).append(row)

    def flush(self) -> None:
        """Write what waits: a frame at once, since single INSERTs of thousands of rows take a minute."""
        for table, rows in self.waiting.items():
            self.con.register("arriving", pd.DataFrame(rows))
            self.con.execute(f"INSERT INTO {table} ({', '.join(rows[0])}) SELECT {', '.join(rows[0])} FROM arriving")
            self.con.unregister("arriving")
        self.waiting = {}
