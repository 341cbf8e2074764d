"""The widget that shows a small picture and picks its label: what the browser sends is a choice. The drawing is in image_choice.js."""

from __future__ import annotations

from feedback.widgets.choice import CHOICE

IMAGE_CHOICE = CHOICE._replace(name="image_choice", script="image_choice.js", above=(CHOICE.script,), forms=())
