"""What the caps on a round's weight cost honest people and save from a flood: F1 of one retraining, with them and without.

`python benchmarks/caps.py --data ../shared/data/ncbi_disease --json docs/benchmarks/caps.json` takes about five minutes on two cores
(`--preset full`: three seeds).
Contributors are as busy as people are (the n-th busiest gives 1/n of the busiest), all came in one hour by one network, and
all that they say is right; in the arms with a flood, as much again comes from one contributor who drops every span. Nothing is
reviewed: what a reviewer accepts no cap touches. Method top, from a champion that learned a tenth of the training sentences.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import arguments, table, write_json
from feedback.caps import CapRule, Weighed, capped
from feedback.records import Example, input_hash
from feedback.weighing import label_pair
from model.answering import Answerer
from model.base import Model, base_directory, begin
from model.methods import FitSettings, fit
from model.network_task import NetworkTask, network_type
from model.readers import read_rows

CORRECTIONS = 400
TEST = 400
PEOPLE = (3, 10, 40)
SETTINGS = FitSettings(method="top", epochs=3, learning_rate=3e-4)


def examples_of(path: Path) -> list[Example]:
    """Return a file's sentences as examples."""
    return [Example(row.text, row.output, input_hash=input_hash(row.text)) for row in read_rows(path, "token_classification")]


def busy(people: int, count: int, random: np.random.Generator) -> list[str]:
    """Return who gave each of `count` corrections: the n-th busiest contributor as often as 1/n, everybody at least once."""
    shares = 1 / np.arange(1, people + 1)
    names = [*range(people), *random.choice(people, size=count - people, p=shares / shares.sum())]
    return [f"u{name}" for name in random.permutation(names)]


def weights(examples: Sequence[Example], shown: Sequence[Any], rule: CapRule | None) -> list[float]:
    """Return what each correction weighs; without a rule 1."""
    if rule is None:
        return [1.0] * len(examples)
    cohorts = ("network:one", "hour:one")
    rows = [Weighed(1.0, e.contributor, cohorts, label_pair(was, e.output)) for e, was in zip(examples, shown, strict=True)]
    return list(capped(rows, rule).weights)


def learned(task: NetworkTask, seed: Sequence[Example], more: Sequence[Example], settings: FitSettings) -> Model:
    """Return a model trained on the seed, and on what is more, from the base: champion and candidates begin alike."""
    model = begin(task, base_directory("all-MiniLM-L6-v2", Path()), settings.seed)
    fit(model, task.encode(model.tokenizer, [*seed, *more]), settings)
    return model


def score(task: NetworkTask, model: Model, test: Sequence[Example]) -> float:
    """Return the entity F1 on the test sentences, 0..1."""
    answers = Answerer(task, model).answer([e.input for e in test], [{}] * len(test))
    return task.score([e.output for e in test], [answer.output for answer in answers])["main"]


def once(task: NetworkTask, data: Path, number: int) -> list[dict[str, Any]]:
    """Return the arms of one seed."""
    random = np.random.default_rng(number)
    pool = examples_of(data / "train.tsv")
    test = [examples_of(data / "test.tsv")[i] for i in random.permutation(TEST)]
    order = random.permutation(len(pool))
    cut = len(pool) // 10
    seed = [pool[i] for i in order[:cut]]
    given = [pool[i] for i in order[cut : cut + CORRECTIONS]]
    flood = [pool[i] for i in order[cut + CORRECTIONS : cut + 2 * CORRECTIONS]]
    settings = SETTINGS._replace(seed=number)
    champion = learned(task, seed, [], settings)
    shown = [a.output for a in Answerer(task, champion).answer([e.input for e in given + flood], [{}] * 2 * CORRECTIONS)]
    rows = [{"people": 0, "flood": False, "caps": "champion", "f1": score(task, champion, test), "weight": 0.0}]
    plain: dict[bool, float] = {}
    for flooded in (False, True):
        for people in PEOPLE:
            said = [
                Example(e.input, e.output, 1.0, "", who, e.input_hash)
                for e, who in zip(given, busy(people, CORRECTIONS, random), strict=True)
            ]
            if flooded:
                said += [Example(e.input, {"spans": []}, 1.0, "", "flood", e.input_hash) for e in flood]
            for name, rule in (("none", None), ("capped", CapRule())):
                if rule is None and flooded in plain:  # without caps it is all one who said what
                    f1 = plain[flooded]
                    weight = float(len(said))
                else:
                    given_weights = weights(said, shown[: len(said)], rule)
                    more = [Example(e.input, e.output, w) for e, w in zip(said, given_weights, strict=True)]
                    f1, weight = score(task, learned(task, seed, more, settings), test), sum(given_weights)
                    if rule is None:
                        plain[flooded] = f1
                rows.append({"people": people, "flood": flooded, "caps": name, "f1": f1, "weight": weight})
                print(number, rows[-1], flush=True)
    return rows


def main() -> int:
    """Run all seeds, print the table, write the figures."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a directory with train.tsv and test.tsv")
    chosen = parser.parse_args()
    task = network_type("token_classification")(("Disease",), 5000, "")
    rows = [row for number in range(1, 4 if chosen.preset == "full" else 2) for row in once(task, chosen.data, number)]
    keys = list(dict.fromkeys((row["flood"], row["people"], row["caps"]) for row in rows))
    summary = []
    for flood, people, caps in keys:
        same = [row for row in rows if (row["flood"], row["people"], row["caps"]) == (flood, people, caps)]
        summary.append(
            (
                "flood" if flood else "-",
                people,
                caps,
                statistics.mean(r["f1"] for r in same),
                statistics.mean(r["weight"] for r in same),
            )
        )
    print(table(("flood", "contributors", "caps", "F1", "weight"), summary))
    figures = {f"f1_{'flood_' if row[0] == 'flood' else ''}{row[1]}_{row[2]}": round(row[3], 4) for row in summary}
    write_json(chosen.json, {"preset": chosen.preset, "corrections": CORRECTIONS, **figures})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
