"""Memory that is lent to a worker with a call, for arrays too long for the queue.

The caller writes it once, and the worker's arrays lie in it: nothing is copied on the other side.
Fresh memory would cost more than it saves, so each piece is kept from call to call. A worker that
answers says whether its function still holds on to any of it; if so, that piece is its own.
"""

import fcntl
import mmap
import os
from collections import deque
from collections.abc import Iterable

import numpy as np

from tiltyard_engine.python.worker.frames import Piece

MOST_BYTES = 8 << 20
"""Of one segment: what a process keeps must stay small beside its requests."""

MOST_SEGMENTS = 8
"""Of a model, in each process of the engine."""

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def sealed(name: str, size: int) -> int:
    """Make memory to share, and give its descriptor. Who shrank it would end who still uses it."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Segment:
    """Memory that both sides can reach."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = sealed("arrays", size)
        try:
            self._bytes = np.frombuffer(mmap.mmap(self.descriptor, size), np.uint8)
        except BaseException:
            os.close(self.descriptor)
            raise

    def write(self, pieces: Iterable[Piece]) -> None:
        """Write pieces one behind the other."""
        start = 0
        for piece in pieces:
            end = start + len(piece)
            self._bytes[start:end] = np.frombuffer(piece, np.uint8)
            start = end

    def close(self) -> None:
        """Let go of it; a worker that has it keeps it."""
        os.close(self.descriptor)


class Segments:
    """Those of one model in one process. Threads may use it at once: a deque needs no lock."""

    def __init__(self, workers: int) -> None:
        # One more than can be at work: the next call is written while they are.
        self._free = deque[Segment | None]([None] * min(workers + 1, MOST_SEGMENTS))

    def take(self, size: int) -> Segment | None:
        """Give one that nobody has; None: all are lent, or that is too much for one."""
        if size > MOST_BYTES:
            return None
        try:
            segment = self._free.pop()
        except IndexError:
            return None
        if segment is not None:
            if segment.size >= size:
                return segment
            segment.close()
        try:
            return Segment(1 << (size - 1).bit_length())
        except OSError:  # no more descriptors, or a sandbox without such memory
            self._free.appendleft(None)
            return None

    def give_back(self, segment: Segment) -> None:
        """Take it back from a worker that has answered and holds nothing of it."""
        self._free.append(segment)

    def lost(self, segment: Segment) -> None:
        """Give one up whose worker may still use it; another one may be made."""
        segment.close()
        self._free.appendleft(None)

    def close(self) -> None:
        """Let go of all that is not lent."""
        while self._free:
            segment = self._free.pop()
            if segment is not None:
                segment.close()
