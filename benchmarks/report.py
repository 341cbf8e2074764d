"""How long a report takes over a long log, with the rollup and without, beside pandas doing the same; and the memory of each.

`python benchmarks/report.py --json docs/benchmarks/report.json`: logs of 1 M predictions by 100 k users, of 10 M by the same
number and of 10 M by 1 M users, over four weeks and two arms; a fifth of the predictions is corrected or confirmed, and one
answer of fifty is withdrawn. A user comes on one to three days (with 10 M by 100 k: on one to twelve). Each figure is the median of
`--repeats` runs in a warm process of its own, whose peak memory is taken too; DuckDB and pandas may use every core. `cpu_s`
are seconds of all cores together: on a machine that others use too they are steadier than the clock's.

`report_..._s` is analysis.report.report, all that the page shows; `reading_..._s` the one SELECT behind its verdict;
`days_..._s` the effect over time. `log_..._s` is the report without any fold, straight over the log (of 10 M: once). `pandas_..._s`
brings the same as a reading (six sums of seven metrics, users by arm and in order of arrival, who met two variants; no
segments) from frames in memory, without the time to load them, which is `pandas_..._load_s` (Parquet, only the needed columns).
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis import metrics
from analysis.report import report
from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.long_log import COLUMNS, SIZES, Size, build, to_parquet
from feedback.outcomes import METRICS
from feedback.records import Experiment, Variant
from feedback.store import Store

EXPERIMENT = Experiment("x", 1, "running", (Variant("champion", 1, 0.5), Variant("v2", 2, 0.5)), n_max=10_000_000)

LONG = 1_000_000
"""Predictions above which the report straight over the log is measured once: it only shows what the rollup saves."""


# -- what is measured: each in a process of its own ---------------------------------------------------------------------------


def measure(task: str, home: Path, repeats: int) -> dict[str, float]:
    """Return median seconds after one run to warm up, and the process's peak memory in MB."""
    if task == "check":
        check_same(home)
        return {}
    if task == "pandas":
        begun = time.perf_counter()
        frames = _loaded(home)
        loading = {"load_s": time.perf_counter() - begun}
        return loading | _timed(lambda: by_pandas(**frames), repeats)
    with Store(home) as store:
        scope = metrics.scope_of(store.frame, EXPERIMENT)
        tasks: dict[str, Callable[[], Any]] = {
            "report": lambda: report(store.frame, EXPERIMENT),
            "reading": lambda: metrics.reading(store.frame, scope, EXPERIMENT),
            "days": lambda: metrics.days_of(store.frame, scope, METRICS["correction_rate"]),
        }
        if task == "fold":
            begun = time.perf_counter()
            store.fold()
            seconds, rows = time.perf_counter() - begun, store.rows("SELECT count(*) AS n FROM folded_user_days")[0]["n"]
            return {"s": seconds, "rows": float(rows), "peak_mb": _peak()}
        return _timed(tasks[task], repeats)


def _timed(do: Callable[[], Any], repeats: int) -> dict[str, float]:
    do()
    seconds, cpu = [], []
    for _ in range(repeats):
        begun, worked = time.perf_counter(), time.process_time()
        do()
        seconds.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - worked)
    return {"s": statistics.median(seconds), "fastest_s": min(seconds), "cpu_s": statistics.median(cpu), "peak_mb": _peak()}


def _peak() -> float:
    """Return this process's peak resident memory in MB; getrusage would count what the parent had before it became this one."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000


def _loaded(home: Path) -> dict[str, pd.DataFrame]:
    return {name: pd.read_parquet(home / f"{name}.parquet") for name in COLUMNS}


def by_pandas(
    exposures: pd.DataFrame, predictions: pd.DataFrame, corrections: pd.DataFrame, withdrawals: pd.DataFrame
) -> tuple[dict[str, dict[str, tuple[float, ...]]], np.ndarray]:
    """Return each arm's six sums of every metric, and its users in order of arrival: as somebody with a notebook does it."""
    met = exposures.groupby("contributor").agg(first=("created", "min"), arm=("variant", "first"), arms=("variant", "nunique"))
    shown = predictions.join(met[["first"]], on="contributor", how="inner")
    shown = shown[shown["created"] >= shown["first"]]
    two = shown.groupby("contributor")["variant"].nunique() > 1
    met = met[(met["arms"] == 1) & ~met.index.isin(two.index[two])]
    standing = corrections[~corrections["id"].isin(withdrawals["correction_id"])]
    shown = shown.merge(
        standing[["prediction_id", "contributor", "confirmation", "edits"]],
        how="left", left_on=["id", "contributor"], right_on=["prediction_id", "contributor"],
    )  # fmt: skip
    answered = shown["prediction_id"].notna()
    confirmed = shown["confirmation"].fillna(False).astype(bool)
    timed = (shown["latency_ms"] > 0) & np.isfinite(shown["latency_ms"])
    counts = pd.DataFrame(
        {
            "contributor": shown["contributor"],
            "predictions": 1,
            "corrected": answered & ~confirmed,
            "confirmed": answered & confirmed,
            "edits": shown["edits"].fillna(0.0),
            "unscored": answered & shown["edits"].isna(),
            "timings": timed,
            "log_latency": np.log(shown["latency_ms"].where(timed, 1.0)),
        }
    )
    users = met.join(counts.groupby("contributor").sum()).fillna(0.0).sort_values("first")
    ones = pd.Series(1.0, users.index)
    pairs = {
        "correction_rate": (users["corrected"], users["predictions"]),
        "confirmation_rate": (users["confirmed"], users["predictions"]),
        "edit_distance": (users["edits"], users["predictions"] - users["unscored"]),
        "response_rate": (users["corrected"] + users["confirmed"], users["predictions"]),
        "correcting_users": ((users["corrected"] > 0).astype(float), ones),
        "predictions_per_user": (users["predictions"], ones),
        "latency": (
            users["log_latency"] / users["timings"].where(users["timings"] > 0, 1.0),
            (users["timings"] > 0).astype(float),
        ),
    }
    arms: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, (y, n) in pairs.items():
        sums = pd.DataFrame({"k": ones, "sy": y, "sn": n, "syy": y * y, "snn": n * n, "syn": y * n}).groupby(users["arm"]).sum()
        for arm, row in sums.iterrows():
            arms.setdefault(str(arm), {})[name] = tuple(float(value) for value in row)
    return arms, np.stack([(users["arm"] == v.name).to_numpy().cumsum() for v in EXPERIMENT.variants], axis=1)


# -- the whole run -----------------------------------------------------------------------------------------------------------


def child(task: str, home: Path, repeats: int) -> dict[str, float]:
    """Measure in a fresh process, so that nobody's memory is counted for somebody else."""
    command = [sys.executable, str(Path(__file__).resolve()), "--task", task, "--home", str(home), "--repeats", str(repeats)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def check_same(home: Path) -> None:
    """Raise RuntimeError where pandas and the report do not count the same: a comparison of different work is none."""
    arms, arrivals = by_pandas(**_loaded(home))
    with Store(home) as store:
        read = metrics.reading(store.frame, metrics.scope_of(store.frame, EXPERIMENT), replace(EXPERIMENT, segments=()))
    for variant, arm in read.arms.items():
        for name, sums in arm.sums.items():
            if not np.allclose(sums, arms[variant][name], rtol=1e-9):
                raise RuntimeError(f"{name} of {variant}: the log gives {sums}, pandas {arms[variant][name]}")
    if (read.arrivals[-1] != arrivals[-1]).any():
        raise RuntimeError(f"users by arm: the log gives {read.arrivals[-1]}, pandas {arrivals[-1]}")


def run(size: Size, work: Path, repeats: int, figures: dict[str, object]) -> list[list[object]]:
    """Build one log, measure everything over it, and return the table's rows."""
    home = work / size.name
    begun = time.perf_counter()
    build(home, size)
    to_parquet(home)
    figures[f"build_{size.name}_s"] = time.perf_counter() - begun
    rows: list[list[object]] = []
    for label in ("log", "fold", "report", "reading", "days", "pandas"):
        task = "report" if label == "log" else label  # before the fold: straight over the log
        once = label == "log" and size.predictions > LONG
        found = child(task, home, 1 if once else repeats)
        figures.update({f"{label}_{size.name}_{key}": value for key, value in found.items()})
        rows.append([size.name, label, found["s"], found.get("cpu_s", 0.0), found.get("load_s", 0.0), found["peak_mb"]])
        print(f"{size.name} {label}: {found['s']:.3f} s, {found['peak_mb']:.0f} MB", flush=True)
    child("check", home, 1)
    figures[f"log_{size.name}_mb"] = (home / "log.duckdb").stat().st_size / 1e6
    return rows


def main() -> int:
    """Run the benchmark; print the table, write the JSON."""
    parser = arguments(__doc__, default_preset="full")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", default="", help="names, with commas; all of the preset where empty")
    parser.add_argument("--task", default="", help="measure this one thing in this process (the benchmark calls itself so)")
    parser.add_argument("--home", type=Path, default=None)
    options = parser.parse_args()
    if options.task:
        print(json.dumps(measure(options.task, options.home, options.repeats)))
        return 0
    figures: dict[str, object] = {"cores": os.cpu_count() or 1, "repeats": options.repeats}
    rows: list[list[object]] = []
    for size in SIZES[options.preset]:
        if options.sizes and size.name not in options.sizes.split(","):
            continue
        with tempfile.TemporaryDirectory(prefix="amend-report-") as temporary:
            rows += run(size, Path(temporary), options.repeats, figures)
    print(table(["log", "what", "median s", "of CPU", "load s", "peak MB"], rows))
    write_json(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
