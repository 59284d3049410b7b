"""How arrays cross between an engine and a worker: lengths first, then their bytes.

    lengths    int64: dimensions, each length, and bytes, for each array in turn
    bytes      of each array, each begun at a multiple of eight

Both sides know from the plan which arrays come and of what type, so nothing says it again. Texts
are sent as a JSON list. Whoever reads trusts neither lengths nor bytes.
"""

import functools
import json
import math
import mmap
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

Memory = bytearray | memoryview | mmap.mmap
Piece = bytes | memoryview
Types = tuple[str, ...]
"""Type of each array, in order."""

Lengths = tuple[tuple[tuple[int, ...], int], ...]
"""Shape and bytes of each array."""

Packed = tuple[bytes, list[Piece], int]
"""Lengths of arrays, their bytes in pieces, and how many bytes those are."""

ALIGNED = 8
COPIED_BYTES = 4096
"""Below it a copy is quicker than a view."""

MOST_DIMENSIONS = 32
MOST_NUMBERS = 1 << 48
STRING = "string"


class FrameError(Exception):
    """What came is not what was agreed."""


class Place(NamedTuple):
    """Where an array lies among the bytes of all."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    """None: texts."""

    start: int
    size: int


def packed(arrays: Sequence[Array], types: Types) -> Packed:
    """Write arrays as they cross."""
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
def places(header: bytes, types: Types) -> tuple[tuple[Place, ...], int]:
    """Where each array will lie, and how many bytes follow.

    Raises:
        FrameError: these are no lengths of such arrays.

    """
    if len(header) % 8:
        raise FrameError("lengths are cut")
    numbers = struct.unpack(f"<{len(header) // 8}q", header)
    found, at, start = [], 0, 0
    try:
        for kind in types:
            dimensions = numbers[at]
            if not 0 <= dimensions <= MOST_DIMENSIONS:
                raise FrameError(f"{dimensions} dimensions")
            shape = numbers[at + 1 : at + 1 + dimensions]
            size = numbers[at + 1 + dimensions]
            found.append(_place(shape, kind, start, size))
            at += dimensions + 2
            start += size + -size % ALIGNED
    except IndexError:
        raise FrameError("lengths are missing") from None
    if at != len(numbers):
        raise FrameError("more lengths than arrays")
    return tuple(found), start


def _place(shape: tuple[int, ...], kind: str, start: int, size: int) -> Place:
    if size < 0 or min(shape, default=0) < 0:
        raise FrameError("a length below 0")
    if math.prod(filter(None, shape)) > MOST_NUMBERS:  # of none, where one length is 0
        raise FrameError(f"lengths beyond any memory: {list(shape)}")
    dtype = None if kind == STRING else np.dtype(kind)
    if dtype is not None and math.prod(shape) * dtype.itemsize != size:
        raise FrameError(f"{size} bytes for {kind}{list(shape)}")
    return Place(shape, dtype, start, size)


def unpacked(data: Memory, begin: int, where: Sequence[Place]) -> list[Array]:
    """Arrays over bytes that came and may be written to; they share the memory.

    Args:
        data: what came.
        begin: where in it the arrays begin, a multiple of eight.
        where: what `places` gave; so many bytes must have come.

    Raises:
        FrameError: texts are none, or do not fit their shape.

    """
    return [
        _texts(data[begin + start : begin + start + size], shape)
        if dtype is None
        else np.ndarray(shape, dtype, data, begin + start)
        for shape, dtype, start, size in where
    ]


def _texts(data: bytes | Memory, shape: tuple[int, ...]) -> Array:
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
