"""The output layer as a logistic regression: how it uses the machine."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info  # type: ignore[import-not-found, import-untyped, unused-ignore]

from feedback.demo import Demo
from model import head
from model.base import begin
from model.data import network_seed
from model.methods import FitSettings, fit


def _blas_threads() -> list[int]:
    return [int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_the_solver_runs_on_one_thread_and_gives_the_others_back(text_demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy's BLAS has one thread while the head is fitted, and as many as before afterwards; torch keeps its own."""
    seen: list[int] = []

    class Watched(LogisticRegression):  # type: ignore[misc, unused-ignore]  # scikit-learn is untyped
        def fit(self, *given: Any, **more: Any) -> Any:
            seen.extend(_blas_threads())
            return super().fit(*given, **more)

    monkeypatch.setattr(head, "LogisticRegression", Watched)
    task, seed = network_seed(text_demo)
    model = begin(task, text_demo.base, 1)
    before, torchs = _blas_threads(), torch.get_num_threads()
    fit(model, task.encode(model.tokenizer, seed.train), FitSettings(method="head", device="cpu"))
    assert seen
    assert set(seen) == {1}
    assert _blas_threads() == before
    assert torch.get_num_threads() == torchs
