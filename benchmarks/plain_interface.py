"""What load.py compares with: a fine-tuned checkpoint behind a plain `gr.Interface` with flagging, as Gradio's guides write it.

Run by load.py as a process of its own: `python benchmarks/plain_interface.py VERSION_DIRECTORY PORT EVENTS`, in the folder where
the flags shall lie. With EVENTS it starts with a trivial function in the model's place and counts only; `GET /real` puts the
model there. So 10,000 earlier events are real ones, and do not take an hour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import gradio as gr
from transformers import pipeline


def main(checkpoint: str, port: int, events: int) -> None:
    """Serve until the process is ended."""
    ner_pipeline = pipeline("ner", model=checkpoint)
    answer: Callable[[str], list[dict[str, Any]]] = ner_pipeline if not events else lambda text: []

    def ner(text: str) -> dict[str, Any]:
        return {"text": text, "entities": answer(text)}

    demo = gr.Interface(
        ner,
        gr.Textbox(placeholder="Enter sentence here..."),
        gr.HighlightedText(),
        examples=["Does chlorpropamide treat diabetes?"],
        flagging_mode="manual",
    )
    app, _, _ = demo.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True)
    frequency = demo._queue.ANAYLTICS_CACHE_FREQUENCY
    if events:
        demo._queue.ANAYLTICS_CACHE_FREQUENCY = events * 10  # else each of them costs a DataFrame of all before it

    def real() -> dict[str, int]:
        nonlocal answer
        answer = ner_pipeline
        demo._queue.ANAYLTICS_CACHE_FREQUENCY = frequency
        return {"events": len(demo._queue.event_analytics)}

    app.add_api_route("/real", real)
    app.router.routes.insert(0, app.router.routes.pop())  # before Gradio's route of everything else
    demo.block_thread()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
