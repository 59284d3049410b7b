"""Reads pandas-style records: a JSON list of objects, one a row.

The usual body takes the short path: a decoder generated from the plan checks types, bounds and
keys while it parses. Whatever that decoder refuses is read again slowly by `careful`, which either
finds it legitimate (a null, an unknown column, rows of different length) or says what is wrong.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np

from tiltyard_api.plan import Plan, RequestTensor
from tiltyard_api.tensors import ANY_LENGTH, TensorType
from tiltyard_engine.codecs.careful import CarefulReader
from tiltyard_engine.columns import DTYPES, Column, Columns, bounds

KeyValue = str | int | float
"""What a hash key may be on the short path; anything else takes the slow one."""
NO_FIELDS: dict[str, list[object]] = {}

LARGE = 4096
"""Bytes from which numpy counts quicker than the interpreter."""


def leaf_type(tensor_type: TensorType) -> Any:  # noqa: ANN401 - a type that is made here
    """What msgspec must find for one element, with the bounds of its type."""
    dtype = DTYPES[tensor_type]
    if tensor_type is TensorType.STRING:
        return str
    if tensor_type is TensorType.BOOL:
        return bool
    low, high = bounds(tensor_type)
    if dtype.kind == "f":
        return Annotated[float, msgspec.Meta(ge=low, le=high)]
    # msgspec's bounds end at 2^63: the slow path takes what is above.
    return Annotated[int, msgspec.Meta(ge=int(low), le=min(int(high), 2**63 - 1))]


def key_leaf(tensor_type: TensorType) -> Any:  # noqa: ANN401 - a type that is made here
    """One element that is a hash key too: a float input's integer stays the integer it is."""
    leaf = leaf_type(tensor_type)
    if DTYPES[tensor_type].kind != "f":
        return leaf
    low, high = (max(min(int(bound), 2**63 - 1), -(2**63)) for bound in bounds(tensor_type))
    return leaf | Annotated[int, msgspec.Meta(ge=low, le=high)]


def is_scalar(tensor: RequestTensor) -> bool:
    """Whether a record holds a plain value for it."""
    return tensor.stacked or tensor.shape in ((), (1,))


class Decoded(msgspec.Struct):
    """A body as tensors and hash keys."""

    rows: int
    tensors: Columns
    fields: dict[str, list[object]]
    plain: bool = False
    """Whether nothing in the body but rows is in braces."""


class RecordsReader:
    """Decodes the records of one plan."""

    def __init__(self, plan: Plan, max_rows: int, max_depth: int) -> None:
        self._fields = plan.key_fields
        self._max_rows = max_rows
        names, row_type = _row_struct(plan.request, self._fields)
        self._decoder = msgspec.json.Decoder(list[row_type])  # type: ignore[valid-type]  # made here
        self._quotes = 2 * len(names)
        self._plain = not any("}" in name for name in names)
        self._shortest = 7 * max_rows  # bytes of that many rows such as {"":1} and their commas
        self._always_careful = _needs_care(plan.request, self._fields)
        self._columns = [(t, _getter(t, names)) for t in plan.request]
        self._keys = [(field, attrgetter(names[field])) for field in self._fields]
        self._careful = CarefulReader(plan.request, self._fields, max_rows, max_depth)

    def read(self, body: bytes) -> Decoded:
        """Decode a body.

        Raises:
            Refusal: with the reason, the column and the row.

        """
        if self._always_careful or (
            len(body) > self._shortest and _count(body, b"{") > self._max_rows
        ):
            return self._careful_read(body)
        try:
            rows = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._careful_read(body)
        count = len(rows)
        if not count or count > self._max_rows:
            return self._careful_read(body)
        fields, texts = self._key_values(rows) if self._keys else (NO_FIELDS, 0)
        if fields is None or _count(body, b'"') != count * self._quotes + 2 * texts:
            return self._careful_read(body)  # a key is missing, stands twice, or a text is quoted
        tensors: Columns = {}
        for tensor, get in self._columns:
            column = get(rows)
            if column is None:
                return self._careful_read(body)
            tensors[tensor.key] = column
        return Decoded(count, tensors, fields, plain=self._plain and not texts)

    def _key_values(
        self, rows: Sequence[msgspec.Struct]
    ) -> tuple[dict[str, list[object]] | None, int]:
        """Hash keys by column and how many of them are texts; None where a row lacks one."""
        fields: dict[str, list[object]] = {}
        texts = 0
        for field, get in self._keys:
            values = fields[field] = list(map(get, rows))
            kinds = list(map(type, values))
            if msgspec.UnsetType in kinds:
                return None, 0
            texts += kinds.count(str)
        return fields, texts

    def _careful_read(self, body: bytes) -> Decoded:
        rows, tensors, fields = self._careful.read(body)
        return Decoded(rows, tensors, fields)


def _needs_care(tensors: Sequence[RequestTensor], fields: Sequence[str]) -> bool:
    """Whether bodies hold what the short path cannot tell: texts in quotes, keys of other types."""
    return any(
        tensor.type is TensorType.STRING
        or (
            not set(fields).isdisjoint(tensor.columns)
            and (tensor.type is TensorType.BOOL or not is_scalar(tensor))
        )
        for tensor in tensors
    )


def _count(body: bytes, byte: bytes) -> int:
    """How often a body holds one byte."""
    if len(body) < LARGE:
        return body.count(byte)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == byte[0]))


def _row_struct(
    tensors: Sequence[RequestTensor], fields: Sequence[str]
) -> tuple[dict[str, str], type[msgspec.Struct]]:
    """A struct for one row, and the attribute that holds each column."""
    types: dict[str, Any] = {}
    for tensor in tensors:
        leaf: Any = leaf_type(tensor.type)
        if not is_scalar(tensor):
            for _ in tensor.shape:
                leaf = list[leaf]
        for column in tensor.columns:
            types[column] = key_leaf(tensor.type) if column in fields else leaf
    names = {column: f"c{index}" for index, column in enumerate(types)}
    members: list[Any] = [(names[column], leaf) for column, leaf in types.items()]
    for field in fields:
        if field not in names:
            names[field] = f"k{len(names)}"
            members.append((names[field], KeyValue | msgspec.UnsetType, msgspec.UNSET))
    rename = {attribute: column for column, attribute in names.items()}
    row_type = msgspec.defstruct(
        "Row", members, rename=rename, forbid_unknown_fields=True, gc=False
    )
    return names, row_type


def _getter(
    tensor: RequestTensor, names: Mapping[str, str]
) -> Callable[[Sequence[msgspec.Struct]], Column | None]:
    """Function from rows to a tensor; None where the rows need a closer look."""
    dtype = DTYPES[tensor.type]
    get = attrgetter(*(names[column] for column in tensor.columns))
    if tensor.stacked and len(tensor.columns) > 1:
        whole = tuple(names) == tensor.columns
        return _packed(msgspec.structs.astuple if whole else get, tensor.type, len(tensor.columns))
    if is_scalar(tensor):
        return _scalars(get, dtype, one_wide=tensor.shape != ())
    lengths = tensor.shape
    open_lengths = ANY_LENGTH in lengths

    def nested(rows: Sequence[msgspec.Struct]) -> Column | None:
        try:
            array = np.array([get(row) for row in rows], dtype)
        except ValueError:  # lists of different lengths
            return None
        if array.shape[1:] == lengths or (open_lengths and _agrees(array.shape[1:], lengths)):
            return array
        return None

    return nested


def _packed(
    get: Callable[[Any], tuple[Any, ...]], tensor_type: TensorType, width: int
) -> Callable[[Sequence[msgspec.Struct]], Column]:
    """Stack many columns: packing a row into bytes takes a third of what numpy takes for it."""
    dtype = DTYPES[tensor_type]
    pack = struct.Struct(f"{width}{dtype.char}").pack

    def stacked(rows: Sequence[msgspec.Struct]) -> Column:
        packed = b"".join([pack(*get(row)) for row in rows])
        return np.frombuffer(packed, dtype).reshape(len(rows), width)

    return stacked


def _scalars(
    get: Callable[[Any], Any], dtype: np.dtype[Any], *, one_wide: bool
) -> Callable[[Sequence[msgspec.Struct]], Column]:
    if one_wide:
        return lambda rows: np.array([[get(row)] for row in rows], dtype)
    return lambda rows: np.array([get(row) for row in rows], dtype)


def _agrees(shape: Sequence[int], lengths: Sequence[int]) -> bool:
    return len(shape) == len(lengths) and all(
        want in (ANY_LENGTH, have) for have, want in zip(shape, lengths, strict=True)
    )
