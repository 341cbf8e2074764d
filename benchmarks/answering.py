"""Answers out of a catalogue on BANKING77: before and after 500 corrections, beside BM25 alone and the frozen base alone.

`python benchmarks/answering.py --data ../shared/data/banking77`. The set has intents and no answers, so each intent's name in words stands
for its answer: a catalogue of 77 entries of two to six words, harder to search than real answers. `before`: the product with this
catalogue and nothing else. `after`: trained on 500 questions of the training part with their right answers, as accepted corrections are;
once a seed of the sample. Both are asked all questions of the test part. Beside them on the same catalogue, each also with the 500
questions as keys that lead to their entries (the share that the corrections bring without any learning): BM25 (bm25s) and the cosine of the
frozen base's embeddings, nearest key; and, once, the encoder itself fine-tuned on the 500 (method full), since it may only replace the
frozen one where it wins.

top1, top3: share of questions whose right entry ranks first, or among three; mrr: mean of 1/rank. `right_when_answered` and `answered`:
what a visitor sees after the hand-over of unsure ones to a person; `refused_strange`: share handed over of questions whose ten intents
are taken out of catalogue and training. seconds_to_find_new_answer: on the real app, from the review that accepts a new answer to
another visitor's first answer with its words, by HTTP, median of `--repeats`.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import bm25s  # type: ignore[import-untyped, unused-ignore]
import httpx
import numpy as np

from benchmarks.common import arguments, running_app, table, write_json
from feedback.demo import Demo
from feedback.records import Example, input_hash
from model.answering import Answerer
from model.base import DEFAULT_BASE, base_directory, begin
from model.catalogue import Catalogue, Entry
from model.embedding import embedder
from model.methods import FitSettings, fit
from model.network_task import network_type
from model.progress import Progress
from model.retrieval.confidence import signals_of
from model.retrieval.index import Index, Known, ranks, words_in
from model.retrieval.learning import Learnt, learn
from model.retrieval.reranker import untrained
from model.tasks.answering import THRESHOLD

CORRECTIONS = 500
STRANGE = 10
Rows = list[tuple[str, str]]


def rows_of(file: Path) -> Rows:
    """Return (question, intent) of each row."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [(row["text"], row["category"]) for row in csv.DictReader(opened)]


def figures(found: np.ndarray) -> dict[str, float]:
    """Return top-1, top-3 and MRR of ranks."""
    return {"top1": float(np.mean(found == 1)), "top3": float(np.mean(found <= 3)), "mrr": float(np.mean(1 / found))}


def by_bm25(catalogue: Catalogue, keys: Rows, test: Rows) -> np.ndarray:
    """Return the ranks of BM25 over one document a key: an entry has the score of its best one."""
    documents = [(entry.id, entry.text) for entry in catalogue.entries] + [(intent, text) for text, intent in keys]
    engine = bm25s.BM25()
    engine.index([words_in(text) or ["-"] for _, text in documents], show_progress=False)
    place = {entry.id: i for i, entry in enumerate(catalogue.entries)}
    owner = np.array([place[id_] for id_, _ in documents])
    scores = np.zeros((len(test), len(place)))
    for row, (text, _) in enumerate(test):
        known = [word for word in words_in(text) if word in engine.vocab_dict]
        if known:
            np.maximum.at(scores[row], owner, engine.get_scores(known))
    return ranks(scores + 1e-9 * np.random.default_rng(0).random(scores.shape), list(place), [intent for _, intent in test])


def examples_of(rows: Rows) -> list[Example]:
    """Return rows as accepted corrections are."""
    return [
        Example(text, {"answer": intent}, input_hash=input_hash(text), correction_id=str(i))
        for i, (text, intent) in enumerate(rows)
    ]


def asked(learnt: Learnt | None, catalogue: Catalogue, test: Rows) -> tuple[dict[str, float], np.ndarray]:
    """Return the figures of the product, before any training or after, and whether each question is answered at all."""
    base = embedder(DEFAULT_BASE)
    known = learnt.known if learnt else Known(np.zeros((0, base.width), np.float32), ())
    index = Index(catalogue.entries, known, base)
    questions, vectors = [text for text, _ in test], base.of([text for text, _ in test])
    evidence = index.evidence(questions, vectors)
    scores = (learnt.reranker if learnt else untrained()).scores(index, evidence, vectors)
    found = figures(ranks(scores, index.ids, [intent for _, intent in test]))
    if learnt is None:
        return found, np.zeros(len(test), dtype=bool)
    given = learnt.confidence.of(signals_of(scores, evidence)) >= THRESHOLD
    right = scores.argmax(axis=1) == np.array([index.place.get(intent, -1) for _, intent in test])
    return {
        **found,
        "answered": float(given.mean()),
        "right_when_answered": float(right[given].mean()) if given.any() else 0.0,
    }, given


def strange(catalogue: Catalogue, sample: Rows, test: Rows, seed: int) -> float:
    """Return the share handed over of the questions of ten intents that neither catalogue nor training knows."""
    gone = set(random.Random(seed).sample([entry.id for entry in catalogue.entries], STRANGE))
    rest = Catalogue(entry for entry in catalogue.entries if entry.id not in gone)
    learnt = learn(
        rest, examples_of([row for row in sample if row[1] not in gone]), [], embedder(DEFAULT_BASE), seed, Progress(None)
    )
    _, given = asked(learnt, rest, [row for row in test if row[1] in gone])
    return float(1 - given.mean())


def fine_tuned(sample: Rows, test: Rows, intents: list[str], seed: int) -> dict[str, float]:
    """Return the figures of the encoder fine-tuned on the sample as a classifier of intents."""
    task = network_type("text_classification")(intents)
    model = begin(task, base_directory(DEFAULT_BASE), seed)
    learned = [Example(text, {"label": intent}) for text, intent in sample]
    fit(model, task.encode(model.tokenizer, learned), FitSettings(method="full", epochs=10, seed=seed))
    scores = np.stack(Answerer(task, model).logits([text for text, _ in test])[1])
    return figures(ranks(scores, intents, [intent for _, intent in test]))


def seconds_to_find(demo: Path, home: Path, repeats: int) -> list[float]:
    """Return the seconds from a review to the first answer with the accepted words, by HTTP on the real app."""
    found = []
    with running_app(demo, home) as (url, token):
        staff = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        for number in range(repeats):
            question, words = (
                f"Do you sell boat number {number} of the kind zorblax{number}?",
                f"Boat {number} is sold from May on.",
            )
            with httpx.Client(base_url=url, timeout=60) as ann, httpx.Client(base_url=url, timeout=60) as bob:
                made = ann.post("/api/v1/predictions", json={"input": question}).json()
                body = {"prediction_id": made["id"], "output": {"answer": "", "text": words}}
                given = ann.post("/api/v1/corrections", json=body).json()
                began = time.monotonic()
                staff.post("/api/v1/reviews", json={"correction_id": given["id"], "verdict": "accept"}).raise_for_status()
                while bob.post("/api/v1/predictions", json={"input": question}).json()["output"].get("text") != words:
                    if time.monotonic() - began > 60:
                        raise RuntimeError(f"{question!r} was not found within a minute")
                    time.sleep(0.05)
                found.append(time.monotonic() - began)
        staff.close()
    return found


def written(directory: Path, catalogue: Catalogue, sample: Rows) -> Path:
    """Write the demo of this catalogue; return its TOML."""
    directory.mkdir(parents=True)
    catalogue.write(directory)
    lines = (json.dumps({"text": text, "label": intent}) + "\n" for text, intent in sample)
    (directory / "train.jsonl").write_text("".join(lines), encoding="utf-8")
    demo = directory / "bank.toml"
    demo.write_text(
        'name = "bank"\ntask = "answering"\ntitle = "Bank"\n[data]\ntrain = "train.jsonl"\ncatalogue = "catalogue.jsonl"\n',
        encoding="utf-8",
    )
    Demo.model_validate(
        {"path": demo, "name": "bank", "task": "answering", "title": "Bank", "data": {"catalogue": "catalogue.jsonl"}}
    )
    return demo


def main() -> None:
    """Measure, print and write."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    train, test = rows_of(options.data / "train.csv"), rows_of(options.data / "test.csv")
    intents = sorted({intent for _, intent in train})
    catalogue = Catalogue(Entry(intent, intent.replace("_", " ")) for intent in intents)
    base = embedder(DEFAULT_BASE)
    index = Index(catalogue.entries, Known(np.zeros((0, base.width), np.float32), ()), base)
    truth = [intent for _, intent in test]
    cosines = index.evidence([text for text, _ in test], base.of([text for text, _ in test]))[:, :, 0]
    before, _ = asked(None, catalogue, test)
    rows: list[dict[str, Any]] = [
        {"what": "before: texts alone, both kinds of evidence", **before},
        {"what": "BM25 alone", **figures(by_bm25(catalogue, [], test))},
        {"what": "frozen base alone", **figures(ranks(cosines, index.ids, truth))},
    ]
    after: list[dict[str, float]] = []
    keyed: dict[str, list[dict[str, float]]] = {
        "BM25 with the questions as keys": [],
        "frozen base with the questions as keys": [],
    }
    took = []
    for seed in range(1, options.seeds + 1):
        sample = random.Random(seed).sample(train, CORRECTIONS)
        began = time.monotonic()
        learnt = learn(catalogue, examples_of(sample), [], base, seed, Progress(None))
        took.append(time.monotonic() - began)
        found, _ = asked(learnt, catalogue, test)
        after.append({**found, "refused_strange": strange(catalogue, sample, test, seed)})
        near = Index(catalogue.entries, learnt.known, base).evidence([t for t, _ in test], base.of([t for t, _ in test]))
        keyed["BM25 with the questions as keys"].append(figures(by_bm25(catalogue, sample, test)))
        keyed["frozen base with the questions as keys"].append(figures(ranks(near[:, :, :2].max(axis=2), index.ids, truth)))
    rows.append({"what": f"after {CORRECTIONS} corrections", **_median(after)})
    rows += [{"what": name, **_median(found)} for name, found in keyed.items()]
    sample = random.Random(1).sample(train, CORRECTIONS)
    rows.append({"what": "the encoder fine-tuned on them (one seed)", **fine_tuned(sample, test, intents, 1)})
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir()
        seconds = seconds_to_find(written(Path(place) / "demo", catalogue, sample), home, options.repeats)
    told = {
        "top1_before": before["top1"],
        "top1_after": _median(after)["top1"],
        "top1_bm25": rows[1]["top1"],
        "top1_frozen": rows[2]["top1"],
        "seconds_to_find_new_answer": statistics.median(seconds),
        "seconds_to_find_worst": max(seconds),
        "learn_s": statistics.median(took),
    }
    columns = ["what", "top1", "top3", "mrr", "answered", "right_when_answered", "refused_strange"]
    print(table(columns, [[row.get(column, "") for column in columns] for row in rows]))
    for name, value in told.items():
        print(f"[{name}] {value:.3f}")
    write_json(options.json, {**told, "seeds": options.seeds, "test": len(test), "by_seed": after, "rows": rows})


def _median(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


if __name__ == "__main__":
    main()
