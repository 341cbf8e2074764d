"""Makes the starter behaviour of demos/recommend.toml: people who are made up, and say so. It measures nothing.

`python benchmarks/recommend_people.py > demos/recommend.jsonl`. Each person has two or three fields of interest, which go
together in ways that no course's words tell (who bakes likes clay, who sails likes the stars), and some courses are liked by more
people than others. A list of eight is drawn by chance out of all courses that the person has said nothing of; a place is looked at with
probability 1/sqrt(place), and a course that is seen is liked or dismissed by the person's taste. A quarter wrote what they
were looking for. Nobody's data went into it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT
from feedback.records import Json

PEOPLE = 400
LENGTH = 8
FRIENDS = {
    "bake": ("clay", "garden"), "garden": ("bake", "photo"), "boats": ("stars", "wood"), "stars": ("boats", "code"),
    "clay": ("bake", "wood"), "wood": ("boats", "clay"), "code": ("stars", "money"), "music": ("lang", "body"),
    "lang": ("music", "photo"), "body": ("garden", "music"), "photo": ("lang", "garden"), "money": ("code", "lang"),
}  # fmt: skip
WISHES = {
    "bake": ("something to bake", "bread"), "garden": ("plants on a balcony", "growing vegetables"), "boats": ("sailing", "out on the water"),
    "stars": ("the night sky", "telescopes"), "clay": ("pottery", "something with my hands and clay"), "wood": ("woodworking", "make furniture"),
    "code": ("learn to program", "computers"), "music": ("sing or play an instrument", "music with others"), "lang": ("a new language", "writing"),
    "body": ("get fit", "sport for beginners"), "photo": ("take better pictures", "drawing"), "money": ("business and money", "work skills"),
}  # fmt: skip


def people(ids: list[str], seed: int = 0) -> list[dict[str, Json]]:
    """Return one row a person, in the form of the task's data files."""
    random = np.random.default_rng(seed)
    fields = [id_.rpartition("-")[0] for id_ in ids]
    appeal = random.normal(0.0, 0.8, size=len(ids))
    rows: list[dict[str, Json]] = []
    for person in range(PEOPLE):
        main = str(random.choice(list(FRIENDS)))
        friends = [friend for friend in FRIENDS[main] if random.random() < 0.7]
        bonus = np.asarray([3.0 if field == main else 2.2 if field in friends else 0.0 for field in fields])
        likes = 1.0 / (1.0 + np.exp(2.4 - bonus - appeal))
        before = random.choice(len(ids), size=int(random.integers(0, 13)), replace=False, p=likes / likes.sum())
        wish = str(random.choice(WISHES[main])) if random.random() < 0.25 else ""
        ranking = random.permutation(np.setdiff1d(np.arange(len(ids)), before))
        shown = ranking[:LENGTH]
        looked = random.random(LENGTH) < (1.0 + np.arange(LENGTH)) ** -0.5
        said = random.random(LENGTH)
        chance = likes[shown] if not wish else np.where([fields[i] == main for i in shown], likes[shown], 0.3 * likes[shown])
        liked = [ids[i] for i, seen, one, p in zip(shown, looked, said, chance, strict=True) if seen and one < p]
        dismissed = [
            ids[i] for i, seen, one, p in zip(shown, looked, said, chance, strict=True) if seen and one > 1 - 0.4 * (1 - p) ** 2
        ]
        rows.append(
            {
                "text": wish, "visit": f"made{person}", "history": [{"item": ids[i], "did": "liked"} for i in before],
                "items": [ids[i] for i in shown], "liked": liked, "dismissed": [item for item in dismissed if item not in liked],
                "shown": [ids[i] for i in shown], "ranks": list(range(LENGTH)), "policy": [1.0, len(ranking)],
            }
        )  # fmt: skip
    return rows


def main() -> int:
    """Print the rows."""
    path = Path(ROOT / "demos" / "recommend.catalogue.jsonl")
    ids = [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
    for row in people(ids):
        print(json.dumps(row))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
