"""Tensors of ModelInfer: typed contents or raw bytes into arrays, and back.

Names, shapes and types are `oip`'s affair, which REST shares; the raw form is that of REST's binary
tensors.
"""

import math
from collections.abc import Iterator
from types import MappingProxyType

import msgspec
import numpy as np

from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import TensorType
from tiltyard_engine.codecs import v2_binary
from tiltyard_engine.codecs.oip import Fields, Signature
from tiltyard_engine.columns import DTYPES, Array, Columns
from tiltyard_engine.errors import Refusal
from tiltyard_engine.grpc.messages import Message

CONTENTS = MappingProxyType(
    {
        TensorType.BOOL: "bool_contents",
        TensorType.INT8: "int_contents",
        TensorType.INT16: "int_contents",
        TensorType.INT32: "int_contents",
        TensorType.INT64: "int64_contents",
        TensorType.UINT8: "uint_contents",
        TensorType.UINT16: "uint_contents",
        TensorType.UINT32: "uint_contents",
        TensorType.UINT64: "uint64_contents",
        TensorType.FLOAT32: "fp32_contents",
        TensorType.FLOAT64: "fp64_contents",
        TensorType.STRING: "bytes_contents",
    }
)
"""Field of the typed contents for each type; float16 has none."""

_WIDE = {"int_contents": np.int32, "uint_contents": np.uint32}


class Taken(msgspec.Struct):
    """The tensors of a request."""

    rows: int
    tensors: Columns
    fields: Fields
    raw: bool
    """Whether they came as raw bytes: the answer's then go so too."""


def read_tensors(signature: Signature, request: Message) -> Taken:
    """Read the inputs of a request.

    Raises:
        Refusal: with the reason and the input.

    """
    raws = request.raw_input_contents
    if raws and len(raws) != len(request.inputs):
        message = f"{len(raws)} raw contents for {len(request.inputs)} inputs: send one for each"
        raise Refusal(Reason.MALFORMED_BODY, message, field="raw_input_contents")
    given: dict[str, Array] = {}
    for at, sent in enumerate(request.inputs):
        name = sent.name
        if name in given:
            message = f"input {name!r} stands twice: send it once"
            raise Refusal(Reason.MALFORMED_BODY, message, field=name)
        refuse_shared_memory(sent)
        slot = signature.slot(name)
        shape = tuple(sent.shape)
        slot.check(shape)
        element = slot.element(sent.datatype)
        if raws:
            values = v2_binary.read_tensor(name, raws[at], element, shape, math.prod(shape))
        else:
            values = _typed(sent, element, shape)
        given[name] = slot.fit(values)
    rows, tensors, fields = signature.place(given)
    return Taken(rows, tensors, fields, bool(raws))


def refuse_shared_memory(tensor: Message) -> None:
    """Refuse a tensor that lies in memory of the client's machine.

    Raises:
        Refusal: UnknownParameter.

    """
    if "shared_memory_region" in tensor.parameters:
        message = f"tensor {tensor.name!r} lies in shared memory, which is not offered"
        raise Refusal(
            Reason.UNKNOWN_PARAMETER, f"{message}: send its bytes", field="shared_memory_region"
        )


def _typed(sent: Message, element: TensorType, shape: tuple[int, ...]) -> Array:
    field = CONTENTS.get(element)
    if field is None:
        message = f"input {sent.name!r} is {sent.datatype}, which has no typed contents"
        raise Refusal(Reason.WRONG_TYPE, f"{message}: send raw_input_contents", field=sent.name)
    contents = getattr(sent.contents, field)
    count = math.prod(shape)
    if len(contents) != count:
        message = f"input {sent.name!r} holds {len(contents)} elements in {field}, its shape says"
        raise Refusal(Reason.SHAPE_MISMATCH, f"{message} {count}: correct one", field=sent.name)
    if element is TensorType.STRING:
        return np.array(list(_texts(sent.name, contents)), object).reshape(shape)
    wide = np.fromiter(contents, _WIDE.get(field, DTYPES[element]), count)
    return _narrowed(sent, wide, element).reshape(shape)


def _narrowed(sent: Message, wide: Array, element: TensorType) -> Array:
    """Small integers travel in wider fields; what their datatype could not hold is a fault."""
    narrow = wide.astype(DTYPES[element])
    if narrow.dtype != wide.dtype and not np.array_equal(narrow, wide):
        message = f"input {sent.name!r} holds numbers beyond {sent.datatype}: correct its datatype"
        raise Refusal(Reason.OUT_OF_RANGE, message, field=sent.name)
    return narrow


def _texts(name: str, contents: list[bytes]) -> Iterator[str]:
    for at, text in enumerate(contents):
        try:
            yield text.decode()
        except UnicodeDecodeError as error:
            message = f"text {at} of input {name!r} is not UTF-8: encode it so"
            raise Refusal(Reason.MALFORMED_BODY, message, field=name) from error


def write_tensor(answer: Message, name: str, datatype: str, values: Array, *, raw: bool) -> None:
    """Add one output to an answer."""
    output = answer.outputs.add(name=name, datatype=datatype, shape=values.shape)
    if raw:
        answer.raw_output_contents.append(bytes(v2_binary.write_tensor(values)))
        return
    field = CONTENTS[TensorType(_word(values))]
    elements = values.ravel().tolist()
    if field == "bytes_contents":
        elements = [text.encode() for text in elements]
    getattr(output.contents, field).extend(elements)


def _word(values: Array) -> str:
    return "string" if values.dtype.kind == "O" else values.dtype.name


def typed_form(outputs: Columns) -> bool:
    """Whether every output has a typed form."""
    return all(isinstance(c, list) or c.dtype != np.float16 for c in outputs.values())
