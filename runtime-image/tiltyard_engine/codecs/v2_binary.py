"""The binary tensors of the Open Inference Protocol: raw little-endian bytes behind the JSON.

Numbers are used where they lie in the body; texts carry their lengths in four bytes each.
"""

import struct
from collections.abc import Sequence

import numpy as np

from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import TensorType
from tiltyard_engine.columns import DTYPES, Array
from tiltyard_engine.errors import Refusal

LENGTH = struct.Struct("<I")


def read_tensor(
    name: str, data: bytes | memoryview, tensor_type: TensorType, shape: Sequence[int], count: int
) -> Array:
    """Read the bytes of one tensor.

    Args:
        name: of the input, for messages.
        data: exactly the tensor's bytes.
        tensor_type: what the elements are.
        shape: whose lengths have been held against the plan.
        count: product of the lengths.

    Raises:
        Refusal: the bytes are not that many elements.

    """
    if tensor_type is TensorType.STRING:
        return np.array(_texts(name, data, count), object).reshape(shape)
    dtype = DTYPES[tensor_type]
    if len(data) != count * dtype.itemsize:
        raise _misfit(name, f"{len(data)} bytes", f"{count} elements of {dtype.itemsize}")
    if tensor_type is TensorType.BOOL:
        flags = np.frombuffer(data, np.uint8)
        if flags.size and flags.max() > 1:
            message = f"input {name!r} is BOOL and has bytes beyond 0 and 1: send these"
            raise Refusal(Reason.WRONG_TYPE, message, field=name)
    values: Array = np.frombuffer(data, dtype.newbyteorder("<")).reshape(shape)
    # Models read fastest, and some only, where elements lie at multiples of their size.
    return values if values.flags.aligned else values.copy()


def _texts(name: str, data: bytes | memoryview, count: int) -> list[str]:
    if len(data) < count * LENGTH.size:
        raise _misfit(name, f"{len(data)} bytes", f"{count} texts with lengths of 4 bytes")
    texts: list[str] = []
    at = 0
    try:
        while at < len(data) and len(texts) < count:
            (length,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size
            if length > len(data) - at:
                raise _misfit(name, f"{len(data) - at} bytes left", f"a text of {length}")
            texts.append(str(data[at : at + length], "utf-8"))
            at += length
    except UnicodeDecodeError as error:
        message = f"text {len(texts)} of input {name!r} is not UTF-8: encode it so"
        raise Refusal(Reason.MALFORMED_BODY, message, field=name) from error
    except struct.error as error:
        raise _misfit(name, f"{len(data) - at} bytes left", "a length of 4 bytes") from error
    if len(texts) != count or at != len(data):
        raise _misfit(name, f"{len(texts)} texts and {len(data) - at} bytes", f"{count} texts")
    return texts


def write_tensor(values: Array) -> bytes | memoryview:
    """Bytes of one tensor; of numbers, the very memory that the model has filled."""
    if values.dtype.kind != "O":
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
    parts = []
    for text in values.ravel().tolist():
        data = text.encode()
        parts += [LENGTH.pack(len(data)), data]
    return b"".join(parts)


def _misfit(name: str, have: str, want: str) -> Refusal:
    message = f"input {name!r} has {have} where its shape and datatype say {want}: correct one"
    return Refusal(Reason.SHAPE_MISMATCH, message, field=name)
