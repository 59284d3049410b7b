"""Counts Pipelines by phase, for Prometheus. Lost with the process: the next resync counts anew."""

import threading
from collections import Counter

from tiltyard_operator.metrics import PIPELINES
from tiltyard_operator.queue import Key


class Census:
    """The phase that each Pipeline was last seen in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._phases: dict[Key, str] = {}
        self._counts: Counter[str] = Counter()

    def note(self, key: Key, phase: str | None) -> None:
        """Note the phase of a Pipeline; None: it is gone."""
        with self._lock:
            before = self._phases.pop(key, None)
            if phase:
                self._phases[key] = phase
            for one, step in ((before, -1), (phase, 1)):
                if one:
                    self._counts[one] += step
                    PIPELINES.labels(one).set(self._counts[one])
