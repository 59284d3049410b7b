"""Tensors with one entry a row: an array, or a list where rows differ in shape.

A column is an array whose first axis is rows, or, where the rows' shapes differ, a list with one
array a row. Everything that divides and joins rows goes through here.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tiltyard_api.tensors import TensorType

Array = NDArray[np.generic]
Column = Array | list[Array]
Columns = dict[str, Column]

DTYPES = {
    tensor_type: np.dtype(object if tensor_type is TensorType.STRING else tensor_type.value)
    for tensor_type in TensorType
}
"""numpy's type for each of ours; texts are objects, as onnxruntime wants them."""


def bounds(tensor_type: TensorType) -> tuple[float, float]:
    """Smallest and largest number of a type; whole for the integer ones."""
    dtype = DTYPES[tensor_type]
    if dtype.kind == "f":
        top = float(np.finfo(tensor_type.value).max)
        return -top, top
    bits = dtype.itemsize * 8
    return (0, 2**bits - 1) if dtype.kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def take(column: Column, rows: Sequence[int]) -> Column:
    """Rows of a column, in the order asked for."""
    if isinstance(column, list):
        return [column[row] for row in rows]
    return column[rows]


def row_of(column: Column, row: int) -> Array:
    """One row, keeping its dimension of rows."""
    if isinstance(column, list):
        return np.expand_dims(column[row], 0)
    return column[row : row + 1]


def stack(rows: list[Array]) -> Column:
    """Join rows into an array where their shapes agree, else keep them as a list."""
    first = rows[0].shape
    if all(row.shape == first for row in rows):
        return np.stack(rows)
    return rows


def scatter(parts: Sequence[tuple[Sequence[int], Column]], rows: int) -> Column:
    """Put the parts of a divided batch back in the order of its rows."""
    ordered: list[Array] = [np.empty(0)] * rows
    for indices, column in parts:
        for index, value in zip(indices, column, strict=True):
            ordered[index] = np.asarray(value)
    return stack(ordered)
