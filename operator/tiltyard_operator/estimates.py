"""Tells Prometheus the figures of verdicts, while they mean something."""

import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from prometheus_client import Gauge

from tiltyard_api.v1alpha1.verdict import Comparison, Finding, Verdict
from tiltyard_operator.metrics import ESTIMATE, ESTIMATE_HIGH, ESTIMATE_LOW, ESTIMATE_P
from tiltyard_operator.queue import Key

MEANINGLESS = (Finding.FEW, Finding.BLOCKED)
"""Findings whose figures are in the report, beside the reason why nobody may act on them. A rule
of Prometheus sees the figure alone."""

Series = tuple[Gauge, tuple[str, ...]]


class Estimates:
    """What was last told of each Pipeline."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[Key, dict[Series, float]] = {}

    def note(self, key: Key, judged: Mapping[str, Verdict] = MappingProxyType({})) -> None:
        """Tell what the verdicts of a Pipeline's steps say now; what they do not say goes."""
        now: dict[Series, float] = {
            (gauge, (key.namespace, key.name, step, row.metric, row.variant)): value
            for step, verdict in judged.items()
            for row in verdict.comparisons or ()
            if row.finding not in MEANINGLESS
            for gauge, value in _figures(row)
        }
        with self._lock:
            for gauge, labels in self._told.pop(key, {}).keys() - now.keys():
                gauge.remove(*labels)
            if now:
                self._told[key] = now
            for (gauge, labels), value in now.items():
                gauge.labels(*labels).set(value)


def _figures(row: Comparison) -> Iterator[tuple[Gauge, float]]:
    """Give the figures that are known."""
    figures = {
        ESTIMATE: row.estimate,
        ESTIMATE_LOW: row.low,
        ESTIMATE_HIGH: row.high,
        ESTIMATE_P: row.p,
    }
    for gauge, value in figures.items():
        if value is not None:
            yield gauge, value
