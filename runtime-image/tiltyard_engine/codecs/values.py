"""Turns plain values, one at a time, into what a model takes, or says what is wrong with them.

The slow path of every format of rows: the same value meets the same rule in all of them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tiltyard_api.plan import RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH, TensorType
from tiltyard_engine.columns import DTYPES, Array, Column, bounds, stack
from tiltyard_engine.errors import Refusal

SHOWN = 64
"""Characters of a column's name that messages show: as long as the longest in a plan."""


def shown(column: str) -> str:
    """Give a column's name as messages show it."""
    return column if len(column) <= SHOWN else f"{column[:SHOWN]}…"


def read_tensor(tensor: RequestTensor, columns: Sequence[Sequence[object]]) -> Column:
    """Make a tensor of its columns' values.

    Raises:
        Refusal: with the column and the row.

    """
    if tensor.stacked:
        names = tensor.columns
        rows = [
            [_leaf(value, tensor.type, names[at], row) for at, value in enumerate(values)]
            for row, values in enumerate(zip(*columns, strict=True))
        ]
        return np.array(rows, DTYPES[tensor.type])
    name = tensor.columns[0]
    return stack([_row(value, tensor, name, row) for row, value in enumerate(columns[0])])


def read_keys(field: str, values: list[object]) -> list[object]:
    """Give the values of a hash key, of which some are no keys.

    Raises:
        Refusal: WrongType.

    """
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise Refusal(
                Reason.WRONG_TYPE,
                f"hash key {field!r} is {_kind(value)}: send a text or a number",
                field=field,
                row=row,
            )
    return values


def missing_column(column: str, there: Sequence[str]) -> Refusal:
    """Refuse rows without a column that is needed."""
    names = ", ".join(map(shown, sorted(there)[:20])) or "none"
    return Refusal(
        Reason.MISSING_COLUMN,
        f"column {column!r} is missing (there: {names}): add it to every row",
        field=column,
        row=0,
    )


def _row(value: object, tensor: RequestTensor, column: str, row: int) -> Array:
    """One row's value as an array of the tensor's shape."""
    if tensor.shape == (1,) and not isinstance(value, list):
        value = [value]
    lengths: list[int] = []
    leaves = _flatten(value, len(tensor.shape), lengths, tensor, column, row)
    shape = tuple(lengths) if lengths else ()
    if not all(w in (ANY_LENGTH, h) for h, w in zip(shape, tensor.shape, strict=True)):
        raise _misshapen(list(shape), tensor, column, row)
    items = [_leaf(leaf, tensor.type, column, row) for leaf in leaves]
    return np.array(items, DTYPES[tensor.type]).reshape(shape)


def _flatten(
    value: object, rank: int, lengths: list[int], tensor: RequestTensor, column: str, row: int
) -> list[object]:
    """Leaves of nested lists of an exact depth; fills in the length of each level."""
    level = [value]
    for depth in range(rank):
        sizes = {len(v) if isinstance(v, list) else -1 for v in level}
        if -1 in sizes:
            what = f"{_kind(next(v for v in level if not isinstance(v, list)))} at depth {depth}"
            raise _misshapen(what, tensor, column, row)
        if len(sizes) > 1:
            raise _misshapen(f"lists of lengths {sorted(sizes)} side by side", tensor, column, row)
        length = tensor.shape[depth]
        lengths.append(sizes.pop() if sizes else 0 if length == ANY_LENGTH else length)
        level = [item for v in level if isinstance(v, list) for item in v]
    nested = next((item for item in level if isinstance(item, list)), None)
    if nested is not None:
        raise _misshapen("lists nested too deep", tensor, column, row)
    return level


def _misshapen(have: object, tensor: RequestTensor, column: str, row: int) -> Refusal:
    want = ["any" if n == ANY_LENGTH else n for n in tensor.shape]
    message = f"column {column!r} is {have}, the model takes {want} a row: reshape it"
    return Refusal(Reason.SHAPE_MISMATCH, message, field=column, row=row)


def _leaf(value: object, wanted: TensorType, column: str, row: int) -> Any:  # noqa: ANN401 - any type
    """One element, converted without loss, or refused."""
    kind = DTYPES[wanted].kind
    if value is None:
        if kind == "f":
            return float("nan")
        message = f"column {column!r} is null, a {wanted} is due: only floats may be missing"
        raise Refusal(Reason.NULL_VALUE, message, field=column, row=row)
    if isinstance(value, list):
        message = f"column {column!r} is a list, a single {wanted} is due: take it out of the list"
        raise Refusal(Reason.SHAPE_MISMATCH, message, field=column, row=row)
    if (kind == "O" and isinstance(value, str)) or (kind == "b" and isinstance(value, bool)):
        return value
    if kind in "iuf" and isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value, wanted, column, row)
    message = f"column {column!r} is {_kind(value)}, a {wanted} is due: convert it"
    raise Refusal(Reason.WRONG_TYPE, message, field=column, row=row)


def _number(value: float, wanted: TensorType, column: str, row: int) -> float:
    low, high = bounds(wanted)
    if DTYPES[wanted].kind != "f":
        if value % 1 != 0:  # of NaN and infinities too
            message = f"column {column!r} is {value!r}, a {wanted} is due: round it"
            raise Refusal(Reason.WRONG_TYPE, message, field=column, row=row)
        value = int(value)
    elif not -math.inf < value < math.inf:
        return value  # some formats can say so; it is passed on as it is
    if not low <= value <= high:
        message = f"column {column!r} is {_short(value)}, a {wanted} goes from {low} to {high}"
        raise Refusal(Reason.OUT_OF_RANGE, f"{message}: scale it", field=column, row=row)
    return value


def _short(value: float) -> str:
    try:
        return repr(value)[:24]
    except ValueError:  # integers beyond Python's limit of digits do not print
        return "a very long integer"


def _kind(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    names = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), f"a {type(value).__name__}")
