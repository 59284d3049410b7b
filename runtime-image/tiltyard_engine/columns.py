"""Tensors with one entry a row: an array, or a list where rows differ in shape.

A column is an array whose first axis is rows, or, where the rows' shapes differ, a list with one
array a row. Everything that divides and joins rows goes through here.
"""

import math
import sys
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


_LARGEST = {
    TensorType.FLOAT16: math.nextafter(65520.0, 0),
    TensorType.FLOAT32: math.nextafter(2.0**128 - 2.0**103, 0),
    TensorType.FLOAT64: sys.float_info.max,
}
"""Beyond the type's own largest number: what still rounds to it, as its shortest digits may."""


def bounds(tensor_type: TensorType) -> tuple[float, float]:
    """Smallest and largest number that fits a type; whole for the integer ones."""
    dtype = DTYPES[tensor_type]
    if dtype.kind == "f":
        top = _LARGEST[tensor_type]
        return -top, top
    bits = dtype.itemsize * 8
    return (0, 2**bits - 1) if dtype.kind == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


ALIGNMENT = 16
"""Bytes at whose multiples numpy puts what it allocates."""


def aligned(array: Array) -> Array:
    """Give numbers a place where fresh arrays lie; a copy where they lie elsewhere in a body.

    Some operators sum in another order where their input begins between two words of the processor,
    so that the last bits of an answer would depend on how long a head or a name was.
    """
    if array.base is None or array.__array_interface__["data"][0] % ALIGNMENT == 0:
        return array
    return array.copy()


def size_of(columns: Columns) -> int:
    """Bytes that the values take."""
    return sum(map(bytes_of, columns.values()))


def bytes_of(column: Column) -> int:
    """Bytes that the values of one column take."""
    return sum(row.nbytes for row in column) if isinstance(column, list) else column.nbytes


def ragged(columns: Columns) -> bool:
    """Whether rows of any column differ in shape."""
    return any(isinstance(column, list) for column in columns.values())


def joined(columns: Sequence[Column]) -> Array | None:
    """Rows one behind the other; None where they differ in shape."""
    arrays = [column for column in columns if not isinstance(column, list)]
    if len(arrays) < len(columns):
        return None
    try:
        return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    except ValueError:
        return None


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


def rows_of(column: Column) -> list[Array]:
    """Every row as an array: texts too, which are no arrays when numpy hands them out singly."""
    if isinstance(column, list):
        return column
    return [column[row, ...] for row in range(len(column))]


def scatter(parts: Sequence[tuple[Sequence[int], Column]], rows: int) -> Column:
    """Put the parts of a divided batch back in the order of its rows."""
    ordered: list[Array] = [np.empty(0)] * rows
    for indices, column in parts:
        for index, row in zip(indices, rows_of(column), strict=True):
            ordered[index] = row
    return stack(ordered)
