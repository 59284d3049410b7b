"""Counts Pipelines and canaries, for Prometheus. Lost with the process: a resync counts anew."""

import threading
from collections import Counter

from prometheus_client import Gauge

from tiltyard_operator.queue import Key


class Census:
    """What was last said of each object, in words of which a gauge counts how many there are.

    Args:
        gauge: with one label, the word.

    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._lock = threading.Lock()
        self._said: dict[Key, Counter[str]] = {}
        self._counts: Counter[str] = Counter()

    def note(self, key: Key, *words: str) -> None:
        """Note what is said of an object now; nothing: it is gone."""
        with self._lock:
            before, now = self._said.pop(key, Counter[str]()), Counter(words)
            if now:
                self._said[key] = now
            self._counts.subtract(before)
            self._counts.update(now)
            for word in before | now:
                self._gauge.labels(word).set(self._counts[word])
