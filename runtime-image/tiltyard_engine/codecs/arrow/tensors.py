"""Makes tensors of a table's columns, and plain values for answers in other formats.

A column of the usual form becomes a tensor without a copy, or with one: numbers, no nulls, lists
of equal length. Whatever else it holds goes value by value through `values`, by the same rules as
records.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
import numpy as np
import pyarrow as pa

from tiltyard_api.plan import RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH, TensorType
from tiltyard_engine.codecs.arrow.kinds import (
    LEAF_TYPES,
    TENSOR_TYPE,
    ArrowArray,
    ArrowBatch,
    ArrowField,
    is_list,
    is_number,
    is_tensor,
    is_text,
    is_value,
    leaf_of,
)
from tiltyard_engine.codecs.arrow.tables import Table
from tiltyard_engine.codecs.base import Values
from tiltyard_engine.codecs.values import read_tensor, shown
from tiltyard_engine.columns import DTYPES, Array, Column, bounds
from tiltyard_engine.errors import Refusal

SAFE_INTEGER = 2**53
"""Up to here a float names one whole number."""


class ArrowSent(msgspec.Struct):
    """The request's own columns, as they came."""

    table: Table

    def columns(self) -> Mapping[str, Values]:
        """All of them: arrays where they hold plain numbers."""
        batch = self.table.batch
        arrays = zip(batch.schema.names, batch.columns, strict=True)
        return {name: _plain(array) for name, array in arrays}


def make_tensor(tensor: RequestTensor, batch: ArrowBatch) -> Column:
    """Make one tensor, by the short way where its columns allow it.

    Raises:
        Refusal: with the column and the row.

    """
    if tensor.stacked:
        column: Column | None = _stacked(tensor, batch)
    else:
        place = batch.schema.get_field_index(tensor.columns[0])
        column = _whole(tensor, batch.schema.field(place), batch.column(place))
    if column is not None:
        return column
    return read_tensor(tensor, [_checked_values(name, tensor, batch) for name in tensor.columns])


def _checked_values(name: str, tensor: RequestTensor, batch: ArrowBatch) -> list[object]:
    """Python's own values of a column whose type they can be looked at for."""
    array = batch.column(name)
    leaf = leaf_of(array.type)
    if not is_value(leaf) and not pa.types.is_null(leaf):
        message = f"column {shown(name)!r} is {str(array.type)[:64]}, a {tensor.type} is due"
        raise Refusal(Reason.WRONG_TYPE, f"{message}: cast it", field=shown(name))
    return _python(array)


def _stacked(tensor: RequestTensor, batch: ArrowBatch) -> Array | None:
    """Scalar columns side by side; None where some need a closer look."""
    chosen = batch
    if tuple(batch.schema.names) != tensor.columns:
        chosen = batch.select(tensor.columns)
    wanted = LEAF_TYPES[tensor.type]
    if is_number(wanted):
        with suppress(pa.ArrowException):  # nulls, texts, booleans
            side_by_side = chosen.to_tensor(row_major=True)
            if side_by_side.type == wanted:
                stacked: Array = side_by_side.to_numpy()
                return stacked
    parts = [_elements(column, tensor.type) for column in chosen.columns]
    found = [part for part in parts if part is not None]
    return np.stack(found, axis=1) if len(found) == len(parts) else None


def _whole(tensor: RequestTensor, field: ArrowField, array: ArrowArray) -> Column | None:
    """A column that holds the tensor; None where it needs a closer look."""
    if is_tensor(array.type):
        return _fitting(_tensor_rows(array, tensor.type), tensor)
    lengths: list[Array] = []
    leaves = array
    while is_list(leaves.type) and not leaves.null_count:
        lengths.append(_lengths(leaves))
        leaves = leaves.flatten()
    values = _elements(leaves, tensor.type)
    if values is None:
        return None
    if not lengths:
        return _fitting(values if tensor.shape == () else values.reshape(-1, 1), tensor)
    if all(len(n) and (n == n[0]).all() for n in lengths):
        shape = [int(n[0]) for n in lengths]
        return _fitting(values.reshape(len(array), *_told_shape(field, shape)), tensor)
    if len(lengths) == 1 and tensor.shape == (ANY_LENGTH,):
        return np.split(values, np.cumsum(lengths[0])[:-1])
    return None


def _tensor_rows(array: ArrowArray, wanted: TensorType) -> Array | None:
    """Rows of a column of tensors; None where elements are missing or do not fit."""
    if array.null_count or array.storage.flatten().null_count:
        return None
    return _converted(np.ascontiguousarray(array.to_numpy_ndarray()), wanted)


def _fitting(values: Array | None, tensor: RequestTensor) -> Array | None:
    if values is None or values.ndim != 1 + len(tensor.shape):
        return None
    pairs = zip(values.shape[1:], tensor.shape, strict=True)
    return values if all(want in (ANY_LENGTH, have) for have, want in pairs) else None


def _lengths(array: ArrowArray) -> Array:
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size)
    lengths: Array = np.diff(array.offsets.to_numpy())
    return lengths


def _told_shape(field: ArrowField, shape: list[int]) -> list[int]:
    """Shape of one row: of a flat list, what its field tells."""
    told = (field.metadata or {}).get(TENSOR_TYPE)
    if told is None or len(shape) > 1:
        return shape
    try:
        inner = msgspec.json.decode(told, type=dict[str, list[int]])["shape"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return shape
    fits = min(inner, default=0) >= 0 and len(inner) > 1 and math.prod(inner) == shape[0]
    return inner if fits else shape


def _elements(array: ArrowArray, wanted: TensorType) -> Array | None:
    """Elements as a model takes them; None where some need a closer look."""
    kind, type_ = DTYPES[wanted].kind, array.type
    if array.null_count and not (kind == "f" and pa.types.is_floating(type_)):
        return None
    fits = {"O": is_text, "b": pa.types.is_boolean}.get(kind, is_number)
    if not fits(type_):
        return None
    values: Array = array.to_numpy(zero_copy_only=False)
    return values if kind in "Ob" else _converted(values, wanted)


def _converted(values: Array, wanted: TensorType) -> Array | None:
    """Numbers in the type that is due; None where one does not fit it."""
    dtype = DTYPES[wanted]
    if values.dtype == dtype:
        return values
    if dtype.kind not in "iuf" or values.dtype.kind not in "iuf":
        return None
    floats = values.dtype.kind == "f"
    finite = values[np.isfinite(values)] if floats else values
    low, high = bounds(wanted)
    if floats and dtype.kind != "f":
        if finite.size != values.size or not np.array_equal(values, np.trunc(values)):
            return None
        low, high = max(low, -SAFE_INTEGER), min(high, SAFE_INTEGER)
    if finite.size and not (low <= finite.min().item() and finite.max().item() <= high):
        return None
    if not floats and dtype.kind == "f":
        values = values.astype(np.float64)  # and then on: JSON's numbers are rounded so too
    return values.astype(dtype)


def _python(array: ArrowArray) -> list[object]:
    """A column as Python's own values; of tensors, as nested lists."""
    values: list[object]
    if is_tensor(array.type):
        shape = array.type.shape
        values = [_nested(row, shape) for row in array.storage.to_pylist()]
    else:
        values = array.to_pylist()
    return values


def _nested(flat: list[object] | None, shape: Sequence[int]) -> list[object] | None:
    for length in reversed(shape[1:]):
        flat = flat and [flat[at : at + length] for at in range(0, len(flat), length or 1)]
    return flat


def _plain(array: ArrowArray) -> Values:
    """A column as other formats take it: numbers keep their type, and so their digits."""
    if is_tensor(array.type):
        values: Array | None = None if array.null_count else array.to_numpy_ndarray()
        return _python(array) if values is None else values
    if array.null_count:
        return _python(array)
    if is_number(array.type):
        numbers: Array = array.to_numpy(zero_copy_only=False)
        return numbers
    if is_list(array.type) and is_number(array.type.value_type):
        leaves = array.flatten()
        if not leaves.null_count and len(leaves):
            flat: Array = leaves.to_numpy(zero_copy_only=False)
            lengths = _lengths(array)
            if (lengths == lengths[0]).all():
                return flat.reshape(len(array), -1)
            return np.split(flat, np.cumsum(lengths)[:-1])
    return _python(array)
