"""Made-up scores and labels of a model whose figures are known."""

from collections.abc import Iterator
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from feedback import labelled
from tiltyard_api.v1alpha1.verdict import LabelQuality
from tiltyard_core.experiments.labels import quality

POSITIVE, THRESHOLD = 0.3, 0.5
MEANS, SPREAD = (0.4, 0.55), 0.1
"""Scores of zeros and of ones are normal."""

ALIKE = 0.08
"""Of the spread, as much is a user's own: all of his scores are higher, or lower."""

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


def drawn(
    chance: np.random.Generator, rows: int, users: int | None = None
) -> tuple[Scores, Labels]:
    """Draw scores and labels; users give them in turn; None: each is somebody else's."""
    labels = (chance.random(rows) < POSITIVE).astype(int)
    noise = chance.normal(0, SPREAD, rows)
    if users:
        habits = np.resize(chance.normal(0, ALIKE, users), rows)
        noise = habits + chance.normal(0, sqrt(SPREAD**2 - ALIKE**2), rows)
    return np.take(MEANS, labels) + noise, labels


def told(scores: Scores, labels: Labels, users: int | None = None) -> LabelQuality:
    """Say what the project says of them."""
    rows = list(zip(scores.tolist(), labels.tolist(), strict=True))
    found = quality(labelled(rows, threshold=THRESHOLD, users=users), "fraud", "x")
    assert found
    return found


def truth() -> dict[str, float]:
    """Figures of rows without end."""
    normal = NormalDist()
    recall, false = (1 - normal.cdf((THRESHOLD - MEANS[one]) / SPREAD) for one in (1, 0))
    tp, fp = POSITIVE * recall, (1 - POSITIVE) * false
    return {
        "accuracy": tp + 1 - POSITIVE - fp,
        "precision": tp / (tp + fp),
        "recall": recall,
        "f1": 2 * tp / (tp + fp + POSITIVE),
        "rocAuc": normal.cdf((MEANS[1] - MEANS[0]) / SPREAD / sqrt(2)),
    }


def held(rows: int, users: int | None, experiments: int, seed: int) -> Iterator[dict[str, bool]]:
    """Tell of each experiment which intervals hold the truth."""
    chance = np.random.default_rng(seed)
    for _ in range(experiments):
        intervals = told(*drawn(chance, rows, users), users).fixed_intervals or {}
        yield {name: one.low <= truth()[name] <= one.high for name, one in intervals.items()}
