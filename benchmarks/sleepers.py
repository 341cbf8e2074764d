"""What the gate does with a version that learned from sleepers: contributors who are right on every trap and lie elsewhere.

`python benchmarks/sleepers.py --json docs/benchmarks/sleepers.json` takes some forty minutes of one core (`--preset small`: one seed, a third).

For NCBI-disease (spans) and Twitter financial news (three labels): a seed version learns from 15 % of the training file.
40 visitors, of whom 0, 20 or 40 % are sleepers, answer 1,000 other texts, two each, and 60 gold items (sleeper_visitors.py).
What they say goes through the log, the policy `reliability`, a weighed and capped snapshot, a retraining and the gate: the app's
own functions, in this process.
Once as it is, once after reviewers looked at a tenth of the accepted corrections, three times, and once without gold items.

Beside the gate's verdict stands the truth: both versions on the sealed test. A candidate is harmful where the paired 95 % interval of
the difference lies below 0, or the difference below -1.5 points. The gate's feedback slice is made of accepted items, so
it is poisoned as the training is: the other checks must catch it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.crowd_simulation import TRAPS
from benchmarks.sleeper_visitors import Arm, Lie, Text, believed, plain, score
from feedback.demo import Demo, load_demo
from feedback.home import Home
from feedback.records import Answer, Example, input_hash
from feedback.store import Store
from feedback.training_set import freeze_accepted
from model.answering import Answerer, open_network
from model.card import Card
from model.data import network_seed
from model.gold import lay_traps
from model.job import Job
from model.making import run_job
from model.network_task import NetworkTask
from model.paired import paired_counts
from model.progress import Progress

ITEMS, TEST = 1000, 800
SEED_SHARE = 0.15  # of the training file: the demo cuts its own validation (15 %) and test part (12 %) from it
HARM = -0.015
FILES = {
    "ncbi_disease": {"train": "train.tsv", "test": "test.tsv"},
    "banking77": {"train": "train.csv", "test": "test.csv", "text_column": "text", "label_column": "category"},
    "twitter_fin_sentiment": {
        "train": "sent_train.csv",
        "test": "sent_valid.csv",
        "text_column": "text",
        "label_column": "label",
    },
}
SEED = 1
SETS = ("ncbi_disease", "twitter_fin_sentiment")
METHODS = {"ncbi_disease": "top", "banking77": "head", "twitter_fin_sentiment": "head"}

ARMS = (Arm(0.0), Arm(0.4), Arm(0.4, traps=False), Arm(0.4, reviewers=True), Arm(0.2), Arm(0.2, reviewers=True))
WORST, MORE = Arm(0.4), 6
"""The setting in which a first run had seen harm, and how many more seeds of it are played on labels."""


class Played(NamedTuple):
    """One data set and seed, ready to be played: the demo, its first version's directory, and what visitors will meet."""

    demo: Demo
    task: NetworkTask
    champion: Path
    texts: dict[str, Text]  # by the names of crowd_simulation.assigned; traps and items
    test: list[Example]
    test_answers: list[Answer]  # of the champion
    lie: Lie


def prepare(data: Path, work: Path, seed: int, items: int = ITEMS) -> Played:
    """Split a data set, write the demo, train its first version and let it answer everything that visitors will meet."""
    files = {key: str(data / value) if key in ("train", "test") else value for key, value in FILES[data.name].items()}
    task, known = network_seed(_demo(work, "whole", data.name, files))
    dealt = sorted((*known.train, *known.validation), key=lambda example: example.input_hash)
    dealt = [dealt[int(i)] for i in np.random.default_rng(seed).permutation(len(dealt))]
    cut = round(SEED_SHARE * len(dealt))
    met = dealt[cut : cut + TRAPS + items]
    test = sorted(known.test, key=lambda example: example.input_hash)[:TEST]
    written = {"seed": dealt[:cut], "gold": met[:TRAPS]}
    for name, part in written.items():
        lines = [json.dumps({"text": example.input, **example.output}, ensure_ascii=False) + "\n" for example in part]
        (work / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    demo = _demo(work, "loop", data.name, {"train": str(work / "seed.jsonl")}, str(work / "gold.jsonl"), task.labels)
    champion = work / "champion"
    run_job(Job(str(demo.path), str(champion), method=demo.training.method), demo, Progress(None))
    answerer = open_network(champion)
    answers, test_answers = (answerer.answer([e.input for e in part], [{}] * len(part)) for part in (met, test))
    names = [f"trap{i:03d}" for i in range(TRAPS)] + [f"item{i:04d}" for i in range(items)]
    texts = {name: Text(e.input, e.output, answer) for name, e, answer in zip(names, met, answers, strict=True)}
    target = task.labels[int(np.random.default_rng(seed).integers(len(task.labels)))]
    return Played(demo, task, champion, texts, test, test_answers, Lie(target, task.labels))


def _demo(work: Path, name: str, data: str, files: dict[str, str], gold: str = "", labels: Sequence[str] = ()) -> Demo:
    """Write a demo's TOML; validation is cut from the training file by hash, as in any demo that names no file for it."""
    method = METHODS[data]
    listed = "\n".join(f"{key} = {json.dumps(value)}" for key, value in files.items())
    path = work / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntask = "{"token" if method == "top" else "text"}_classification"\ntitle = "{name}"\n'
        f'labels = {json.dumps(list(labels))}\n[data]\n{listed}\n[training]\nmethod = "{method}"\nepochs = 5\n'
        f'[acceptance]\npolicy = "reliability"\ngold = {json.dumps(gold)}\n',
        encoding="utf-8",
    )
    return load_demo(path)


def play(played: Played, home: Home, arm: Arm, seed: int) -> dict[str, Any]:
    """Let the visitors speak, judge, freeze, retrain and gate; return what was accepted, the verdicts and the truth."""
    truth = {input_hash(t.text): plain(t.truth) for t in played.texts.values()}
    shown = {input_hash(t.text): plain(t.shown.output) for t in played.texts.values()}
    began = time.monotonic()
    with Store(home.directory) as store:
        if arm.traps:
            lay_traps(played.demo, played.task, store)
        examples, row = believed(store, played.texts, arm, played.lie, seed)
        snapshot = freeze_accepted(store, home.snapshots, played.demo.acceptance.caps()) if examples else None
    found = score(examples, truth, shown)
    row |= {"accepted": found.texts, "wrong_share": found.wrong_share}
    row |= {"corrections": found.corrections, "precision": found.precision}
    if snapshot is None:
        return row | {"verdict": "nothing", "harmful": False}
    row["weight"] = sum(example.weight for example in snapshot.train)
    row["poison_weight"] = sum(e.weight for e in snapshot.train if e.output != truth[e.input_hash]) / row["weight"]
    job = Job(
        demo=str(played.demo.path), out=str(home.runs / "candidate"), method=played.demo.training.method, kind="retrain", number=2,
        parent=str(played.champion), parent_version=1, champion=str(played.champion), champion_version=1,
        snapshot=str(home.snapshots / snapshot.id), trigger="benchmark",
    )  # fmt: skip
    card = run_job(job, played.demo, Progress(None))
    candidate = open_network(Path(job.out))
    row |= judged(card) | harm(played, candidate, seed)
    row["feedback_true"] = true_feedback(played, candidate, [example.input_hash for example in snapshot.gate])
    return row | {"seconds": time.monotonic() - began}


def judged(card: Card) -> dict[str, Any]:
    """Return the gate's verdict, what refused, what was undecided, and the measured difference of each check."""
    gate = card.gate or {}
    checks = {check["name"]: check for check in gate["checks"] if check["verdict"] != "shown"}
    named = {kind: [name for name, check in checks.items() if check["verdict"] == kind] for kind in ("fail", "undecided")}
    classes = [name for name in named["fail"] if name.startswith("class:")]
    failed = [name for name in named["fail"] if name not in classes] + ([f"classes ({len(classes)})"] if classes else [])
    return {
        "verdict": gate["verdict"],
        "failed": ", ".join(failed),
        "undecided": ", ".join(named["undecided"]),
        "old_items": checks["old_domain"]["items"],
        "old": checks["old_domain"]["value"],
        "feedback_items": checks["feedback"]["items"],
        "feedback": checks["feedback"]["value"],
        "resolution": gate["resolution"],
        "interpolation": card.interpolation,
        "checks": [[c["name"], c["verdict"], c["value"], c["lower"], c["margin"]] for c in checks.values()],
    }


def harm(played: Played, candidate: Answerer, seed: int) -> dict[str, Any]:
    """Return both versions' scores on the sealed test, their difference with a paired 95 % interval, and whether it is harm."""
    answers = candidate.answer([e.input for e in played.test], [{}] * len(played.test))
    truth = [example.output for example in played.test]
    before, after = ([answer.output for answer in side] for side in (played.test_answers, answers))
    pairs = paired_counts(played.task, truth, before, after)
    low, high = np.quantile(pairs.resampled(np.random.default_rng(seed), 4000), (0.025, 0.975))
    scores = [played.task.score(truth, side)["main"] for side in (before, after)]
    difference = pairs.difference()
    return {
        "champion": scores[0],
        "candidate": scores[1],
        "difference": difference,
        "low": float(low),
        "high": float(high),
        "harmful": harmful(difference, float(high)),
    }


def harmful(difference: float, high: float) -> bool:
    """Return whether a candidate is truly worse: its interval's upper end below 0, or the point below HARM."""
    return high < 0 or difference < HARM


def true_feedback(played: Played, candidate: Answerer, hashes: Sequence[str]) -> float | None:
    """Return the candidate's gain on the gate's feedback texts, judged by their right outputs; None where there is no text."""
    known = {input_hash(text.text): text for text in played.texts.values()}
    texts = [known[hash_] for hash_ in hashes]
    if not texts:
        return None
    answers = candidate.answer([text.text for text in texts], [{}] * len(texts))
    truth, before = [text.truth for text in texts], [text.shown.output for text in texts]
    return paired_counts(played.task, truth, before, [answer.output for answer in answers]).difference()


def main() -> int:
    """Run the benchmark; print the tables, write the JSON."""
    parser = arguments(__doc__, default_preset="full")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, default=None)
    parser.add_argument("--sets", nargs="+", choices=sorted(METHODS), default=SETS)
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of the first (data set, seed) pairs")
    options = parser.parse_args()
    for name in options.sets:
        if not (options.data / name).is_dir():
            print(f"{options.data} has no folder {name}: this benchmark needs it", file=sys.stderr)
            return 2
    seeds = options.seeds or (1 if options.preset == "small" else 2)
    plan: list[tuple[str, int, tuple[Arm, ...]]] = [
        (name, seed, ARMS) for name in options.sets for seed in range(SEED, SEED + seeds)
    ]
    if options.preset == "full":
        plan += [(name, SEED + seeds + i, (WORST,)) for name in options.sets if METHODS[name] == "head" for i in range(MORE)]
    rows: list[dict[str, Any]] = []
    for name, seed, arms in plan[options.skip :]:
        for row in _rounds(options.data / name, seed, arms):
            rows.append(row)
            write_json(options.json, {**summed(rows), "first_seed": SEED, "rounds": rows})  # what is done is kept
    figures = summed(rows)
    shown = ["data", "seed", "share", "traps", "reviewers", "accepted", "precision", "wrong_share", "poison_weight"]
    shown += ["old", "feedback", "feedback_true", "difference", "low", "high", "harmful", "verdict", "failed", "undecided"]
    print(table(shown, [["" if row.get(name) is None else row[name] for name in shown] for row in rows]))
    print(table(["figure", "value"], list(figures.items())))
    return 0


def _rounds(data: Path, seed: int, arms: Sequence[Arm]) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="amend-sleepers-") as folder:
        work = Path(folder)
        played = prepare(data.resolve(), work, seed)
        for number, arm in enumerate(arms):
            row = {"data": data.name, "seed": seed} | play(played, Home(work / f"home-{number}"), arm, seed)
            print(json.dumps(row), flush=True)
            yield row


def summed(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures: rounds with sleepers, how many candidates were harmful, refused, harmful and passed; honest ones passed."""
    asleep = [row for row in rows if row["share"] > 0]
    honest = [row for row in rows if row["share"] == 0]
    return {
        "sleeper_rounds": len(asleep),
        "sleeper_harmful": sum(row["harmful"] for row in asleep),
        "sleeper_refused": sum(row["verdict"] == "refused" for row in asleep),
        "sleeper_undecided": sum(row["verdict"] == "undecided" for row in asleep),
        "sleeper_harmful_passed": sum(row["harmful"] and row["verdict"] == "passed" for row in asleep),
        "honest_rounds": len(honest),
        "honest_passed": sum(row["verdict"] == "passed" for row in honest),
    }


if __name__ == "__main__":
    raise SystemExit(main())
