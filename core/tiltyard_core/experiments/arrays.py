"""Arrays of numbers, as sums are written."""

import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence

from tiltyard_api.experiment import BUCKETS, BYTE, REAL, WHOLE


def packed(kind: str, numbers: Iterable[float]) -> str:
    """Write numbers of one sort."""
    found = array(kind, numbers)
    if sys.byteorder == "big":
        found.byteswap()
    return b64encode(found.tobytes()).decode()


def unpacked(kind: str, text: str) -> list[int]:
    """Read whole numbers."""
    return [int(one) for one in _read(kind, text)]


def reals(text: str) -> list[float]:
    """Read numbers that need not be whole."""
    return [float(one) for one in _read(REAL, text)]


def added(kind: str, texts: Sequence[str]) -> str:
    """Add up arrays place by place."""
    return packed(kind, map(sum, zip(*(_read(kind, text) for text in texts), strict=True)))


def highest(texts: Sequence[str]) -> str:
    """Give the highest of registers place by place."""
    return packed(BYTE, map(max, zip(*(_read(BYTE, text) for text in texts), strict=True)))


def zeros(kind: str, places: int = BUCKETS) -> str:
    """Give an array of nothing."""
    return packed(kind, [0] * places)


def whole(text: str) -> list[int]:
    """Read one whole number a bucket."""
    return unpacked(WHOLE, text)


def _read(kind: str, text: str) -> "array[float]":
    found: array[float] = array(kind, b64decode(text))
    if sys.byteorder == "big":
        found.byteswap()
    return found
