"""The first versions of a demo: train the starter champion and the first experiment's other arms, or take over a given checkpoint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from feedback.demo import Demo
from feedback.errors import BadDemo
from feedback.home import Home
from feedback.records import Experiment, Variant
from model.exports import add_foreign
from model.job import Job
from model.process import RunDirectory
from model.versions import Versions


def ensure_versions(demo: Demo, home: Home, versions: Versions) -> list[Variant]:
    """Make the demo's first versions where none are there; return the first experiment's variants (none: no experiment).

    Trains in processes of their own, with a progress bar on this console. Raises BadDemo with the process's last words.
    """
    if not versions.numbers():
        if demo.model:
            versions.adopt(add_foreign(demo, demo.model, home.runs / "starter"))
        else:
            _train(demo, home, versions, demo.training.method)
    variants: list[Variant] = []
    for arm in demo.experiment.arms:
        number = 1
        if arm.method and (demo.model or arm.method != demo.training.method):
            known = [c.number for c in versions.cards() if c.kind == "seed" and c.method == arm.method]
            number = known[0] if known else _train(demo, home, versions, arm.method)
        variants.append(Variant(arm.name, number, arm.share, dict(arm.settings)))
    return variants


def first_experiment(demo: Demo, variants: list[Variant]) -> Experiment | None:
    """Return the experiment that the demo declares before its first exposure, or None where it declares none."""
    settings = demo.experiment
    if not variants:
        return None
    return Experiment(
        name=settings.name,
        number=1,
        state="running",
        variants=tuple(variants),
        hypothesis=settings.hypothesis,
        author="demo",
        reason="declared in the demo's TOML",
        **settings.declared(),
    )


def _train(demo: Demo, home: Home, versions: Versions, method: str) -> int:
    directory = home.runs / f"starter-{method}"
    shutil.rmtree(directory, ignore_errors=True)  # what a kill left of an earlier try
    directory.mkdir(parents=True)
    job = Job(
        demo=str(demo.path),
        out=str(directory / "candidate"),
        progress=str(directory / "progress.json"),
        method=method,
        kind="seed",
        number=versions.next_number(),
        track=str(RunDirectory(directory).tracking),
    )
    (directory / "job.json").write_text(job.to_json(), encoding="utf-8")
    print(f"training the starter ({method}) of {demo.name} …", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "model.train", "--job", str(directory / "job.json")], stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise BadDemo(f"{demo.path}: the starter could not be trained (status {done.returncode}); its own words are above")
    number = versions.adopt(Path(job.out))
    shutil.rmtree(directory, ignore_errors=True)
    return number
