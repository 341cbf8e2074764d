"""The output layer as a logistic regression on what flows into it. The rest of the network stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits  # type: ignore[import-not-found, import-untyped, unused-ignore]

from feedback.errors import BadDemo
from model.base import output_layer
from model.batches import length_batches, model_inputs

STRENGTH = 0.1
"""scikit-learn's C for inputs of unit spread: best or within 1.3 points of it at 300, 1,000 and 3,000 texts of BANKING77
(1,000 held-out training texts); on tags of NCBI-disease, C from 0.03 to 1 moves F1 by half a point."""


class HeadFitted(NamedTuple):
    """What it took: passes of the solver, tokens read, and the mean loss at the end."""

    passes: int
    tokens: int
    loss: float


def fit_head(
    network: Any,
    features: Sequence[dict[str, Any]],
    pad: int,
    amp: Callable[[], AbstractContextManager[Any]],
    report: Callable[[int, int, float | None], None],
) -> HeadFitted:
    """Fit the output layer in place. A label without examples gets an output that never wins."""
    layer = output_layer(network)
    inputs, labels, weights = _inputs(network, layer, features, pad, amp, report)
    present = np.unique(labels)
    if len(present) < 2:
        raise BadDemo("method 'head' needs examples of at least two different labels")
    centre, spread = inputs.mean(axis=0), inputs.std() + 1e-8  # one spread for all: directions keep their weight
    solver = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3)
    # numpy's BLAS has threads of its own, and they spin: beside other work two took 6 times the CPU and 6 times as long as one
    with threadpool_limits(1):
        solver.fit((inputs - centre) / spread, labels, sample_weight=weights)
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(present) == 2:  # scikit-learn gives one row for two labels
        coefficients, intercepts = (
            np.vstack([-coefficients / 2, coefficients / 2]),
            np.concatenate([-intercepts / 2, intercepts / 2]),
        )
    rows, bias = coefficients / spread, intercepts - coefficients @ centre / spread
    loss = float(log_loss(labels, solver.predict_proba((inputs - centre) / spread), sample_weight=weights, labels=present))
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[torch.from_numpy(present)] = torch.from_numpy(rows).to(layer.weight)
        layer.bias.fill_(-30.0 + float(bias.min()))
        layer.bias[torch.from_numpy(present)] = torch.from_numpy(bias).to(layer.bias)
    return HeadFitted(int(np.max(solver.n_iter_)), sum(len(f["input_ids"]) for f in features), loss)


def _inputs(
    network: Any,
    layer: torch.nn.Linear,
    features: Sequence[dict[str, Any]],
    pad: int,
    amp: Callable[[], AbstractContextManager[Any]],
    report: Callable[[int, int, float | None], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what flows into the layer at each labelled place (places, width), with labels and weights (places,)."""
    caught: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: caught.append(given[0].detach().float().cpu()))
    inputs, labels, weights = [], [], []
    batches = length_batches([len(feature["input_ids"]) for feature in features], 32)
    network.eval()
    try:
        for number, batch in enumerate(batches, 1):
            with torch.no_grad(), amp():
                network(**model_inputs([features[i]["input_ids"] for i in batch], pad, network.device))
            for i, states in zip(batch, caught.pop(), strict=True):
                given = np.atleast_1d(np.asarray(features[i]["labels"]))
                kept = given != -100
                inputs.append(states.numpy()[: len(given)][kept] if states.ndim == 2 else states.numpy()[None, :])
                labels.append(given[kept])
                weights.append(np.full(int(kept.sum()), float(features[i]["weight"])))
            report(number, len(batches), None)
    finally:
        hook.remove()
    return np.concatenate(inputs), np.concatenate(labels), np.concatenate(weights)
