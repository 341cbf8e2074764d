"""The fast lane on BANKING77: seconds from the review that accepts the deciding correction to an answer by the challenger.

`python benchmarks/lane.py --data ../shared/data/banking77` serves the real app with 1,000 and with all of the training utterances
as seed (method head), of five intents no more than three each: what visitors then teach, one correction beside one utterance of
another intent, as people do who mostly confirm. A thousand other utterances are the gate's old domain. Everything comes through the
HTTP routes, a reviewer accepts it; with the last review of a round the clock starts, and new visitors ask until one is answered by the
lane's challenger (lane_s). Then the same accepted feedback goes the usual way, a training process of its own with the same method
(process_s: POST to its verdict). `refit_s` is the head's refit alone, on remembered features, choosing included; `told_s` is what the
log tells of lane_s (GET /api/v1/lane). Accuracies are of the sealed tests.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.common import ROOT, arguments, running_app, table, write_json

TAUGHT = 5
KNOWN = 3
TESTED = 1000
JUDGING = 1000
ROUND = 150
"""Corrections a round: enough that the feedback slice of the first one (a fifth) can decide."""
Rows = list[tuple[str, str]]


def rows_of(file: Path) -> Rows:
    """Return (text, label) of each row."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [(row["text"], row["category"]) for row in csv.DictReader(opened)]


def parted(data: Path, seed_size: int) -> tuple[Rows, Rows, Rows]:
    """Return (seed, stream, validation): the stream is what the seed lacks of five intents, and as many of others, in turns.

    seed_size 0: all that is left.
    """
    rows = rows_of(data / "train.csv")
    random.Random(1).shuffle(rows)
    taught = set(random.Random(2).sample(sorted({label for _, label in rows}), TAUGHT))
    seed: Rows = []
    stream: Rows = []
    taken: dict[str, int] = defaultdict(int)
    for text, label in rows:
        taken[label] += 1
        (stream if label in taught and taken[label] > KNOWN else seed).append((text, label))
    rare = [row for row in seed if row[1] in taught]
    rest = [row for row in seed if row[1] not in taught]
    validation, known, rest = rest[:JUDGING], rest[JUDGING : JUDGING + len(stream)], rest[JUDGING + len(stream) :]
    stream = [row for pair in zip(stream, known, strict=True) for row in pair]
    return rare + (rest[: max(0, seed_size - len(rare))] if seed_size else rest), stream, validation


def demo_of(data: Path, work: Path, seed: Rows, validation: Rows, labels: Sequence[str]) -> Path:
    """Write the demo: a head on the frozen base, the lane after a round's corrections, no other retraining."""
    with (work / "seed.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *seed])
    with (work / "validation.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *validation])
    with (work / "test.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "category"), *random.Random(3).sample(rows_of(data / "test.csv"), TESTED)])
    path = work / "lane.toml"
    path.write_text(
        f'name = "lane"\ntask = "text_classification"\ntitle = "lane"\nlabels = {json.dumps(list(labels))}\n'
        f'[data]\ntrain = "seed.csv"\nvalidation = "validation.csv"\ntest = "test.csv"\ntext_column = "text"\nlabel_column = "category"\n'
        f'[training]\nmethod = "head"\n[retraining]\nafter_accepted = 0\nlane_after_accepted = {ROUND}\n'
        "[limits]\nmax_chars = 5000\npredictions_per_minute = 100000\ncorrections_per_minute = 100000\n",
        encoding="utf-8",
    )
    return path


class Site:
    """The running app, as its visitors and its staff reach it."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._visitors = [httpx.Client(base_url=url, timeout=120) for _ in range(20)]
        self.staff = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120)

    def accept(self, rows: Rows) -> float:
        """Have the corrections sent and accepted; return when the last review was sent."""
        sent = 0.0
        for i, (text, label) in enumerate(rows):
            visitor = self._visitors[i % len(self._visitors)]
            shown = said(visitor.post("/api/v1/predictions", json={"input": text}))
            made = said(visitor.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": {"label": label}}))
            sent = time.perf_counter()
            if made["status"] != "accepted":
                said(self.staff.post("/api/v1/reviews", json={"correction_id": made["id"], "verdict": "accept"}))
        return sent

    def served_by(self, version: int, text: str, seconds: float = 300) -> float | None:
        """Let new visitors ask until one is answered by this version or a later one; return when, None where the gate refused it."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            with httpx.Client(base_url=self._url, timeout=120) as visitor:
                if said(visitor.post("/api/v1/predictions", json={"input": text}))["version"] >= version:
                    return time.perf_counter()
            card = self.newest()
            if card["number"] >= version and card["verdict"] != "passed":
                failed = [check["words"] for check in card["gate"]["checks"] if check["verdict"] not in ("pass", "shown")]
                print(f"version {card['number']} is {card['verdict']}: {' '.join(failed)}", flush=True)
                return None
            time.sleep(0.1)
        raise RuntimeError(f"no answer by version {version} within {seconds:.0f} s")

    def end_experiment(self) -> None:
        """Stop what runs, where something does."""
        for experiment in said(self.staff.get("/api/v1/experiments")):
            if experiment["state"] == "running":
                said(self.staff.post(f"/api/v1/experiments/{experiment['name']}", json={"action": "stop", "reason": "benchmark"}))

    def newest(self) -> dict[str, Any]:
        """Return the newest version's card."""
        return max(said(self.staff.get("/api/v1/versions")), key=lambda card: int(card["number"]))

    def retrained(self) -> float:
        """Return the seconds that the same feedback takes in a training process of its own."""
        began = time.perf_counter()
        run = said(self.staff.post("/api/v1/retrainings", json={}))
        while run["state"] == "started":
            time.sleep(0.2)
            run = said(self.staff.get(f"/api/v1/retrainings/{run['id']}"))
        if not run["version"]:
            raise RuntimeError(f"the retraining ended {run['state']}: {run['detail']}")
        return time.perf_counter() - began


def said(response: httpx.Response) -> Any:
    """Return the answer's JSON; raise RuntimeError with what went wrong."""
    if response.is_error:
        raise RuntimeError(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")
    return response.json()


def measured(data: Path, size: int, rounds: int) -> dict[str, float]:
    """Return the figures with a seed of this size: medians over rounds."""
    seed, stream, validation = parted(data, size)
    labels = sorted({label for _, label in (*seed, *stream)})
    with tempfile.TemporaryDirectory(prefix="amend-lane-") as folder:
        work = Path(folder)
        demo = demo_of(data, work, seed, validation, labels)
        (work / "home").mkdir()
        with running_app(demo, work / "home") as (url, token):
            site = Site(url, token)
            start = site.newest()["scores"]["test"]["main"]
            lane, told, refit, learned = [], [], [], []
            for number in range(rounds):
                rows = stream[number * ROUND : (number + 1) * ROUND]
                before = int(site.newest()["number"])
                site.accept(rows[:-1])
                if number == 0:
                    time.sleep(120 if size == 0 else 60)  # the process has read and embedded the seed by then
                sent = site.accept(rows[-1:])
                served = site.served_by(before + 1, rows[0][0])
                card = site.newest()
                refit.append(float(card["training"]["seconds"]))
                learned.append(float(card["training"]["examples"]))
                site.end_experiment()  # so that the next round is not held back by the people whom this one made it meet
                if served is not None:
                    lane.append(served - sent)
                    told.append(said(site.staff.get("/api/v1/lane"))["served"]["seconds"])
                    print(
                        f"{len(seed)} seed, round {number + 1}: {lane[-1]:.1f} s, told {told[-1]:.1f}, refit {refit[-1]:.2f}",
                        flush=True,
                    )
            if not lane:
                raise RuntimeError("the gate refused every round: there is nothing to time")
            process = site.retrained()
            return {
                "seed": float(len(seed)),
                "examples": learned[-1],
                "lane_s": round(statistics.median(lane), 2),
                "lane_max_s": round(max(lane), 2),
                "served_rounds": float(len(lane)),
                "told_s": round(statistics.median(told), 2),
                "refit_s": round(statistics.median(refit), 2),
                "process_s": round(process, 1),
                "test_before": round(float(start), 4),
                "test_after": round(float(card["scores"]["test"]["main"]), 4),
            }


def main() -> int:
    """Run the benchmark; print the table, write the JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "banking77")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data} is not a folder: this benchmark needs banking77", file=sys.stderr)
        return 2
    sizes = {"1k": 1000} if options.preset == "small" else {"1k": 1000, "10k": 0}
    found = {name: measured(options.data.resolve(), size, options.rounds) for name, size in sizes.items()}
    columns = list(next(iter(found.values())))
    print(table(["seed", *columns[1:]], [[int(one["seed"]), *(one[key] for key in columns[1:])] for one in found.values()]))
    figures: dict[str, object] = {f"{key}_{name}": value for name, one in found.items() for key, value in one.items()}
    write_json(options.json, {**figures, "lane_s": found[list(found)[-1]]["lane_s"]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
