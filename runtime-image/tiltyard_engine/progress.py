"""Tells how far a fetch is, on a descriptor, as lines of JSON: for whoever draws a bar."""

import json
import os
import time
from contextlib import suppress

from tiltyard_engine.sources.base import shown

PAUSE = 0.1
"""Seconds between two lines of one fetch."""


class Progress:
    """Called with each piece that arrives."""

    def __init__(self, descriptor: int | None, uri: str) -> None:
        self._descriptor, self._uri = descriptor, shown(uri)
        self._due = time.monotonic() + PAUSE

    def __call__(self, done: int, size: int | None) -> None:
        """Tell, now and then, how many bytes have come, of how many."""
        now = time.monotonic()
        if self._descriptor is None or (now < self._due and done != size):
            return
        self._due = now + PAUSE
        line = json.dumps({"uri": self._uri, "done": done, "size": size})
        with suppress(OSError):  # nobody listens any more
            os.write(self._descriptor, f"{line}\n".encode())
