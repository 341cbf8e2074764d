"""Giving a small grey picture one label (a digit, a stamp, a leaf). A small convolutional network of its own, learned here.

Inputs are pictures as pictures.py has them. Nothing is decoded but their digits: no picture file reaches the server.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from feedback.errors import BadDemo, BadInput, TooLarge
from feedback.records import Answer, Example, Json
from model.own_model import CONFIG, Learned, OwnAnswerer, OwnModelTask, Work
from model.pictures import PICTURE, pixels_of
from model.task import register
from model.tasks.one_label import OneLabel

MOST_SIDE = 64
"""Pixels of a side."""
WEIGHTS = "model.safetensors"
_EPOCHS, _BATCH, _RATE = 30, 64, 3e-3
_AGAIN = 0.5  # epochs and rate of a training that starts from a parent, as shares
_STEPS = (0.25, 0.5, 0.75, 1.0)
_HALFWAY = 0.5
_CHOOSING_LEAST = 20
_SHIFT = 1  # pixels by which a picture is moved about while it is learned from


@register
class ImageClassification(OneLabel, OwnModelTask):
    """Pictures in, `{"label": ...}` out."""

    name = "image_classification"
    widget = "image_choice"
    form = "image"
    sample_labels = ("cross", "bar")
    samples = (
        ("3x3:00ff00ffffff00ff00", {"label": "cross"}),
        ("3x3:00ff0000ff0000ff00", {"label": "bar"}),
        ("2x4:ff00ff00ff00ff00", {"label": "bar"}),
    )

    def check_input(self, value: Json) -> Json:
        """Return the picture as it came; raise BadInput or TooLarge where it is none."""
        if not isinstance(value, str):
            raise BadInput(
                f'input is {type(value).__name__}: it must be a picture, "8x8:" and two digits a pixel', code="picture_shape"
            )
        if len(value) > self.max_chars:
            raise TooLarge(
                f"input has {len(value)} characters: at most {self.max_chars} are read",
                code="text_too_long",
                values={"count": len(value), "limit": self.max_chars},
            )
        found = PICTURE.fullmatch(value)
        width, height = (int(found[1]), int(found[2])) if found else (0, 0)
        if found is None or not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE) or len(found[3]) != 2 * width * height:
            raise BadInput(
                f'input is {value[:40]!a}: it must be a picture, "WIDTHxHEIGHT:" with sides of 1 to {MOST_SIDE} and two of 0-9 a-f a pixel',
                code="picture_shape",
            )
        if not found[3].strip("0"):
            raise BadInput("input is an empty picture: draw something", code="picture_empty")
        return value

    def learn(self, work: Work) -> Learned:
        """Learn from the training pictures; from a parent for half as long, and then only as far as the choosing pictures like it."""
        train = work.parts.train
        if len({e.output["label"] for e in train}) < 2:
            raise BadDemo("there is nothing to tell apart: pictures of at least two different labels are needed")
        torch.manual_seed(work.seed)
        parent = None if work.parent is None else _load(work.parent)
        side = parent.side if parent else _commonest_side(train)
        network = _Network(side, len(self.labels))
        start = None if parent is None else _carried(network, parent, self.labels)
        again = _AGAIN if start else 1.0
        inputs, targets = (
            _batch([e.input for e in train], side),
            torch.tensor([self.labels.index(e.output["label"]) for e in train]),
        )
        weights = torch.tensor([e.weight for e in train], dtype=torch.float32)
        steps, loss = _descend(network, inputs, targets, weights, again, work)
        chosen = self._chosen(network, start, work.parts.choosing) if start else None
        save_file(network.state_dict(), work.directory / WEIGHTS)
        config = {"side": side, "labels": list(self.labels), "task": self.name}
        (work.directory / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=1), encoding="utf-8")
        return Learned(len(train), steps, loss, told={"side": side} | ({"interpolation": chosen} if chosen else {}))

    def open(self, directory: Path) -> Pictures:
        """Load a version."""
        return Pictures(self, _load(directory), directory)

    def _chosen(self, network: _Network, start: Mapping[str, torch.Tensor], choosing: Sequence[Example]) -> float:
        """Leave the network at the best (1-a) start + a learned on the choosing pictures (arXiv:2109.01903), and return a."""
        end = {name: value.clone() for name, value in network.state_dict().items()}

        def go(a: float) -> None:
            network.load_state_dict({name: torch.lerp(start[name], value, a) for name, value in end.items()})

        best, most = _HALFWAY, -1.0
        if len(choosing) >= _CHOOSING_LEAST:
            inputs, truth = _batch([e.input for e in choosing], network.side), [e.output for e in choosing]
            for a in _STEPS:
                go(a)
                with torch.inference_mode():
                    said = [{"label": self.labels[int(i)]} for i in network(inputs).argmax(dim=1)]
                score = self.score(truth, said)["main"]
                best, most = (a, score) if score > most + 1e-12 else (best, most)
        go(best)
        return best


class Pictures(OwnAnswerer):
    """A loaded version. A label that it does not know is never answered."""

    def __init__(self, task: ImageClassification, loaded: _Loaded, directory: Path) -> None:
        super().__init__(task, "torch float32, a small convolutional network", (directory / WEIGHTS).stat().st_size / 1e6)
        self._task: ImageClassification = task
        self._network = loaded.network
        self._columns = [loaded.labels.index(label) if label in loaded.labels else -1 for label in task.labels]

    def answer(self, inputs: Sequence[Json], settings: Sequence[Mapping[str, float]]) -> list[Answer]:
        """Return the most probable label of each picture."""
        if not inputs:
            return []
        with torch.inference_mode():
            logits = self._network(_batch(list(inputs), self._network.side)).numpy()  # (pictures, labels as they were learned)
        padded = np.concatenate([logits, np.full((len(logits), 1), -np.inf)], axis=1)[:, self._columns]
        return [self._task.answered(row, chosen) for row, chosen in zip(padded, settings, strict=True)]


class _Network(nn.Module):
    """Two convolutions, a pooling, one hidden layer. (pictures, 1, side, side) -> (pictures, labels)."""

    def __init__(self, side: int, labels: int) -> None:
        super().__init__()
        self.side = side
        half = -(-side // 2)
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.hidden, self.output = nn.Linear(32 * half * half, 64), nn.Linear(64, labels)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        states = functional.relu(self.second(functional.relu(self.first(pictures))))
        states = functional.max_pool2d(states, 2, ceil_mode=True)
        logits: torch.Tensor = self.output(functional.relu(self.hidden(states.flatten(1))))
        return logits


class _Loaded:
    """What lies in a version directory."""

    def __init__(self, network: _Network, labels: Sequence[str]) -> None:
        self.network = network
        self.labels = list(labels)
        self.side = network.side


def _load(directory: Path) -> _Loaded:
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        network = _Network(int(config["side"]), len(config["labels"]))
        network.load_state_dict(load_file(directory / WEIGHTS))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"{directory}: no version of image_classification ({CONFIG}, {WEIGHTS}): {error}") from error
    return _Loaded(network.eval(), config["labels"])


def _carried(network: _Network, parent: _Loaded, labels: Sequence[str]) -> dict[str, torch.Tensor]:
    """Set the network to the parent's weights, outputs by the names of their labels; return them. A new label begins at random."""
    own, theirs = network.state_dict(), parent.network.state_dict()
    for name, value in theirs.items():
        if not name.startswith("output."):
            own[name] = value.clone()
            continue
        for place, label in enumerate(labels):
            if label in parent.labels:
                own[name][place] = value[parent.labels.index(label)]
    network.load_state_dict(own)
    return {name: value.clone() for name, value in own.items()}


def _descend(
    network: _Network, inputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, again: float, work: Work
) -> tuple[int, float]:
    """Learn; return the steps taken and the last mean loss. again: share of the epochs and of the rate."""
    steps_each, level = -(-len(inputs) // _BATCH), max(1e-8, float(weights.mean()))
    total = max(1, round(_EPOCHS * again) * steps_each)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE * again, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / total)
    network.train()
    recent, step = 0.0, 0
    while step < total:
        order = torch.randperm(len(inputs))
        for start in range(0, len(inputs), _BATCH):
            part = order[start : start + _BATCH]
            work.progress.check()
            moved = _moved(inputs[part])
            losses = functional.cross_entropy(network(moved), targets[part], reduction="none")
            loss = (losses * weights[part]).mean() / level
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
            recent, step = 0.9 * recent + 0.1 * float(loss.detach()), step + 1
        work.progress.step(step, total, recent / (1 - 0.9**step))
    network.eval()
    return step, recent / (1 - 0.9**step)


def _moved(pictures: torch.Tensor) -> torch.Tensor:
    """Return a batch of pictures, all moved alike by up to _SHIFT pixels: people do not draw in one place."""
    across, down = (int(torch.randint(-_SHIFT, _SHIFT + 1, ())) for _ in range(2))
    grown = functional.pad(pictures, (_SHIFT,) * 4)
    side = pictures.shape[-1]
    return grown[..., _SHIFT + down : _SHIFT + down + side, _SHIFT + across : _SHIFT + across + side]


def _commonest_side(examples: Sequence[Example]) -> int:
    sides = Counter(max(pixels_of(e.input).shape) for e in examples)
    return int(sides.most_common(1)[0][0])


def _batch(pictures: Sequence[str], side: int) -> torch.Tensor:
    """Return pictures of any size as (pictures, 1, side, side) in 0..1: made square by ground on two sides, then scaled by area."""
    made = []
    for picture in pictures:
        pixels = torch.from_numpy(pixels_of(picture))
        height, width = pixels.shape
        most = max(height, width)
        left, above = (most - width) // 2, (most - height) // 2
        square = functional.pad(pixels, (left, most - width - left, above, most - height - above))[None, None]
        made.append(square if most == side else functional.interpolate(square, size=(side, side), mode="area"))
    return torch.cat(made)
