"""How much of what people say becomes a better model, and how much harm gets through: rounds of visitors, learning and gate.

`python benchmarks/feedback_to_quality.py --json docs/benchmarks/feedback_to_quality.json` (`small`: three rounds, one seed, top layers).
`--preset full --state DIR` plays five rounds, all arms and three seeds with all weights. Every round is kept in the state folder, so
whoever starts it again goes on; `--minutes N` starts no round after that and ends with status 3 while some are left. In this process
training's threads spin while they wait: beside other work put OMP_WAIT_POLICY=PASSIVE.

NCBI-disease: a seed version learns from a tenth of the training sentences, visitors (quality_visitors.py) correct what serves,
quality_rounds.py plays the rounds. A candidate that passes the gate becomes the champion: the A/B test is taken as won.

| arm | learns | promoted |
|---|---|---|
| corrections | every correction as it was said, from the champion | always |
| replay | the same and the seed's sentences | always |
| interpolation | the same, then pulled back towards the champion as validation says | always |
| product | what the policy believes (confirmations too), capped; seed replayed; interpolated | where the gate passes it |
| base | the same, from the base model | where the gate passes it |
| no gate | as the product | always |
| oracle | the right answers to the texts met; seed replayed; interpolated | always |

A promotion is harmful where the paired 95 % interval of the test difference lies below 0, or the difference below -1.5 points.
Recovery is (product - start) / (oracle - start), with a 95 % interval over resampled test sentences (not over seeds).
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import ROOT, arguments, table, write_json
from benchmarks.quality_data import Played, Settings
from benchmarks.quality_rounds import Family, State, f1, piece_of, play, prepare
from feedback.errors import AmendError, BadInput

RESAMPLES = 4000
UNFINISHED = 3  # exit status


class Arm(NamedTuple):
    """A way to learn, and whether a candidate needs the gate's pass to become the champion."""

    family: Family
    gate: bool = False


BELIEVED = Family("believed", "believed", gated=True)
ARMS = {
    "product": Arm(BELIEVED, gate=True),
    "no gate": Arm(BELIEVED),
    "oracle": Arm(Family("oracle", "true")),
    "corrections": Arm(Family("corrections", "said", "corrections")),
    "replay": Arm(Family("replay", "said", "replay")),
    "interpolation": Arm(Family("interpolation", "said")),
    "base": Arm(Family("base", "believed", "base", gated=True), gate=True),
}


class Preset(NamedTuple):
    """What a run plays."""

    settings: Settings
    malice: tuple[float, ...]
    arms: tuple[str, ...]
    seeds: int


PRESETS = {
    "small": Preset(Settings(3, 300, "top", validation=500), (0.2, 0.4), ("product", "no gate", "oracle"), 1),
    "full": Preset(Settings(5, 900, "full"), (0.0, 0.2, 0.4), tuple(ARMS), 3),
}


class OutOfTime(Exception):
    """The minutes are used up; what was played is kept."""


Player = Callable[[Played, Family, float, int, State, Path], dict[str, Any]]


def walk(played: Played, name: str, malice: float, player: Player) -> list[dict[str, Any]]:
    """Play an arm's rounds and return a row each, with the champion's figures after it.

    Rounds lie in a tree that branches at each decision, so arms that have decided alike so far share what comes next.
    """
    arm = ARMS[name]
    folder = _folder(played, arm.family, malice)
    state = State(played.start, _known(played.start))
    rows = []
    for number in range(1, played.settings.rounds + 1):
        out = folder / f"round-{number}"
        piece = piece_of(out) or player(played, arm.family, malice, number, state, out)
        promoted = piece["verdict"] != "nothing" and (not arm.gate or piece["verdict"] == "passed")
        state = State(out, piece, out) if promoted else state._replace(last=out)
        rows.append(
            {"arm": name, "malice": malice, "seed": played.number, "round": number, **piece, "promoted": promoted}
            | {"piece": str(out.relative_to(played.folder.parent))}
            | {"candidate": piece.get("f1"), "f1": state.piece["f1"], "old": state.piece["old"], "counts": state.piece["counts"]}
        )
        folder = out / ("promoted" if promoted else "kept")
    return rows


def _folder(played: Played, family: Family, malice: float) -> Path:
    return played.folder / (family.name if family.labels == "true" else f"{family.name}-{round(100 * malice)}")


def _known(folder: Path) -> dict[str, Any]:
    found = piece_of(folder)
    if found is None:
        raise BadInput(f"{folder}: the seed version is not there: prepare it first")
    return found


def tidy(folder: Path) -> None:
    """Remove weights and logs of a family whose arms are all played; what was found stays."""
    for name in ("candidate", "home"):
        for found in [*folder.rglob(name)]:
            shutil.rmtree(found)


def run(data: Path, state: Path, preset: Preset, player: Player = play) -> list[dict[str, Any]]:
    """Play all that is still to be played, and return every round's row; round 0 is the seed version."""
    rows: list[dict[str, Any]] = []
    for seed in range(1, preset.seeds + 1):
        played = prepare(data, state / f"seed-{seed}", seed, preset.settings)
        start = _known(played.start)
        rows.append({"arm": "start", "malice": None, "seed": seed, "round": 0, "promoted": True, "piece": str(seed), **start})
        for malice in preset.malice:
            for name in preset.arms:
                if ARMS[name].family.labels == "true" and malice != preset.malice[0]:
                    continue  # no visitor is asked: it is one arm for all
                for row in walk(played, name, malice, player):
                    rows.append(row)
                    print(json.dumps({key: value for key, value in row.items() if key != "counts"}), flush=True)
            for family in {ARMS[name].family for name in preset.arms}:
                tidy(_folder(played, family, malice))
    return rows


def figures(rows: Sequence[dict[str, Any]], malice: Sequence[float], rounds: int) -> dict[str, Any]:
    """Return the figures of all rows; means over seeds. F1 and shares lie in 0..1."""
    of = {(r["arm"], r["malice"], r["seed"], r["round"]): r for r in rows}
    seeds = sorted({r["seed"] for r in rows})
    start = [of["start", None, seed, 0] for seed in seeds]
    product = [r for r in rows if r["arm"] == "product"]
    found: dict[str, Any] = {"seeds": len(seeds), "rounds": rounds, "test_sentences": len(start[0]["counts"])}
    found["f1_start"] = _mean([r["f1"] for r in start])
    oracle = [of["oracle", malice[0], seed, rounds] for seed in seeds]
    found["f1_oracle"] = _mean([r["f1"] for r in oracle])
    for share in malice:
        name = round(100 * share)
        last = [of["product", share, seed, rounds] for seed in seeds]
        own = [r for r in product if r["malice"] == share]
        found[f"f1_product_{name}"] = _mean([r["f1"] for r in last])
        point, low, high = recovery(*([np.asarray(r["counts"]) for r in side] for side in (start, last, oracle)))
        found |= {f"recovery_{name}": point, f"recovery_{name}_low": low, f"recovery_{name}_high": high}
        found[f"least_gain_{name}"] = min(r["f1"] - of["start", None, r["seed"], 0]["f1"] for r in own)
        found[f"forgetting_{name}"] = _mean([a["old"] - b["old"] for a, b in zip(start, last, strict=True)])
        found[f"precision_{name}"] = _mean([r["precision"] for r in last if r["precision"] is not None])
        found[f"promotions_{name}"] = sum(r["promoted"] for r in own)
    for arm in dict.fromkeys(r["arm"] for r in rows):
        taken = [r for r in rows if r["arm"] == arm and r["promoted"] and r["round"]]
        key = "harmful_promotions" + ("" if arm == "product" else f"_{arm.replace(' ', '_')}")
        if arm != "start":
            found |= {key: sum(r["harmful"] for r in taken), key.replace("harmful_", ""): len(taken)}
    found["sentences_made_worse"] = _mean([r["worse"] / found["test_sentences"] for r in product if r["promoted"]])
    found["seconds"] = sum({r["piece"]: r["seconds"] for r in rows}.values())  # a piece that two arms share counts once
    found["harmful_candidates"] = sum(r.get("harmful", False) for r in product)
    return found


def recovery(
    start: Sequence[np.ndarray], product: Sequence[np.ndarray], oracle: Sequence[np.ndarray]
) -> tuple[float, float, float]:
    """Return (product - start) / (oracle - start) of mean F1 over seeds, and its 95 % interval over resampled sentences.

    Each of the three holds a seed's counts (sentences, 3) of tp, fp, fn on the same test sentences.
    """
    point = _share(*(_mean([f1(counts) for counts in side]) for side in (start, product, oracle)))
    items = len(start[0])
    drawn = np.random.default_rng(0).multinomial(items, np.full(items, 1 / items), size=RESAMPLES)
    sides = []
    for side in (start, product, oracle):
        sums = np.stack([drawn @ counts for counts in side])  # (seeds, resamples, 3)
        sides.append((2 * sums[..., 0] / np.maximum(1, 2 * sums[..., 0] + sums[..., 1] + sums[..., 2])).mean(axis=0))
    low, high = np.nanquantile(_share(*sides), (0.025, 0.975))
    return float(point), float(low), float(high)


def _share(start: Any, product: Any, oracle: Any) -> Any:
    """Return how much of the way from start to oracle the product went; NaN where the oracle gained nothing."""
    gain = np.asarray(oracle - start)
    return np.where(gain > 0, (product - start) / np.where(gain > 0, gain, 1), np.nan)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def main() -> int:
    """Run the benchmark; print the tables, write the JSON."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "ncbi_disease")
    parser.add_argument("--state", type=Path, default=None, help="keep rounds there, and go on from what is there")
    parser.add_argument("--minutes", type=float, default=None, help="start no round after so many minutes")
    options = parser.parse_args()
    if not (options.data / "train.tsv").is_file():
        print(f"{options.data / 'train.tsv'} is not there: this benchmark needs ncbi_disease", file=sys.stderr)
        return 2
    preset, began = PRESETS[options.preset], time.monotonic()

    def timed(*given: Any) -> dict[str, Any]:
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            raise OutOfTime
        return play(*given)

    with tempfile.TemporaryDirectory(prefix="amend-quality-") as temporary:
        state = (options.state or Path(temporary)).resolve()
        try:
            claim(state, preset.settings)
            rows = run(options.data.resolve(), state, preset, timed)
        except OutOfTime:
            print(f"the time is up and rounds are left: start it again with --state {state}", file=sys.stderr)
            return UNFINISHED
        except AmendError as error:
            print(f"feedback_to_quality: {error}", file=sys.stderr)
            return 2
    found = figures(rows, preset.malice, preset.settings.rounds)
    print(table(["figure", "value"], list(found.items())))
    kept = [{key: value for key, value in row.items() if key != "counts"} for row in rows]
    write_json(options.json, {**found, "preset": options.preset, **preset.settings._asdict(), "rows": kept})
    return 0


def claim(state: Path, settings: Settings) -> None:
    """Make a state folder ours; raise BadInput where it holds rounds of other settings."""
    path, text = state / "settings.json", json.dumps(settings._asdict())
    state.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.read_text(encoding="utf-8") != text:
        raise BadInput(f"{path}: this folder holds rounds of other settings; give another, or remove it")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
