"""Texts to windows of tokens, windows to batches, logits back to whole texts. It knows no labels and no task.

A text longer than a window is cut into overlapping windows; each token is answered for by one of them, so nothing is
cut off and nothing counts twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from model.network_task import Encoded

WINDOW = 256  # tokens of a window, special tokens included: attention costs grow with its square
OVERLAP = 64  # tokens that two neighbouring windows share: each token sees at least 32 on either side


class Specials(NamedTuple):
    """The special tokens that a tokenizer puts before and after one text."""

    before: list[int]
    after: list[int]


class Word(NamedTuple):
    """One word: its place in the text (code points, end exclusive, no white space) and its first token."""

    start: int
    end: int
    token: int


def specials(tokenizer: Any) -> Specials:
    """Return what the tokenizer puts around a text, found by asking it for one."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = list(tokenizer("a", add_special_tokens=True)["input_ids"])
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == list(bare):
            return Specials(full[:start], full[start + len(bare) :])
    raise ValueError(f"the tokenizer {type(tokenizer).__name__} does not keep a text's tokens together: {bare} in {full}")


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[Encoded]:
    """Return each text's tokens with offsets in code points, cut into windows. Nothing is truncated."""
    if not texts:
        return []
    around = specials(tokenizer)
    room = min(WINDOW, int(tokenizer.model_max_length)) - len(around.before) - len(around.after)
    batch = tokenizer(
        list(texts),
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        truncation=False,
        padding=False,
        verbose=False,
    )
    unknown = -1 if tokenizer.unk_token_id is None else int(tokenizer.unk_token_id)
    return [
        Encoded(list(e.ids), [(int(a), int(b)) for a, b in e.offsets], list(e.word_ids), windows(len(e.ids), room), unknown)
        for e in batch.encodings
    ]


def words_of(text: str, encoded: Encoded) -> list[Word]:
    """Return the words of a text, trimmed of white space; a token without characters belongs to none."""
    words: list[Word] = []
    last: int | None = None
    for token, (number, (start, end)) in enumerate(zip(encoded.words, encoded.offsets, strict=True)):
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        if number is None or start >= end:
            continue
        if number == last:
            words[-1] = words[-1]._replace(end=max(words[-1].end, end))
        else:
            words.append(Word(start, end, token))
        last = number
    return words


def windows(tokens: int, room: int) -> list[tuple[int, int, int, int]]:
    """Return (start, end, own_start, own_end) of each window over `tokens` tokens, `room` tokens a window.

    The owned parts are disjoint and cover everything; in an overlap the border is its middle.
    """
    if tokens <= room:
        return [(0, tokens, 0, tokens)]
    overlap = min(OVERLAP, room // 2)
    count = -(-(tokens - overlap) // (room - overlap))
    starts = [round(i * (tokens - room) / (count - 1)) for i in range(count)]
    borders = [0, *((starts[i + 1] + starts[i] + room) // 2 for i in range(count - 1)), tokens]
    return [(start, start + room, borders[i], borders[i + 1]) for i, start in enumerate(starts)]


def window_ids(encoded: Encoded, around: Specials) -> list[list[int]]:
    """Return the input ids of each window, special tokens included."""
    return [around.before + encoded.ids[start:end] + around.after for start, end, _, _ in encoded.windows]


def length_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Return batches of indices of similar length, longest first: little padding, and the worst memory use comes first."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + size] for i in range(0, len(order), size)]


def shuffled_batches(lengths: Sequence[int], size: int, random: np.random.Generator) -> list[list[int]]:
    """Return batches in random order, each of similar length: shuffled, then sorted within pools of 32 batches."""
    order = random.permutation(len(lengths))
    pool = size * 32
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        part = sorted(order[start : start + pool].tolist(), key=lambda i: lengths[i])
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in random.permutation(len(batches))]


def budget_batches(lengths: Sequence[int], budget: int, random: np.random.Generator) -> list[list[int]]:
    """Return batches in random order of at most `budget` tokens each; a longer text is a batch of its own."""
    batches: list[list[int]] = []
    room = -1
    for i in random.permutation(len(lengths)).tolist():
        if lengths[i] > room:
            batches.append([])
            room = budget
        batches[-1].append(i)
        room -= lengths[i]
    return batches


def padded(rows: Sequence[Sequence[int]], fill: int) -> torch.Tensor:
    """Return (rows, longest) of int64, filled up on the right."""
    longest = max(len(row) for row in rows)
    return torch.tensor([list(row) + [fill] * (longest - len(row)) for row in rows], dtype=torch.long)


def model_inputs(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Return input_ids and attention_mask, both (rows, longest), on the device."""
    ids = padded(rows, pad)
    mask = padded([[1] * len(row) for row in rows], 0)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def run(model: Any, rows: Sequence[Sequence[int]], pad: int, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index of the row, its logits without padding) in batches of similar length. No gradients.

    Logits: (tokens of the row, labels), or (labels,) where the model answers once a text.
    """
    device = next(model.parameters()).device
    for batch in length_batches([len(row) for row in rows], size):
        chosen = [rows[i] for i in batch]
        with torch.inference_mode():
            logits = model(**model_inputs(chosen, pad, device)).logits.float().cpu().numpy()
        for i, row, out in zip(batch, chosen, logits, strict=True):
            yield i, out[: len(row)] if out.ndim == 2 else out


def logits_of(model: Any, tokenizer: Any, encodings: Sequence[Encoded], size: int = 16) -> list[np.ndarray]:
    """Return the logits of whole texts: (tokens, labels) over their own tokens, or (labels,).

    A text of several windows gets each token's logits from the window that owns it; where the model answers once a
    text, the mean over windows, weighted by the tokens owned.
    """
    around = specials(tokenizer)
    rows = [ids for encoded in encodings for ids in window_ids(encoded, around)]
    out: list[np.ndarray] = [np.empty(0)] * len(rows)
    for i, logits in run(model, rows, int(tokenizer.pad_token_id or 0), size):
        out[i] = logits
    return merged(encodings, out, len(around.before))


def merged(encodings: Sequence[Encoded], out: Sequence[np.ndarray], skip: int) -> list[np.ndarray]:
    """Return whole texts' logits from their windows' (`out`, in order), `skip` special tokens before each; see logits_of."""
    whole: list[np.ndarray] = []
    at = 0
    for encoded in encodings:
        parts = out[at : at + len(encoded.windows)]
        at += len(encoded.windows)
        if parts[0].ndim == 1:
            owned = [max(1, own_end - own_start) for _, _, own_start, own_end in encoded.windows]
            whole.append(np.average(parts, axis=0, weights=owned))
            continue
        whole.append(
            np.concatenate(
                [
                    part[skip + own_start - start : skip + own_end - start]
                    for part, (start, _, own_start, own_end) in zip(parts, encoded.windows, strict=True)
                ]
            )
        )
    return whole
