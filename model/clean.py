"""Which labels a model that never saw them contradicts: cross-validated heads on frozen states. It stores and changes nothing.

Every example is judged by a head that learned neither from it nor from a near-duplicate of it (out of sample). Its
confidence is the probability of the label as it stands; where a text has several places (words), that of the least
probable place (Wang and Mueller, "Detecting label errors in token classification data", arXiv:2210.03920; ranking by
the label's own out-of-sample probability: Northcutt et al., "Confident learning", arXiv:1911.00068).

`python -m model.clean` is in clean_commands.py; what is done about suspects in suspects.py and cleaner.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-not-found, import-untyped, unused-ignore]
from torch.nn import functional
from transformers import AutoModel

from feedback.duplicates import duplicate_groups
from feedback.errors import BadInput
from feedback.records import Example, Json, text_of
from model.base import SAFE, load_config, load_tokenizer, quiet
from model.batches import logits_of, specials, tokenize
from model.head import STRENGTH
from model.network_task import Encoded, NetworkTask
from model.packing import heads_of

FOLDS = 5
LAYER = 2 / 3
"""How deep in the encoder words are read. 150 errors planted in 3,000 sentences of NCBI-disease, a linear head on one word: the
fourth of six layers had 32 of them among the first fifty, the last one 24; among the first 150 64 and 69."""
HOLD = 0.2
"""A place whose label has at least this probability keeps it in the proposal: only what is suspected changes."""
LEVELLING = 0.5
"""Probabilities are divided by this power of how often a label occurs: where nearly every word is O, a model is seldom sure
enough of anything else for a forgotten span to be seen. On NCBI-disease it finds three times as many of them."""
_WIDTH, _EPOCHS, _LEAST_STEPS, _BATCH, _RATE = 128, 2, 200, 256, 1e-3
_CHUNK = 256

Report = Callable[[int, int], object]
Predict = Callable[[np.ndarray], np.ndarray]
"""Numbers of places -> probabilities (places, labels), as if rare labels were less rare (LEVELLING)."""


class Seen(NamedTuple):
    """How a model that had not learned from an example sees it. `proposal` equals the example's output where it agrees."""

    confidence: float  # 0..1, of the label as it stands (Predict)
    proposal: Json


class Places(NamedTuple):
    """All places that carry a label. A text's places are rows `first[i]` to `first[i + 1]`."""

    states: torch.Tensor  # (places + 1, width), zero mean, unit spread; the last row is zero: what is beyond a text's end
    around: torch.Tensor  # (places, 1 or 3) rows of states that a head reads at a place
    tags: np.ndarray  # (places,) numbers of the task's config labels
    first: np.ndarray  # (texts + 1,)
    tokens: list[np.ndarray]  # by text: the tokens that carry the labels; empty arrays where the text has one label
    encodings: list[Encoded]
    heads: tuple[int, ...] = ()  # labels by head, where a text has several: then a text has a place for each head that it tells

    def of(self, texts: Sequence[int]) -> np.ndarray:
        """Return the rows of these texts (numbers), in order."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(np.arange(self.first[i], self.first[i + 1]) for i in texts)])


def judged(
    task: NetworkTask,
    examples: Sequence[Example],
    learns: Sequence[bool],
    source: str,
    *,
    folds: int = FOLDS,
    report: Report = lambda *_: None,
) -> list[Seen | None]:
    """Return how each example is seen out of sample; None where its label is too rare to be learned from the others.

    learns: whether an example is learned from; the others are judged only. source: the base model (directory or hub
    name), whose weights stay as they are. Raises BadInput where there is too little to learn from.
    """
    places = places_of(task, examples, source, report)
    learning = np.asarray(learns, dtype=bool)
    keys = [str(e.output) if learn else "" for e, learn in zip(examples, learns, strict=True)]
    fold = dealt([text_of(e.input) for e in examples], keys, folds)
    seen: list[Seen | None] = [None] * len(examples)
    for number in range(folds):
        teachers = places.of(np.flatnonzero(learning & (fold != number)).tolist())
        predict = fitted(places, teachers, len(task.config_labels()))
        known = np.unique(places.tags[teachers])
        for i in np.flatnonzero(fold == number).tolist():
            rows = places.of([i])
            if np.isin(places.tags[rows], known).all():
                seen[i] = seen_as(task, examples[i], places, i, predict(rows))
        report(len(examples) + (number + 1) * len(examples) // folds, 2 * len(examples))
    return seen


def places_of(task: NetworkTask, examples: Sequence[Example], source: str, report: Report = lambda *_: None) -> Places:
    """Return what the frozen base sees at every labelled place: words in context, or the mean of a text."""
    quiet()
    tokenizer = load_tokenizer(source, load_config(source))
    reader = _Reader(AutoModel.from_pretrained(source, dtype=torch.float32, **SAFE).eval())
    tags: list[np.ndarray] = []
    tokens: list[np.ndarray] = []
    states: list[np.ndarray] = []
    encodings = tokenize(tokenizer, [text_of(e.input) for e in examples])
    skip, features = len(specials(tokenizer).before), task.encode(tokenizer, examples)
    heads, rest = heads_of(features), iter(features)
    for encoded in encodings:
        labels = _labels(encoded, [next(rest)["labels"] for _ in encoded.windows], skip)
        if heads:
            tokens.append(np.empty(0, dtype=np.int64))
            tags.append(labels[labels != -100])
            continue
        tokens.append(np.flatnonzero(labels != -100) if labels.ndim else np.empty(0, dtype=np.int64))
        tags.append(labels[tokens[-1]] if labels.ndim else labels[None])
    whole = all(not len(found) for found in tokens) and (bool(heads) or all(len(found) == 1 for found in tags))
    reader.whole_text = whole
    for start in range(0, len(examples), _CHUNK):
        part = slice(start, start + _CHUNK)
        seen = logits_of(reader, tokenizer, encodings[part], 32)
        for found, chosen, told in zip(seen, tokens[part], tags[part], strict=True):
            places = found.mean(axis=0, keepdims=True).repeat(len(told), axis=0) if whole else found[chosen]
            states.append(places.astype(np.float32))
        report(min(len(examples), start + _CHUNK), 2 * len(examples))
    first = np.concatenate([[0], np.cumsum([len(found) for found in tags])])
    return Places(_levelled(states), _around(first, whole), np.concatenate(tags), first, tokens, encodings, heads)


def dealt(texts: Sequence[str], keys: Sequence[str], folds: int, seed: int = 1) -> np.ndarray:
    """Return each text's fold, 0 to folds - 1: near-duplicates in one, equal keys spread over all. Raises BadInput."""
    groups = np.asarray(duplicate_groups(texts))
    names = np.unique(groups)
    if len(names) < 2 * folds:
        raise BadInput(
            f"{len(texts)} examples with {len(names)} different texts: at least {2 * folds} are needed to search for errors"
        )
    shuffled = np.random.default_rng(seed).permutation(names)
    order = sorted(shuffled.tolist(), key=lambda name: keys[name])
    fold_of = {name: place % folds for place, name in enumerate(order)}
    return np.array([fold_of[int(group)] for group in groups])


def fitted(places: Places, rows: np.ndarray, labels: int) -> Predict:
    """Fit a head on these rows: a logistic regression for whole texts, one hidden layer over a word and its neighbours.

    Where texts have several heads, each has a regression of its own, and a place is asked about its own head.
    """
    if not places.heads:
        return _fitted(places, rows, labels)
    whose = np.repeat(np.arange(len(places.heads)), places.heads)[places.tags]  # (places,) numbers of heads
    parts = [_fitted(places, rows[whose[rows] == head], labels) for head in range(len(places.heads))]

    def predict(asked: np.ndarray) -> np.ndarray:
        found = np.zeros((len(asked), labels))
        for head, part in enumerate(parts):
            own = whose[asked] == head
            if own.any():
                found[own] = part(asked[own])
        return found

    return predict


def _fitted(places: Places, rows: np.ndarray, labels: int) -> Predict:
    if len(np.unique(places.tags[rows])) < 2:
        raise BadInput("a search for wrong labels needs examples of at least two different labels to learn from")
    raw = _regression(places, rows, labels) if places.around.shape[1] == 1 else _network(places, rows, labels)
    common = np.bincount(places.tags[rows], minlength=labels) / len(rows)
    weights = np.where(common > 0, np.maximum(common, 1e-9) ** -LEVELLING, 0.0)

    def predict(asked: np.ndarray) -> np.ndarray:
        found = raw(asked) * weights
        return np.asarray(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-300))

    return predict


def seen_as(task: NetworkTask, example: Example, places: Places, number: int, probabilities: np.ndarray) -> Seen:
    """Return confidence and proposal from the probabilities at an example's places: (places, labels)."""
    tags = places.tags[places.first[number] : places.first[number + 1]]
    if not len(tags):  # nothing in the text is a word
        return Seen(1.0, example.output)
    own = probabilities[np.arange(len(tags)), tags]
    if places.around.shape[1] == 1:
        logits = np.log(np.maximum(probabilities.sum(axis=0), 1e-30))  # of several heads each place has its own columns
    else:
        held = (own >= HOLD)[:, None]  # a held place may still follow its neighbours, from I- to B-
        mixed = np.where(held, 0.2 * probabilities + 0.8 * np.eye(probabilities.shape[1])[tags], probabilities)
        logits = np.zeros((len(places.encodings[number].ids), probabilities.shape[1]))
        logits[places.tokens[number]] = np.log(np.maximum(mixed, 1e-30))
    (answer,) = task.decode([example.input], [places.encodings[number]], [logits], {})
    proposal = task.check_output(example.input, answer.output)
    return Seen(float(own.min()), task.told(proposal, example.output))


class _Reader(torch.nn.Module):
    """An encoder that gives its states for logits, so that windows and batches are cut and joined as everywhere."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.whole_text = False

    def forward(self, **inputs: torch.Tensor) -> SimpleNamespace:
        """Return the states, (batch, tokens, width): of the last layer for whole texts, of a middle one for words."""
        states = self.encoder(**inputs, output_hidden_states=True).hidden_states
        return SimpleNamespace(logits=states[-1 if self.whole_text else round(LAYER * (len(states) - 1))])


def _labels(encoded: Encoded, windows: Sequence[Any], skip: int) -> np.ndarray:
    """Return the label numbers of a text's tokens (-100 for none), its one number, or one a head, from what its windows learn from."""
    if not isinstance(windows[0], list):
        return np.asarray(windows[0])
    parts = [
        labels[skip + own_start - start : skip + own_end - start]
        for labels, (start, _, own_start, own_end) in zip(windows, encoded.windows, strict=True)
    ]
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])


def _levelled(states: Sequence[np.ndarray]) -> torch.Tensor:
    whole = torch.from_numpy(np.concatenate(states))
    whole -= whole.mean(dim=0)
    whole /= whole.std() + 1e-8  # one spread for all: directions keep their weight
    return torch.cat([whole, torch.zeros(1, whole.shape[1])])


def _around(first: np.ndarray, one_each: bool) -> torch.Tensor:
    """Return the rows a head reads at each place: the place alone, or between its neighbours in the same text."""
    rows = np.arange(first[-1])
    if one_each:
        return torch.from_numpy(rows[:, None])
    before, after = rows - 1, rows + 1
    ends = first[1:][np.diff(first) > 0] - 1
    before[first[:-1][np.diff(first) > 0]] = len(rows)
    after[ends] = len(rows)
    return torch.from_numpy(np.stack([before, rows, after], axis=1))


def _regression(places: Places, rows: np.ndarray, labels: int) -> Predict:
    states = places.states.numpy()
    with threadpool_limits(1):  # as in head.py: at these sizes two BLAS threads take longer than one
        solver = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3).fit(states[rows], places.tags[rows])

    def predict(asked: np.ndarray) -> np.ndarray:
        found = np.zeros((len(asked), labels))
        found[:, solver.classes_] = solver.predict_proba(states[asked])
        return found

    return predict


def _network(places: Places, rows: np.ndarray, labels: int) -> Predict:
    tags, width = torch.from_numpy(places.tags), places.states.shape[1]
    batches = -(-len(rows) // _BATCH)
    total = max(_EPOCHS * batches, _LEAST_STEPS)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(1)
        head = torch.nn.Sequential(
            torch.nn.Dropout(0.1), torch.nn.Linear(3 * width, _WIDTH), torch.nn.GELU(), torch.nn.Dropout(0.1),
            torch.nn.Linear(_WIDTH, labels),
        )  # fmt: skip
        optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.01, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
        order = torch.empty(0, dtype=torch.int64)
        for _ in range(total):
            if not len(order):
                order = torch.from_numpy(rows)[torch.randperm(len(rows))]
            batch, order = order[:_BATCH], order[_BATCH:]
            loss = functional.cross_entropy(head(places.states[places.around[batch]].flatten(1)), tags[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
    head.eval()

    def predict(asked: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits = head(places.states[places.around[torch.from_numpy(asked)]].flatten(1))
            return functional.softmax(logits.double(), dim=-1).numpy()

    return predict


if __name__ == "__main__":
    from model.clean_commands import main

    raise SystemExit(main())
