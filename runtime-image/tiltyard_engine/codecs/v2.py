"""Reads and writes the Open Inference Protocol as REST has it: JSON tensors, binary ones behind.

The usual body takes the short path: msgspec checks it while it parses, and a flat list of numbers
is packed into an array at once. Nulls, whole floats for integers and faults take the path through
`values`, which says where they are.
"""

import math
import struct
from collections.abc import Sequence
from functools import cache
from itertools import chain, repeat
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson

from tiltyard_api.plan import RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import TensorType
from tiltyard_engine.codecs import v2_binary
from tiltyard_engine.codecs.answers import array_text
from tiltyard_engine.codecs.numbers import LARGE, NumbersReader
from tiltyard_engine.codecs.oip import MAX_RANK, TYPES, Fields, Signature, rectangular
from tiltyard_engine.codecs.records import leaf_type
from tiltyard_engine.codecs.values import read_tensor
from tiltyard_engine.columns import DTYPES, Array, Columns
from tiltyard_engine.errors import Refusal

MAX_TENSORS = 2048
"""More than a plan can have: 256 inputs and the columns of one."""

NOTHING = memoryview(b"")


class InputParameters(msgspec.Struct, gc=False):
    """What may be said of an input; other parameters are other servers' affair."""

    binary_data_size: int | None = None
    shared_memory_region: str | None = None


class Input(msgspec.Struct, gc=False):
    """A tensor of a request, its elements unread."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw = msgspec.Raw(b"")
    parameters: InputParameters | None = None


class OutputParameters(msgspec.Struct, gc=False):
    """What may be said of an output."""

    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class Output(msgspec.Struct, gc=False):
    """A tensor that the client asks for."""

    name: str
    parameters: OutputParameters | None = None


class RequestParameters(msgspec.Struct, gc=False):
    """What may be said of a request."""

    binary_data_output: bool = False


class Body(msgspec.Struct, gc=False):
    """The JSON of a request. What else is in it is let through: clients add fields of theirs."""

    inputs: Annotated[list[Input], msgspec.Meta(max_length=MAX_TENSORS)]
    id: str | None = None
    parameters: RequestParameters | None = None
    outputs: Annotated[list[Output], msgspec.Meta(max_length=MAX_TENSORS)] | None = None


class Wanted(msgspec.Struct):
    """The form of an answer."""

    id: str | None
    outputs: dict[str, bool] | None
    """Names, and whether each goes out as bytes; None: all there are."""

    binary: bool
    """Whether outputs that nothing else was said of go out as bytes."""


class Taken(msgspec.Struct):
    """A request as tensors and hash keys."""

    rows: int
    tensors: Columns
    fields: Fields
    wanted: Wanted


class V2Reader:
    """Decodes requests for one plan."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._outputs = {output.name for output in signature.outputs}
        self._decoder = msgspec.json.Decoder(Body)
        self._numbers = NumbersReader({word: DTYPES[one] for word, one in TYPES.items()})

    def read(self, body: bytes, header_length: bytes | None) -> Taken:
        """Decode a request.

        Args:
            body: JSON, with the bytes of binary tensors behind it.
            header_length: value of Inference-Header-Content-Length, which says where they begin.

        Raises:
            Refusal: with the reason and the input.

        """
        text, binary = (body, NOTHING) if header_length is None else _divided(header_length, body)
        head, arrays = self._parse(text)
        given: dict[str, Array] = {}
        for sent, array in zip(head.inputs, arrays or repeat(None), strict=False):
            if sent.name in given:
                message = f"input {sent.name!r} stands twice: send it once"
                raise Refusal(Reason.MALFORMED_BODY, message, field=sent.name)
            slot = self._signature.slot(sent.name)
            slot.check(sent.shape)
            self._signature.check_rows(sent.shape[0])
            element = slot.element(sent.datatype)
            if array is not None:
                values = _shaped(sent, array)
            elif (size := _binary_size(sent)) is not None:
                values = _read_binary(sent, element, _cut(sent, size, binary))
                binary = binary[size:]
            else:
                values = _shaped(sent, _read_json(sent, element))
            given[sent.name] = slot.fit(values)
        if len(binary):
            message = f"{len(binary)} bytes are left behind the last tensor: name them or drop them"
            raise Refusal(Reason.MALFORMED_BODY, message, field="binary_data_size")
        rows, tensors, fields = self._signature.place(given)
        return Taken(rows, tensors, fields, self._wanted(head))

    def _parse(self, text: bytes) -> tuple[Body, Sequence[Array | None]]:
        """The JSON, and arrays of those inputs whose data is read already."""
        short = self._numbers.parse(text)
        try:
            if short:
                return msgspec.convert(short[0], Body), short[1]
            return self._decoder.decode(text), ()
        except UnicodeDecodeError as error:
            message = f"the body is not UTF-8 at byte {error.start}: encode it so"
        except msgspec.ValidationError as error:
            message = f'the body must be {{"inputs": [...]}}: {str(error)[:200]}'
        except (msgspec.DecodeError, RecursionError) as error:
            message = f"the body is not JSON: {error}"
            if not text.strip():
                message = 'the body is empty: send {"inputs": [...]}'
        raise Refusal(Reason.MALFORMED_BODY, message)

    def _wanted(self, head: Body) -> Wanted:
        binary = head.parameters is not None and head.parameters.binary_data_output
        if head.outputs is None:
            return Wanted(head.id, None, binary)
        outputs = {}
        for output in head.outputs:
            if output.name not in self._outputs:
                there = ", ".join(sorted(self._outputs))
                message = f"there is no output {output.name[:64]!r} (there: {there}): correct it"
                raise Refusal(Reason.UNKNOWN_PARAMETER, message, field=output.name[:64])
            outputs[output.name] = binary
            if output.parameters:
                _refuse_extension(output.name, output.parameters)
                if output.parameters.binary_data is not None:
                    outputs[output.name] = output.parameters.binary_data
        return Wanted(head.id, outputs or None, binary)


def _divided(header_length: bytes, body: bytes) -> tuple[bytes, memoryview]:
    """The JSON of a body, and the binary tensors behind it."""
    if not header_length.isdigit() or len(header_length) > 10 or int(header_length) > len(body):
        told = header_length[:20].decode("latin-1")
        raise Refusal(
            Reason.MALFORMED_BODY,
            f"Inference-Header-Content-Length is {told!r}, the body has {len(body)} bytes:"
            " send the length of its JSON",
            field="Inference-Header-Content-Length",
        )
    end = int(header_length)
    return body[:end], memoryview(body)[end:]


def _binary_size(sent: Input) -> int | None:
    if sent.parameters is None:
        return None
    if sent.parameters.shared_memory_region is not None:
        raise _no_shared_memory(sent.name)
    return sent.parameters.binary_data_size


def _refuse_extension(name: str, parameters: OutputParameters) -> None:
    if parameters.shared_memory_region is not None:
        raise _no_shared_memory(name)
    if parameters.classification is not None:
        message = f"output {name!r}: classification is not offered: ask for the output itself"
        raise Refusal(Reason.UNKNOWN_PARAMETER, message, field="classification")


def _no_shared_memory(name: str) -> Refusal:
    message = f"tensor {name!r} lies in shared memory, which is not offered: send its bytes"
    return Refusal(Reason.UNKNOWN_PARAMETER, message, field="shared_memory_region")


def _cut(sent: Input, size: int, binary: memoryview) -> memoryview:
    if not 0 <= size <= len(binary):
        message = f"input {sent.name!r} says {size} bytes, {len(binary)} are left: correct it"
        raise Refusal(Reason.SHAPE_MISMATCH, message, field=sent.name)
    return binary[:size]


def _read_binary(sent: Input, element: TensorType, binary: memoryview) -> Array:
    count = math.prod(sent.shape)
    return v2_binary.read_tensor(sent.name, binary, element, sent.shape, count)


def _shaped(sent: Input, values: Array) -> Array:
    count = math.prod(sent.shape)
    if values.size != count:
        message = f"input {sent.name!r} holds {values.size} elements, its shape says {count}"
        raise Refusal(Reason.SHAPE_MISMATCH, f"{message}: correct one", field=sent.name)
    return values.reshape(sent.shape)


def _read_json(sent: Input, element: TensorType) -> Array:
    """Elements of a JSON list, flat or nested like the shape."""
    text = bytes(sent.data)
    if not text:
        message = f"input {sent.name!r} has neither data nor binary_data_size: send one"
        raise Refusal(Reason.MISSING_COLUMN, message, field=sent.name)
    _check_length(sent, text, element)
    nested = len(sent.shape) > 1 and text[1:].lstrip()[:1] == b"["
    rank = len(sent.shape) if nested else 1
    try:
        values = _decoder(element, rank).decode(text)
        return _packed(_flat(values, sent) if nested else values, element)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return _read_carefully(sent, text, element, rank)


def _check_length(sent: Input, text: bytes, element: TensorType) -> None:
    """Refuse lists of far more numbers than the shape says before each becomes an object."""
    if len(text) < LARGE or element is TensorType.STRING:
        return
    commas = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(",")))
    count = math.prod(sent.shape)
    if commas >= count:
        message = f"input {sent.name!r} holds some {commas + 1} elements, its shape says {count}"
        raise Refusal(Reason.SHAPE_MISMATCH, f"{message}: correct one", field=sent.name)


def _read_carefully(sent: Input, text: bytes, element: TensorType, rank: int) -> Array:
    """Elements of which some are null, of another type or out of range; or what is wrong."""
    try:
        values = _decoder(None, rank).decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"data of input {sent.name!r} is not a list of {sent.datatype}: {error}"
        if "out of range" in str(error):
            raise Refusal(Reason.OUT_OF_RANGE, message, field=sent.name) from error
        raise Refusal(Reason.WRONG_TYPE, message, field=sent.name) from error
    flat = _flat(values, sent) if rank > 1 else values
    tensor = RequestTensor(
        key=sent.name, type=element, shape=(), columns=(sent.name,), stacked=False
    )
    try:
        column = read_tensor(tensor, [flat]) if flat else np.empty(0, DTYPES[element])
    except Refusal as refusal:
        if refusal.row is not None:
            refusal.row //= max(math.prod(sent.shape[1:]), 1)
        raise
    return column if isinstance(column, np.ndarray) else np.array(column)


@cache
def _decoder(element: TensorType | None, rank: int) -> msgspec.json.Decoder[Any]:
    """Decoder of lists nested so deep; of None: of whatever a value may be."""
    leaf: Any = str | int | float | bool | None if element is None else leaf_type(element)
    for _ in range(min(rank, MAX_RANK)):
        leaf = list[leaf]
    return msgspec.json.Decoder(leaf)


def _flat(values: list[Any], sent: Input) -> list[Any]:
    """Elements of lists nested like the shape."""
    for length, inner in zip(sent.shape, sent.shape[1:], strict=False):
        if len(values) != length or any(len(value) != inner for value in values):
            message = f"data of input {sent.name!r} is not nested like its shape {sent.shape}"
            raise Refusal(Reason.SHAPE_MISMATCH, f"{message}: correct one", field=sent.name)
        values = list(chain.from_iterable(values))
    return values


def _packed(values: Sequence[Any], element: TensorType) -> Array:
    """An array of plain values of the right type."""
    dtype = DTYPES[element]
    if dtype.kind == "O":
        return np.array(values, object)
    # Packing into bytes takes half of what numpy takes for it.
    return np.frombuffer(struct.pack(f"{len(values)}{dtype.char}", *values), dtype)


class V2Writer:
    """Encodes the answers of one plan."""

    def __init__(self, pipeline: str, signature: Signature) -> None:
        self._head = b'{"model_name":' + orjson.dumps(pipeline)
        self._pipeline = pipeline
        self._prefixes = {
            one.name: orjson.dumps({"name": one.name, "datatype": one.datatype})[:-1] + b',"shape":'
            for one in signature.outputs
        }

    def write(
        self, outputs: Columns, parameters: dict[str, str], version: str | None, wanted: Wanted
    ) -> tuple[bytes, int | None]:
        """Encode an answer; returns it and, where bytes follow its JSON, how long the JSON is.

        Raises:
            Refusal: an output is no tensor.

        """
        tensors: list[bytes] = []
        binary: list[bytes | memoryview] = []
        for name, column in outputs.items():
            as_bytes = wanted.binary
            if wanted.outputs is not None:
                if name not in wanted.outputs:
                    continue
                as_bytes = wanted.outputs[name]
            values = rectangular(self._pipeline, name, column)
            prefix = self._prefixes[name] + orjson.dumps(values.shape)
            if as_bytes:
                data = v2_binary.write_tensor(values)
                binary.append(data)
                tensors.append(prefix + b',"parameters":{"binary_data_size":%d}}' % len(data))
            else:
                tensors.append(prefix + b',"data":' + _json_values(values) + b"}")
        text = b"".join(
            (
                self._head,
                b"" if version is None else b',"model_version":' + orjson.dumps(version),
                b"" if wanted.id is None else b',"id":' + orjson.dumps(wanted.id),
                b',"parameters":',
                orjson.dumps(parameters),
                b',"outputs":[',
                b",".join(tensors),
                b"]}",
            )
        )
        return (b"".join((text, *binary)), len(text)) if binary else (text, None)


def _json_values(values: Array) -> bytes:
    """JSON of all elements, flat."""
    if values.dtype.kind == "O":
        return orjson.dumps(values.ravel().tolist())
    return array_text(values.reshape(-1))
