"""Small grey pictures as texts, so that the log, files and pages hold them like any other input. It draws and learns nothing.

A picture is "WIDTHxHEIGHT:" and two hexadecimal digits a pixel, row by row: 00 for the ground, ff for full ink.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

PICTURE = re.compile(r"([0-9]{1,3})x([0-9]{1,3}):([0-9a-f]*)")
"""The form; whether the digits are as many as the sides ask for is the task's check."""


def pixels_of(picture: str) -> np.ndarray:
    """Return the pixels of a checked picture: (height, width), 0..1, float32."""
    size, _, digits = picture.partition(":")
    width, height = (int(number) for number in size.split("x"))
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint8).reshape(height, width).astype(np.float32) / 255


def picture_of(pixels: Any) -> str:
    """Return pixels in 0..1, (height, width), as a picture."""
    grey = np.clip(np.rint(np.asarray(pixels, dtype=np.float64) * 255), 0, 255).astype(np.uint8)
    return f"{grey.shape[1]}x{grey.shape[0]}:{grey.tobytes().hex()}"
