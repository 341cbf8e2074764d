"""The main job on real input: 40 contributors correct a running app, in rounds, with retraining, gate and promotion between.

`python benchmarks/feedback_loop.py --data ../shared/data/ncbi_disease` starts from the disease demo's starter set and plays
the training sentences of NCBI-disease through the HTTP routes; `--data ../shared/data/banking77` starts from ten utterances
an intent. A staff token accepts the corrections, offers and promotes what the gate passes, and leaves what it refuses.
Beside it the same base is fine-tuned at once on the whole training split: what the loop could reach.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from benchmarks.common import ROOT, arguments, running_app, table, write_json
from feedback.demo import load_demo
from model.data import load_seed
from model.serve import answer_all
from model.versions import Versions

CONTRIBUTORS = 40
THREADS = 8


class Item(NamedTuple):
    """One text with its right output."""

    text: str
    output: dict[str, Any]


class Played(NamedTuple):
    """A data set ready to be played: the loop's demo, the at-once demo, what contributors know, and the sealed test."""

    loop: Path
    whole: Path
    stream: list[Item]
    test: list[Item]
    kind: str


def ncbi(data: Path, work: Path, limit: int | None) -> Played:
    """Return NCBI-disease: the starter set's diseases as seed, all training sentences as the stream."""
    seed = work / "starter.jsonl"
    with seed.open("w", encoding="utf-8") as file:
        for line in (ROOT / "demos" / "disease.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            row["spans"] = [span for span in row["spans"] if span["label"] == "Disease"]
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    loop = _demo(work, "ncbi-loop", "token_classification", ["Disease"], {"train": str(seed)}, epochs=5)
    files = {"train": str(data / "train.tsv"), "validation": str(data / "devel.tsv"), "test": str(data / "test.tsv")}
    whole = _demo(work, "ncbi-whole", "token_classification", ["Disease"], files, epochs=3)
    _, known = load_seed(load_demo(whole))
    stream = [Item(e.input, e.output) for e in known.train][:limit]
    return Played(loop, whole, stream, [Item(e.input, e.output) for e in known.test], "spans")


def banking(data: Path, work: Path, limit: int | None) -> Played:
    """Return BANKING77: ten utterances an intent as seed, the other training utterances as the stream."""
    rows = _csv(data / "train.csv")
    random.Random(1).shuffle(rows)
    labels = sorted({label for _, label in rows})
    taken: dict[str, int] = defaultdict(int)
    seed: list[tuple[str, str]] = []
    rest: list[tuple[str, str]] = []
    for text, label in rows:
        (seed if taken[label] < 10 else rest).append((text, label))
        taken[label] += 1
    rest = rest[:limit]
    _write_csv(work / "seed.csv", seed)
    _write_csv(work / "whole.csv", seed + rest)
    _write_csv(work / "test.csv", _csv(data / "test.csv"))
    columns = {"text_column": "text", "label_column": "category"}
    loop = _demo(work, "banking-loop", "text_classification", labels, {"train": str(work / "seed.csv"), **columns}, epochs=5)
    files = {"train": str(work / "whole.csv"), "test": str(work / "test.csv"), **columns}
    whole = _demo(work, "banking-whole", "text_classification", labels, files, epochs=3)
    test = [Item(text, {"label": label}) for text, label in _csv(data / "test.csv")]
    return Played(loop, whole, [Item(text, {"label": label}) for text, label in rest], test, "label")


def _csv(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def _write_csv(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "category"))
        writer.writerows(rows)


def _demo(work: Path, name: str, task: str, labels: Sequence[str], data: dict[str, str], epochs: int) -> Path:
    """Write a demo's TOML: manual offers, no automatic retraining, limits out of the way of one machine's 40 contributors."""
    listed = "\n".join(f"{key} = {json.dumps(value)}" for key, value in data.items())
    path = work / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntask = "{task}"\ntitle = "{name}"\nlabels = {json.dumps(list(labels))}\n'
        f"[data]\n{listed}\n[training]\nepochs = {epochs}\nlearning_rate = 3e-4\nbatch_size = 16\n"
        '[experiment]\noffer = "manual"\n[retraining]\nafter_accepted = 0\n'
        "[limits]\nmax_chars = 5000\npredictions_per_minute = 100000\ncorrections_per_minute = 100000\n",
        encoding="utf-8",
    )
    return path


def test_score(demo: Path, version: Path, test: Sequence[Item], kind: str) -> float:
    """Return the version's score on the test split: strict entity F1 (seqeval, IOB2) or accuracy."""
    task, _ = load_seed(load_demo(demo))
    answers = [answer.output for answer in answer_all(task, version, [item.text for item in test], {})]
    if kind == "label":
        return sum(bool(a["label"] == item.output["label"]) for a, item in zip(answers, test, strict=True)) / len(test)
    truth = [_tags(item.text, item.output["spans"]) for item in test]
    said = [_tags(item.text, answer["spans"]) for item, answer in zip(test, answers, strict=True)]
    return float(f1_score(truth, said, mode="strict", scheme=IOB2))


def _tags(text: str, spans: Sequence[dict[str, Any]]) -> list[str]:
    """Return IOB2 tags by character: exact for spans that cut through words, and the same strict entity match."""
    tags = ["O"] * len(text)
    for span in spans:
        tags[span["start"]] = f"B-{span['label']}"
        for i in range(span["start"] + 1, span["end"]):
            tags[i] = f"I-{span['label']}"
    return tags


def play(url: str, token: str, clients: Sequence[httpx.Client], items: Sequence[Item]) -> tuple[int, int]:
    """Let the contributors ask and correct, and the staff accept; return (corrections, confirmations)."""
    staff = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120)

    def one(numbered: tuple[int, Item]) -> bool:
        index, item = numbered
        client = clients[index % len(clients)]
        shown = _ok(client.post("/api/v1/predictions", json={"input": item.text}))
        sent = _ok(client.post("/api/v1/corrections", json={"prediction_id": shown["id"], "output": item.output}))
        if sent["status"] != "accepted":
            _ok(staff.post("/api/v1/reviews", json={"correction_id": sent["id"], "verdict": "accept"}))
        plain = (
            {"spans": [{k: s[k] for k in ("start", "end", "label")} for s in shown["output"]["spans"]]}
            if "spans" in item.output
            else None
        )
        return (plain or {"label": shown["output"].get("label")}) == item.output

    with ThreadPoolExecutor(THREADS) as pool:
        confirmed = sum(pool.map(one, enumerate(items)))
    staff.close()
    return len(items) - confirmed, confirmed


def retrain(url: str, token: str) -> dict[str, Any]:
    """Start a retraining, wait for its end, offer and promote what passed; return the run's last state."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as staff:
        run: dict[str, Any] = _ok(staff.post("/api/v1/retrainings", json={}))
        while run["state"] == "started":
            time.sleep(1)
            run = _ok(staff.get(f"/api/v1/retrainings/{run['id']}"))
        if run["state"] == "passed":
            _ok(staff.post("/api/v1/offers", json={"version": run["version"]}))
            _ok(staff.post("/api/v1/promotions", json={"version": run["version"], "reason": "benchmark"}))
    return run


def _ok(response: httpx.Response) -> Any:
    if response.is_error:
        raise RuntimeError(f"{response.request.method} {response.request.url}: {response.status_code} {response.text}")
    return response.json()


def train_whole(demo: Path, out: Path) -> None:
    """Fine-tune the same base at once on the whole training split."""
    subprocess.run([sys.executable, "-m", "model.train", "--demo", str(demo), "--out", str(out)], check=True, cwd=ROOT)


def main() -> int:
    """Run the benchmark; print the table, write the JSON."""
    parser = arguments(__doc__, default_preset="full")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "ncbi_disease")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument(
        "--work", type=Path, default=None, help="keep demos, log and versions there (default: a temporary folder)"
    )
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data} is not a folder: this benchmark needs ncbi_disease or banking77", file=sys.stderr)
        return 2
    small = options.preset == "small"
    rounds = options.rounds or (2 if small else 5)
    with tempfile.TemporaryDirectory(prefix="amend-loop-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        prepare = banking if "banking" in options.data.name else ncbi
        played = prepare(options.data.resolve(), work, 600 if small else None)
        figures = _run(played, work, rounds)
    write_json(options.json, figures)
    return 0


def _run(played: Played, work: Path, rounds: int) -> dict[str, object]:
    home = work / "home"
    versions = Versions(home)
    rows: list[list[object]] = []
    random.Random(7).shuffle(played.stream)
    size = -(-len(played.stream) // rounds)
    with running_app(played.loop, home) as (url, token):
        champion = 1
        start = test_score(played.loop, versions.path(1), played.test, played.kind)
        rows.append([0, 0, 0, start, 0.0, "starter"])
        clients = [httpx.Client(base_url=url, timeout=120) for _ in range(CONTRIBUTORS)]
        for number in range(1, rounds + 1):
            begun = time.monotonic()
            corrections, confirmed = play(url, token, clients, played.stream[(number - 1) * size : number * size])
            talked = time.monotonic() - begun
            run = retrain(url, token)
            if run["state"] == "passed":
                champion = run["version"]
            score = test_score(played.loop, versions.path(champion), played.test, played.kind)
            rows.append([number, corrections, confirmed, score, time.monotonic() - begun, run["state"]])
            print(f"round {number}: {talked:.0f} s of talk, score {score:.3f}, {run['state']} {run['detail']}", flush=True)
        for client in clients:
            client.close()
    begun = time.monotonic()
    train_whole(played.whole, work / "whole")
    full = test_score(played.whole, work / "whole", played.test, played.kind)
    rows.append(["at once", "", "", full, time.monotonic() - begun, "whole training split"])
    reached = float(str(rows[rounds][3]))
    print(table(["round", "corrections", "confirmed", "score", "seconds", "verdict"], rows))
    print(f"share of what fine-tuning at once reaches: {reached / full:.3f}")
    return {
        "f1_start": start,
        "f1_loop": reached,
        "f1_full": full,
        "share_of_full": reached / full,
        "rounds": rounds,
        "sentences": len(played.stream),
        "verdicts": ",".join(str(row[5]) for row in rows[1 : rounds + 1]),
    }


if __name__ == "__main__":
    raise SystemExit(main())
