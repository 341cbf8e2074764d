"""Measurements: tables and figures, side by side with the alternative. Run each as `python benchmarks/NAME.py`."""
