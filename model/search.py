"""`python -m model.search`: better settings for a demo's training, by Optuna, on items that the gate never uses. It makes no version.

A study can be stopped at any time and goes on with the same command. Its result is a file that `python -m model.train
--settings` takes, and the same as TOML: the defaults, unless the best settings beat them by more than noise on fresh items.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from feedback.client import home_of
from feedback.demo import Demo, SearchSettings, load_demo
from feedback.errors import AmendError, BadInput, Busy
from feedback.records import now
from model.adapters import ADAPTERS
from model.data import load_seed
from model.network_task import network_task
from model.parts import parts_of
from model.settings_file import as_toml, write_settings
from model.study import counted, defaults_of, library, one_trial, open_study, ranges_of, reserve
from model.trials import Compared, OutOfTime, Trials, Values, compared, items_of


class Outcome(NamedTuple):
    """What a search came to. `compared`: None where the defaults were best on the trials' items, or time did not suffice."""

    search: SearchSettings
    best: Values
    compared: Compared | None
    words: str
    file: Path


def search(demo: Demo, out: Path, *, minutes: float, trials: int, seeds: int = 3, method: str = "") -> Outcome:
    """Search on, in the study of directory `out`, until it has `trials` trials or the minutes are over; then compare and write.

    Raises BadInput for a method without settings, for another demo's study, and without Optuna; Busy where a search runs there.
    """
    method = method or demo.training.method
    ranges = ranges_of(demo, method)
    optuna = library()
    began = time.monotonic()
    end = began + 60 * minutes
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        task, seed = load_seed(demo)
        parts = parts_of(task, seed, None)
        items = items_of(parts)
        if not items.judging:
            raise BadInput(f"{demo.path}: no item is left to judge trials by: give more training data")
        runner = Trials(demo, network_task(task, "a search for settings"), method, items, seed.held_out, out / "tracking")
        study = open_study(optuna, out, demo, method, items)
        print(f"{len(items.learning)} items to learn from, judged on {items.words}", flush=True)
        while counted(study) < trials:
            late = end - reserve(study, seeds, 60 * minutes)
            if time.monotonic() > late or not one_trial(optuna, study, runner, ranges, late):
                print("the minutes for trials are over: the same command with more of them goes on", flush=True)
                break
        return _ended(study, runner, demo, method, out, end, seeds)


def _ended(study: Any, runner: Trials, demo: Demo, method: str, out: Path, end: float, seeds: int) -> Outcome:
    """Compare the best with the defaults on fresh items, as far as time allows, and write what came out."""
    ranges = ranges_of(demo, method)
    defaults = defaults_of(demo, ranges)
    whole = [t for t in study.trials if t.state.name == "COMPLETE"]
    pruned = sum(t.state.name == "PRUNED" for t in study.trials)
    best: Values = {name: _short(study.best_trial.params[name], value) for name, value in defaults.items()} if whole else defaults
    if best == defaults:
        done, words = None, "no trial did better than the defaults: the defaults stay"
    else:
        done, words = _compare(runner, best, defaults, demo.training.seed, end, seeds)
    wins = done is not None and done.better
    found = SearchSettings(
        method=method,
        found=dict(best) if wins else {},
        trials=counted(study),
        pruned=pruned,
        items=done.items if done else len(runner.items.judging),
        seeds=done.seeds if done else 0,
        score=done.score if done else None,
        defaults=done.defaults if done else None,
        noise=done.noise if done else None,
        made=now().isoformat(timespec="seconds"),
    )
    told = [
        {"number": t.number, "state": t.state.name.lower(), "score": t.value, "settings": t.params, **t.user_attrs}
        for t in study.trials
    ]
    more = {"words": words, "judged_on": runner.items.words, "defaults": defaults, "best": best, "trials": told}
    return Outcome(found, best, done, words, write_settings(out, found, more))


def _short(value: int | float, default: int | float) -> int | float:
    """Return a value in three digits, as people would write it; the default as it is. It is compared as it is written."""
    return float(f"{value:.3g}") if isinstance(value, float) and value != default else value


def _compare(runner: Trials, best: Values, defaults: Values, seed: int, end: float, seeds: int) -> tuple[Compared | None, str]:
    """Train both sides with seeds that no trial used; say in words what came out."""
    pairs = []
    try:
        for number in range(1, seeds + 1 if len(runner.items.fresh) > 1 else 1):
            pairs.append(runner.against(best, defaults, seed + number, end))
            print(f"seed {seed + number}: {100 * pairs[-1].difference():+.2f} points on {len(pairs[-1])} fresh items", flush=True)
    except OutOfTime:
        print("the minutes are over", flush=True)
    if len(pairs) < 2:
        return None, f"{len(pairs)} of the 2 seeds or more that a comparison needs were trained in the time: the defaults stay"
    done = compared(pairs)
    told = (
        f"{done.seeds} seeds, {done.items} items that judged no trial: best {100 * done.score:.2f}, defaults {100 * done.defaults:.2f}, "
        f"gain {100 * done.gain:+.2f}, noise {100 * done.noise:.2f} points"
    )
    return done, f"{told}: " + ("the best settings win" if done.better else "no more than noise, so the defaults stay")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the directory's lock: a second search would take the first one's running trial for a killed one."""
    handle = os.open(out / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Busy(f"{out}: a search is running there") from None
    finally:
        os.close(handle)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    options = _parser().parse_args(argv)
    try:
        demo = load_demo(options.demo)
        method = options.method or demo.training.method
        out = options.out or home_of(options.demo, options.home).directory / "search" / method
        done = search(
            demo, out.resolve(), minutes=options.minutes, trials=options.trials, seeds=options.seeds, method=method
        )  # fmt: skip
    except (AmendError, OSError) as error:
        print(f"model.search: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("model.search: stopped; the same command goes on with the trial that was running", file=sys.stderr)
        return 130
    print(f"{done.words}\n{done.file}: python -m model.train --demo {options.demo} --settings {done.file} --out DIR")
    if done.search.found:
        print(f"\n{as_toml(done.search)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model.search", description="Search for better training settings of a demo.")
    parser.add_argument("demo", type=Path, help="the demo's TOML")
    parser.add_argument("--minutes", type=float, default=30.0, help="the whole search's time, the last comparison included")
    parser.add_argument("--trials", type=int, default=20, help="trials in all, those of earlier calls included")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each side in the last comparison (2 at least)")
    parser.add_argument("--method", default="", help=f"instead of the demo's; {', '.join(ADAPTERS)} have settings of their own")
    parser.add_argument("--home", type=Path, default=None, help="the demo's home directory (default: var/NAME)")
    parser.add_argument("--out", type=Path, default=None, help="the study's directory (default: search/METHOD in the home)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
