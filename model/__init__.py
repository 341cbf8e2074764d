"""Tasks, training, versions and serving. Imports feedback; never the analysis, never a database."""

import os

# Before torch is loaded: each keeps 1,024 compiled kernels, one a shape, and texts come in all shapes. That is 900 MB more after
# some hundred batches, and not a millisecond less (docs/decisions.md, Serving).
os.environ.setdefault("LRU_CACHE_CAPACITY", "64")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
