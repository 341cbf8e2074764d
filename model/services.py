"""Weights & Biases and trackio, for whoever configures them: a run's settings and numbers, in the few calls that both know.

It writes no file of its own and decides nothing; what a service refuses is its caller's to bear (tracking.py).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from feedback.errors import BadDemo


class Service:
    """Weights & Biases or trackio, which has the same three calls. Nothing leaves the machine unless its owner says so.

    wandb is offline unless WANDB_MODE says otherwise, and tells nothing of the machine, the code or the command; trackio
    keeps its own local store (TRACKIO_DIR) unless TRACKIO_SPACE_ID or TRACKIO_SERVER_URL names another place.
    """

    def __init__(self, name: str, directory: Path, project: str, run: str) -> None:
        self.name = name
        self._about = (directory, project, run)
        self._library = _library(name)
        self._texts: dict[str, str] = {}
        self._step = 0

    def settings(self, settings: Mapping[str, Any]) -> None:
        """Begin the run there."""
        directory, project, run = self._about
        given: dict[str, Any] = {"project": project, "name": run, "config": dict(settings)}
        if self.name == "wandb":
            quiet = self._library.Settings(
                disable_git=True, disable_code=True, disable_job_creation=True, console="off", silent=True,
                x_disable_meta=True, x_disable_stats=True, x_disable_machine_info=True,
            )  # fmt: skip
            mode = os.environ.get("WANDB_MODE", "offline")
            self._library.init(**given, dir=str(directory), mode=mode, settings=quiet)
        else:
            self._library.init(**given, embed=False, auto_log_gpu=False, auto_log_cpu=False)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Send numbers. What comes after the training gets its last step: these services' steps only rise."""
        self._step = max(self._step, step if "train/loss" in values else 0)
        self._library.log(dict(values), step=self._step)

    def words(self, name: str, text_: str) -> None:
        """Numbers and settings alone go to a service."""

    def close(self, how: str) -> None:
        """End the run there."""
        self._library.finish()


def _library(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise BadDemo(
            f"[tracking] services names {name!r}, and that library is not installed: pip install 'amend[{name}]', or pip install {name}"
        )
    return importlib.import_module(name)
