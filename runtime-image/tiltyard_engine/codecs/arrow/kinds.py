"""What Arrow's types are to us. pyarrow has no types of its own, hence `Any`."""

from typing import Any

import pyarrow as pa

from tiltyard_api.tensors import TensorType
from tiltyard_engine.columns import DTYPES

ArrowArray = Any
ArrowBatch = Any
ArrowField = Any
ArrowSchema = Any
ArrowType = Any

TENSOR_TYPE = b"tensor_type"
"""Metadata of a field: JSON with the shape of one row."""

LEAF_TYPES = {
    tensor_type: pa.string() if tensor_type is TensorType.STRING else pa.from_numpy_dtype(dtype)
    for tensor_type, dtype in DTYPES.items()
}

_OTHERS = (
    *(pa.types.is_decimal, pa.types.is_binary, pa.types.is_large_binary),
    *(pa.types.is_fixed_size_binary, pa.types.is_temporal, pa.types.is_null),
)


def is_list(type_: ArrowType) -> bool:
    """Whether rows hold lists that lie one behind the other."""
    kinds = pa.types
    return bool(
        kinds.is_list(type_) or kinds.is_large_list(type_) or kinds.is_fixed_size_list(type_)
    )


def is_number(type_: ArrowType) -> bool:
    """Whether rows hold integers or floats."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def is_text(type_: ArrowType) -> bool:
    """Whether rows hold texts."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def is_tensor(type_: ArrowType) -> bool:
    """Whether rows hold tensors of one shape."""
    return isinstance(type_, pa.FixedShapeTensorType)


def is_value(type_: ArrowType) -> bool:
    """Whether a model can take such an element, perhaps converted."""
    return is_number(type_) or is_text(type_) or pa.types.is_boolean(type_)


def is_plain(type_: ArrowType) -> bool:
    """Whether elements take the room that their number says: no views, no dictionaries."""
    return is_value(type_) or (any(is_kind(type_) for is_kind in _OTHERS) and not is_empty(type_))


def is_empty(type_: ArrowType) -> bool:
    """Whether elements are all of length 0: pyarrow divides by it and brings the process down."""
    if pa.types.is_fixed_size_list(type_):
        return bool(type_.list_size < 1)
    return bool(pa.types.is_fixed_size_binary(type_) and type_.byte_width < 1)


def leaf_of(type_: ArrowType) -> ArrowType:
    """The type of the elements of lists and tensors."""
    if is_tensor(type_):
        type_ = type_.storage_type
    while is_list(type_):
        type_ = type_.value_type
    return type_
