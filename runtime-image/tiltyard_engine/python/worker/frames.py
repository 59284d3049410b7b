"""How arrays cross between an engine and a worker: lengths first, then their bytes.

    lengths    int64: dimensions, each length, and bytes, for each array in turn
    bytes      of each array, each begun at a multiple of eight

Both sides know from the plan which arrays come and of what type, so nothing says it again. Texts
are sent as a JSON list. Whoever reads trusts neither lengths nor bytes.
"""

import functools
import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

Piece = bytes | memoryview
Lengths = tuple[tuple[tuple[int, ...], int], ...]
"""Shape and bytes of each array."""

ALIGNED = 8
COPIED_BYTES = 4096
"""Below it a copy is quicker than a view."""

MOST_DIMENSIONS = 32
STRING = "string"


class FrameError(Exception):
    """What came is not what was agreed."""


def packed(arrays: Sequence[Array], types: Sequence[str]) -> tuple[bytes, list[Piece], int]:
    """Lengths of arrays, their bytes in pieces, and how many bytes those are."""
    lengths: list[tuple[tuple[int, ...], int]] = []
    pieces: list[Piece] = []
    total = 0
    for array, kind in zip(arrays, types, strict=True):
        data = _bytes_of(array, kind)
        size = len(data)
        lengths.append((array.shape, size))
        pieces.append(data)
        total += size
        if padding := -size % ALIGNED:
            pieces.append(bytes(padding))
            total += padding
    return _written(tuple(lengths)), pieces, total


@functools.lru_cache(maxsize=64)  # calls mostly look like the one before
def _written(arrays: Lengths) -> bytes:
    numbers = [n for shape, size in arrays for n in (len(shape), *shape, size)]
    return struct.pack(f"<{len(numbers)}q", *numbers)


def _bytes_of(array: Array, kind: str) -> Piece:
    if kind == STRING:
        return json.dumps(array.ravel().tolist(), ensure_ascii=False).encode()
    if array.nbytes <= COPIED_BYTES:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


@functools.lru_cache(maxsize=64)
def read_lengths(header: bytes, count: int) -> tuple[Lengths, int]:
    """Shape and bytes of each array, and how many bytes follow.

    Raises:
        FrameError: these are no lengths of so many arrays.

    """
    if len(header) % 8:
        raise FrameError("lengths are cut")
    numbers = struct.unpack(f"<{len(header) // 8}q", header)
    arrays, place = [], 0
    try:
        for _ in range(count):
            dimensions = numbers[place]
            if not 0 <= dimensions <= MOST_DIMENSIONS:
                raise FrameError(f"{dimensions} dimensions")
            shape = numbers[place + 1 : place + 1 + dimensions]
            size = numbers[place + 1 + dimensions]
            if size < 0 or min(shape, default=0) < 0:
                raise FrameError("a length below 0")
            arrays.append((shape, size))
            place += dimensions + 2
    except IndexError:
        raise FrameError("lengths are missing") from None
    if place != len(numbers):
        raise FrameError("more lengths than arrays")
    return tuple(arrays), sum(size + -size % ALIGNED for _, size in arrays)


def unpacked(
    view: memoryview,
    arrays: Lengths,
    types: Sequence[str],
) -> list[Array]:
    """Arrays over the bytes that came; they share the memory.

    Raises:
        FrameError: bytes and shapes do not belong together.

    """
    start = 0
    result = []
    for (shape, size), kind in zip(arrays, types, strict=True):
        result.append(_array(view[start : start + size], shape, kind))
        start += size + -size % ALIGNED
    return result


def _array(data: memoryview, shape: tuple[int, ...], kind: str) -> Array:
    if kind == STRING:
        return _texts(data, shape)
    dtype = np.dtype(kind)
    if math.prod(shape) * dtype.itemsize != data.nbytes:
        raise FrameError(f"{data.nbytes} bytes for {kind}{list(shape)}")
    return np.frombuffer(data, dtype).reshape(shape)


def _texts(data: memoryview, shape: tuple[int, ...]) -> Array:
    try:
        texts = json.loads(bytes(data))
    except ValueError as error:
        raise FrameError("texts are no JSON") from error
    fits = isinstance(texts, list) and len(texts) == math.prod(shape)
    if not fits or not all(isinstance(text, str) for text in texts):
        raise FrameError("texts do not fit their shape")
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)
