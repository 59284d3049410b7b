"""Tensors of several requests as bytes of shared memory, and back as views of it."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from tiltyard_api.tensors import TensorType
from tiltyard_engine.columns import DTYPES, Array, Column, joined
from tiltyard_engine.ring import Piece, aligned


class Shaped(Protocol):
    """What a plan says of a tensor, an input or an output."""

    @property
    def type(self) -> TensorType:
        """Of its elements."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""


def stacked(columns: Sequence[Column], tensor: Shaped) -> Piece | None:
    """Rows one behind the other; None where they differ, or are not what the plan says."""
    stacked = joined(columns)
    if stacked is None or stacked.dtype != DTYPES[tensor.type] or stacked.shape[1:] != tensor.shape:
        return None
    if stacked.dtype.hasobject:
        return None
    return np.ascontiguousarray(stacked).reshape(-1).view(np.uint8).data


def views(record: memoryview, rows: int, tensors: Sequence[Shaped]) -> Iterator[Array]:
    """Tensors that lie one behind the other, as `stacked` has made them."""
    position = 0
    for tensor in tensors:
        count = rows * math.prod(tensor.shape)
        values = np.frombuffer(record, DTYPES[tensor.type], count, position)
        position += aligned(values.nbytes)
        yield values.reshape(rows, *tensor.shape)
