"""The front door: reads a demo, wires the rooms, mounts the pages. `python app.py [demos/NAME.toml]`."""

from __future__ import annotations

import os

# Before gradio is imported: no analytics, no per-request statistics table, nothing kept in the visitors' browsers.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

import pages
from analysis import routes as analysis_routes
from feedback import identity, login, problems
from feedback import routes as feedback_routes
from feedback.client import home_of
from feedback.demo import load_demo
from feedback.errors import AmendError
from feedback.home import Home, write_atomically
from model import routes as model_routes
from rooms import Rooms, open_rooms
