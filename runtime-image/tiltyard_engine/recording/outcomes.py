"""Feedback that was accepted, as bytes of the ring."""

import pickle
from collections.abc import Sequence

from tiltyard_engine.recording.parcels import HEAD
from tiltyard_engine.ring import Piece

Outcome = tuple[str, str, float, int | None, int | None]
"""Inference id, metric, value, row and item, where they were named."""


def write_outcomes(stream: int, time: int, told: Sequence[Outcome]) -> list[Piece]:
    """Several, as they came together at a time in microseconds since 1970."""
    body = pickle.dumps((time, told), protocol=5)
    return [HEAD.pack(stream, len(told), len(body), 1), body]


def read_outcomes(record: memoryview) -> tuple[int, Sequence[Outcome]]:
    """Read what was written."""
    _, _, length, _ = HEAD.unpack_from(record)
    body = record[HEAD.size : HEAD.size + length]
    found: tuple[int, Sequence[Outcome]] = pickle.loads(body)  # noqa: S301 - our own worker wrote it
    return found
