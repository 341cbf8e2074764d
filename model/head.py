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
from model.frozen import flowing
from model.packing import head_slices, heads_of

STRENGTH = 0.1
"""scikit-learn's C for inputs of unit spread: best or within 1.3 points of it at 300, 1,000 and 3,000 texts of BANKING77
(1,000 held-out training texts); on tags of NCBI-disease, C from 0.03 to 1 moves F1 by half a point."""


class HeadFitted(NamedTuple):
    """What it took: passes of the solver, tokens read, and the mean loss at the end."""

    passes: int
    tokens: int
    loss: float


class Output(NamedTuple):
    """An output layer's numbers: weight (outputs, width) and bias (outputs,), fp32; `passes` and mean `loss` of the solver."""

    weight: np.ndarray
    bias: np.ndarray
    passes: int = 0
    loss: float = 0.0

    def towards(self, end: Output, a: float) -> Output:
        """Return (1-a) this + a end."""
        return Output((1 - a) * self.weight + a * end.weight, (1 - a) * self.bias + a * end.bias, end.passes, end.loss)

    def put(self, layer: torch.nn.Linear) -> None:
        """Write the numbers into the layer."""
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(self.weight))
            layer.bias.copy_(torch.from_numpy(self.bias))


def output_of(layer: torch.nn.Linear) -> Output:
    """Return the layer's numbers."""
    return Output(layer.weight.detach().float().cpu().numpy().copy(), layer.bias.detach().float().cpu().numpy().copy())


def fit_head(
    network: Any,
    features: Sequence[dict[str, Any]],
    pad: int,
    amp: Callable[[], AbstractContextManager[Any]],
    report: Callable[[int, int, float | None], None],
) -> HeadFitted:
    """Fit the output layer in place. A label without examples gets an output that never wins."""
    layer = output_layer(network)
    states = flowing(network, layer, [feature["input_ids"] for feature in features], pad, amp, report)
    fitted = fit_output(features, states, layer.out_features)
    fitted.put(layer)
    return HeadFitted(fitted.passes, sum(len(f["input_ids"]) for f in features), fitted.loss)


def fit_output(features: Sequence[dict[str, Any]], states: Sequence[np.ndarray], outputs: int) -> Output:
    """Return the output layer that a logistic regression finds; the same features give the same numbers.

    states: what flows into it for each feature, (tokens, width) or (width,). outputs: how many labels the layer has. A label
    without examples gets an output that never wins. Of several heads each is a regression of its own, on the features that know its
    label. Raises BadDemo where there are not two labels to tell apart.
    """
    heads = heads_of(features)
    if not heads:
        return _regression(features, states, outputs)
    parts = []
    for number, columns in enumerate(head_slices(heads)):
        known = [i for i, feature in enumerate(features) if feature["labels"][number] >= 0]
        own = [{**features[i], "labels": features[i]["labels"][number] - columns.start} for i in known]
        parts.append(_regression(own, [states[i] for i in known], columns.stop - columns.start))
    weight, bias = (np.concatenate([part[i] for part in parts]) for i in range(2))
    return Output(weight, bias, max(part.passes for part in parts), sum(part.loss for part in parts))


def _regression(features: Sequence[dict[str, Any]], states: Sequence[np.ndarray], outputs: int) -> Output:
    if not features:
        raise BadDemo("method 'head' needs examples of at least two different labels of each head")
    inputs, labels, weights = _places(features, states)
    present = np.unique(labels)
    if len(present) < 2:
        raise BadDemo("method 'head' needs examples of at least two different labels")
    centre, spread = inputs.mean(axis=0), inputs.std() + 1e-8  # one spread for all: directions keep their weight
    inputs -= centre
    inputs /= spread
    solver = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3)
    # numpy's BLAS has threads of its own, and they spin: beside other work two took 6 times the CPU and 6 times as long as one
    with threadpool_limits(1):
        solver.fit(inputs, labels, sample_weight=weights)
    coefficients, intercepts = solver.coef_, solver.intercept_
    if len(present) == 2:  # scikit-learn gives one row for two labels
        coefficients, intercepts = (
            np.vstack([-coefficients / 2, coefficients / 2]),
            np.concatenate([-intercepts / 2, intercepts / 2]),
        )
    rows, bias = coefficients / spread, intercepts - coefficients @ centre / spread
    loss = float(log_loss(labels, solver.predict_proba(inputs), sample_weight=weights, labels=present))
    weight = np.zeros((outputs, inputs.shape[1]), dtype=np.float32)
    biases = np.full(outputs, -30.0 + float(bias.min()), dtype=np.float32)
    weight[present], biases[present] = rows, bias
    return Output(weight, biases, int(np.max(solver.n_iter_)), loss)


def _places(features: Sequence[dict[str, Any]], states: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what flows into the layer at each labelled place (places, width) in fp32, with labels and weights (places,)."""
    inputs, labels, weights = [], [], []
    for feature, state in zip(features, states, strict=True):
        given = np.atleast_1d(np.asarray(feature["labels"]))
        kept = given != -100
        inputs.append(state[kept] if state.ndim == 2 else state[None, :])
        labels.append(given[kept])
        weights.append(np.full(int(kept.sum()), float(feature["weight"])))
    return np.concatenate(inputs).astype(np.float32), np.concatenate(labels), np.concatenate(weights)
