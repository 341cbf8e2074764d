"""What a training process keeps from one job to the next: data, networks, features. A process of one job begins with nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from feedback.demo import Demo
from feedback.records import Example
from model.base import Model, begin, resume
from model.data import SeedData, load_gold, load_seed
from model.frozen import Frozen
from model.head import output_of
from model.methods import autocast, device_of
from model.network_task import NetworkTask
from model.refit import Source
from model.scratch import base_of
from model.task import Task

MOST = 3
"""Networks kept: the champion, the base, and the champion before."""


class Data(NamedTuple):
    """A demo's task and data as read from its files."""

    task: Task
    seed: SeedData
    gold: list[Example]


class Held:
    """Kept by what it was made of: a file that changes is read again. For one thread."""

    def __init__(self) -> None:
        self._data: tuple[object, Data] | None = None
        self._sources: OrderedDict[object, Source] = OrderedDict()

    def data(self, demo: Demo) -> Data:
        """Return the demo's task and data. Raises BadDemo like load_seed."""
        names = (demo.data.train, demo.data.validation, demo.data.test, demo.acceptance.gold, demo.data.catalogue)
        key = (demo.model_dump_json(), tuple(_stamp(demo.resolve(name)) for name in names if name))
        if self._data is None or self._data[0] != key:
            task, seed = load_seed(demo)
            self._data = (key, Data(task, seed, load_gold(demo, task)))
        return self._data[1]

    def parent(self, task: NetworkTask, directory: Path, rename: Mapping[str, str], demo: Demo) -> Source:
        """Return a version's network with its own head."""
        key = (directory, _stamp(directory / "config.json"), task.labels)
        if key not in self._sources:
            self._keep(key, resume(task, str(directory), rename, demo.training.seed), demo, own=True)
        return self._taken(key)

    def base(self, task: NetworkTask, demo: Demo) -> Source | None:
        """Return the demo's base with a head yet to be fitted; None where a head on it is no serious model, or there is no base."""
        if not task.frozen_head or demo.model:
            return None
        place = base_of(demo)
        key = (place, task.labels)
        if key not in self._sources:
            self._keep(key, begin(task, place, demo.training.seed), demo, own=False)
        return self._taken(key)

    def sources(self, task: NetworkTask, directory: Path, rename: Mapping[str, str], demo: Demo) -> list[Source]:
        """Return the networks to put a head on: the parent's, and the base's where it is another one."""
        parent, base = self.parent(task, directory, rename, demo), self.base(task, demo)
        return [parent] if base is None or base.frozen.same_below(parent.frozen) else [parent, base]

    def _keep(self, key: object, model: Model, demo: Demo, *, own: bool) -> None:
        device = device_of(demo.training.device)
        model.network.to(device)
        frozen = Frozen(model, autocast(device))
        self._sources[key] = Source(frozen, output_of(frozen.layer) if own else None)
        while len(self._sources) > MOST:
            self._sources.popitem(last=False)

    def _taken(self, key: object) -> Source:
        self._sources.move_to_end(key)
        return self._sources[key]


def _stamp(file: Path) -> tuple[str, int, int]:
    """Return what changes when a file does. A file that is missing is for its reader to name."""
    try:
        found = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), found.st_mtime_ns, found.st_size
