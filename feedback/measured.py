"""A model whose refusals are counted: whoever the predictor turns away is in no row of the log."""

from __future__ import annotations

from collections.abc import Mapping

from feedback.desk import Model
from feedback.metrics import Meter
from feedback.records import Answer, Json


class Measured:
    """The model as the desk knows it, with a count of what it refused for want of room."""

    def __init__(self, model: Model, meter: Meter) -> None:
        self._model = model
        self._meter = meter

    def check(self, input_: Json, output: Json = None) -> tuple[Json, Json]:
        """Check as the model does."""
        return self._model.check(input_, output)

    def edits(self, shown: Json, output: Json) -> float:
        """Compare as the model does."""
        return self._model.edits(shown, output)

    def predict(self, version: int, input_: Json, settings: Mapping[str, float]) -> Answer:
        """Answer as the model does; count where it is too busy to."""
        with self._meter.asking():
            return self._model.predict(version, input_, settings)
