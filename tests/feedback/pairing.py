"""What the tests of side by side do alike: start an experiment that compares, read what a pair says."""

from __future__ import annotations

from feedback.experiments import Experiments
from feedback.pairs import PairShown
from feedback.records import Experiment, Variant

NAMES = ("zebra", "quagga", "okapi", "tapir")


def compare(experiments: Experiments, *shares: float, name: str = "e", coverage: float = 1.0) -> None:
    """Start a side-by-side experiment; its n-th variant is version n, so that its answer is v<n>."""
    variants = tuple(Variant(NAMES[i], i + 1, share) for i, share in enumerate(shares or (0.5, 0.5)))
    experiments.declare(Experiment(name, 1, "running", variants, mode="side_by_side", coverage=coverage))


def compare_settings(experiments: Experiments) -> None:
    """Start one whose two variants are one version with different settings: they always agree."""
    variants = (Variant("zebra", 1, 0.5), Variant("quagga", 1, 0.5, {"threshold": 0.3}))
    experiments.declare(Experiment("s", 1, "running", variants, mode="side_by_side"))


def labels(shown: PairShown) -> tuple[str, str]:
    """Return what the left and the right answer say."""
    return shown.left.output["label"], shown.right.output["label"]
