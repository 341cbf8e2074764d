"""A version as ONNX: written by torch's exporter, then run by ONNX Runtime beside torch and refused where the two differ.

The libraries are an extra: `pip install 'amend[onnx]'`. Batch and length are free; the network answers token ids and mask.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

from feedback.errors import AmendError, BadInput
from feedback.records import Json
from model.answering import BATCH, Answerer
from model.base import Model, load_model
from model.batches import WINDOW, logits_of, model_inputs, specials, tokenize, window_ids
from model.card import Card
from model.network_task import NetworkTask, network_task

ONNX_FILE = "model.onnx"
TOLERANCE = 1e-3
"""The largest difference of any logit that is let through. Two logits that move by this much move a probability by at most
half of it (softmax's slope is at most 1/4); a mask that is ignored or a layer that is lost moves them by much more."""
_SINGLE_FILE_BYTES = 1_500_000_000  # protobuf ends at 2 GB: larger networks keep their weights in a file beside
_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_SENTENCES = (
    "a",
    "No.",
    "Familial breast cancer is linked to a change of one gene, which was found in 1994.",
    "My parcel was due on Tuesday, and the tracking page has not moved since; where is it, and who can tell me?",
)


class ExportDiffers(AmendError):
    """What was exported does not answer as the version does; nothing is kept of it."""

    title = "Export refused"


class Verified(NamedTuple):
    """How the ONNX file compared with torch. `difference`: the largest one of any logit; `texts` were answered equally.

    `shortest`, `longest`: tokens of the rows that were compared, special tokens included.
    """

    difference: float
    texts: int
    rows: int
    shortest: int
    longest: int

    def words(self) -> str:
        """Return the comparison as a sentence."""
        return (
            f"ONNX Runtime against torch (fp32) on {self.rows} rows of {self.shortest} to {self.longest} tokens, alone and in padded batches: "
            f"logits differ by at most {self.difference:.1e} (allowed: {TOLERANCE:.0e}); the answers to {self.texts} texts are equal."
        )


def export_onnx(directory: Path, card: Card, out: Path) -> Verified:
    """Write `model.onnx` of a version directory into the directory `out`, and verify it.

    Raises BadInput without the libraries or where torch cannot export the network, ExportDiffers where the result differs.
    """
    runtime = libraries()
    task = network_task(card.bound_task(), "the format 'onnx'")
    model = load_model(task, str(directory))
    with calm():
        write_onnx(model.network, out / ONNX_FILE)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(out / ONNX_FILE), options, providers=["CPUExecutionProvider"])
    return verified(task, model, Model(OnnxNetwork(session, model.network.config), model.tokenizer), card.rename)


def libraries() -> Any:
    """Return onnxruntime once all that is needed is there; raise BadInput with what to install."""
    try:
        return [importlib.import_module(name) for name in _LIBRARIES][-1]
    except ModuleNotFoundError as error:
        if error.name not in _LIBRARIES:
            raise
        raise BadInput(
            f"the format 'onnx' needs the libraries {', '.join(_LIBRARIES)}, and {error.name} is not installed here: "
            "pip install 'amend[onnx]'"
        ) from None


class _Logits(torch.nn.Module):
    """The network with two named inputs and one output."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, tokens, labels) or (batch, labels) of ids and mask, both (batch, tokens)."""
        logits: torch.Tensor = self.network(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def write_onnx(network: Any, file: Path) -> None:
    """Export with free batch and length. The example has padding, so that the mask is part of what is traced."""
    example = model_inputs([[5, 6, 7, 8, 9], [5, 6, 7]], 0, torch.device("cpu"))
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    try:
        torch.onnx.export(
            _Logits(network).eval(),
            (),
            file,
            kwargs=example,
            input_names=list(example),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(example, free),
            dynamo=True,
            external_data=size > _SINGLE_FILE_BYTES,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"torch cannot write {type(network).__name__} as ONNX: {first}") from error


@contextmanager
def calm() -> Iterator[None]:
    """Keep torch's exporter from telling about torchvision, which has no part in texts, and about its own old calls."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name")  # both inputs have the same axes, as they should
            yield
    finally:
        log.setLevel(level)


class OnnxNetwork(torch.nn.Module):
    """An ONNX Runtime session that is called as a transformers network is: ids and mask in, `.logits` out."""

    def __init__(self, session: Any, config: Any) -> None:
        super().__init__()
        self.session = session
        self.config = config
        self.place = torch.nn.Parameter(torch.zeros(()), requires_grad=False)  # on the CPU: who asks for the device finds it

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        """Return an object with `logits`, as torch would give them."""
        given = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return SimpleNamespace(logits=torch.from_numpy(self.session.run(["logits"], given)[0]))


def verified(task: NetworkTask, ours: Model, exported: Model, rename: Mapping[str, str]) -> Verified:
    """Compare two networks behind one tokenizer: logits of rows of every length alone and in padded batches, then answers.

    Rows: the task's samples, sentences, texts of a whole window and of several, random ids up to the network's positions.
    Raises ExportDiffers with the figure, or the text that is answered differently.
    """
    texts = _texts(task, ours.tokenizer)
    encodings = tokenize(ours.tokenizer, texts)
    rows = _rows(ours.tokenizer, int(ours.network.config.vocab_size))
    pad = int(ours.tokenizer.pad_token_id or 0)
    worst = 0.0
    for size in (BATCH, 1):
        before, after = (logits_of(model.network, model.tokenizer, encodings, size) for model in (ours, exported))
        worst = _worse(worst, *(_largest(a, b) for a, b in zip(before, after, strict=True)))
    for batch in [rows, *([row] for row in rows)]:
        given = model_inputs(batch, pad, torch.device("cpu"))
        with torch.inference_mode():
            one, two = (model.network(**given).logits.numpy() for model in (ours, exported))
        seen = given["attention_mask"].numpy().astype(bool) if one.ndim == 3 else slice(None)
        worst = _worse(worst, _largest(one[seen], two[seen]))
    if not worst <= TOLERANCE:  # nan is no agreement either
        raise ExportDiffers(
            f"the ONNX file's logits differ from torch's by {worst:.3g}, allowed is {TOLERANCE:g}: nothing was written"
        )
    plain, other = (_answers(Answerer(task, model, rename), texts) for model in (ours, exported))
    for text, a, b in zip(texts, plain, other, strict=True):
        if a != b:
            raise ExportDiffers(
                f"the ONNX file answers {text[:60]!r} with {b}, torch with {a}, though their logits differ by {worst:.3g} only: "
                "nothing was written"
            )
    lengths = [len(row) for row in (*rows, *(row for e in encodings for row in window_ids(e, specials(ours.tokenizer))))]
    return Verified(worst, len(texts), len(lengths), min(lengths), max(lengths))


def _worse(*differences: float) -> float:
    """Return the largest; nan where one is nan, which Python's own max would lose."""
    return float(np.max(differences))


def _largest(one: np.ndarray, two: np.ndarray) -> float:
    if one.shape != two.shape:
        raise ExportDiffers(f"the ONNX file gives logits of shape {two.shape}, torch of {one.shape}: nothing was written")
    return float(np.abs(one - two).max(initial=0.0))


def _texts(task: NetworkTask, tokenizer: Any) -> list[str]:
    """Return texts of one token, of some, of exactly a window and of several windows."""
    room = min(WINDOW, int(tokenizer.model_max_length)) - sum(map(len, specials(tokenizer)))
    samples = [str(text) for text, _ in task.samples]
    words = " ".join(_SENTENCES[2:])
    long = " ".join([words] * (1 + 2 * room // len(words.split())))
    ends = tokenize(tokenizer, [long])[0].offsets
    return [*samples, *_SENTENCES, long[: ends[room - 1][1]], long[: ends[room][1]], long]


def _rows(tokenizer: Any, vocabulary: int) -> list[list[int]]:
    """Return rows of random ids, special tokens around them: no word, one word, and on to all positions of the network."""
    before, after = specials(tokenizer)
    room = int(tokenizer.model_max_length) - len(before) - len(after)
    random = np.random.default_rng(0)
    lengths = sorted({0, 1, 2, 7, min(room, 60), room})
    return [[*before, *random.integers(0, vocabulary, length).tolist(), *after] for length in lengths]


def _answers(answerer: Answerer, texts: Sequence[str]) -> list[Json]:
    """Return the answers in canonical form: without confidences, which may differ in their last digit."""
    given = answerer.answer(texts, [{}] * len(texts))
    return [answerer.task.check_output(text, answer.output) for text, answer in zip(texts, given, strict=True)]
