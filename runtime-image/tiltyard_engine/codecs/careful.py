"""Reads records slowly and exactly, to say which row and column is wrong and what to do.

Also the path of what is legitimate and rare: nulls, whole floats for integers, columns that no
step uses, rows of different length. Memory stays bounded: depth and number of rows are counted on
the bytes before anything is parsed, and values that no step uses are never parsed at all.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from tiltyard_api.plan import RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH, TensorType
from tiltyard_engine.columns import DTYPES, Array, Columns, bounds, stack
from tiltyard_engine.errors import Refusal

_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A text, closed or not. Possessive throughout: one pass and no memory, whatever is sent."""

_NO_MARKS = bytes(set(range(256)) - set(b"[]{}:"))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1
"""What each byte adds to the depth."""

CHUNK = 1 << 16
"""Bytes that are surveyed at once, so that a large body takes no multiple of its size."""

SHOWN = 64
"""Characters of a column's name that messages show: as long as the longest in a plan."""

_NOT_JSON = re.compile(rb"NaN|Infinity")

RawRow = dict[str, msgspec.Raw]


class CarefulReader:
    """Decodes the records of one plan, row by row and column by column."""

    def __init__(
        self, tensors: Sequence[RequestTensor], fields: Sequence[str], max_rows: int, max_depth: int
    ) -> None:
        self._tensors = tensors
        self._fields = fields
        self._max_rows = max_rows
        # What the models take is never too deep: list, record, the dimensions of a row.
        self._max_depth = max(max_depth, *(2 + len(tensor.shape) for tensor in tensors))
        self._needed = list(dict.fromkeys(c for tensor in tensors for c in tensor.columns))

    def read(self, body: bytes) -> tuple[int, Columns, dict[str, list[object]]]:
        """Decode a body into (rows, tensors, hash keys).

        Raises:
            Refusal: what is wrong with it.

        """
        keys = self._survey(body)
        rows = _parse(body)
        if not rows:
            raise Refusal(Reason.EMPTY_BATCH, "the list of records is empty: send at least one row")
        if keys != sum(map(len, rows)):
            _find_repeated(body)
        self._check_keys(rows)
        columns = {column: _values(rows, column) for column in self._needed}
        tensors = {tensor.key: self._tensor(tensor, columns) for tensor in self._tensors}
        fields = {f: _keys(rows, f) for f in self._fields if f in rows[0]}
        return len(rows), tensors, fields

    def _survey(self, body: bytes) -> int:
        """Check depth and number of rows on the bytes. Returns how many keys the rows have."""
        marks = _TEXT.sub(b"", body).translate(None, _NO_MARKS)
        depth = deepest = rows = keys = 0
        for start in range(0, len(marks), CHUNK):
            chunk = np.frombuffer(marks[start : start + CHUNK], np.uint8)
            depths = depth + np.cumsum(_STEP[chunk], dtype=np.int64)
            deepest = max(deepest, int(depths.max()))
            rows += int(np.count_nonzero((chunk == ord("{")) & (depths == 2)))
            keys += int(np.count_nonzero((chunk == ord(":")) & (depths == 2)))
            depth = int(depths[-1])
        if deepest > self._max_depth:
            raise Refusal(
                Reason.BODY_TOO_DEEP,
                f"the body is nested {deepest} deep, at most {self._max_depth} are taken:"
                " flatten it or raise --max-depth",
            )
        if rows > self._max_rows:
            raise Refusal(
                Reason.TOO_MANY_ROWS,
                f"{rows} rows, at most {self._max_rows} are taken: split the batch or raise"
                " --max-rows",
            )
        return keys

    def _check_keys(self, rows: Sequence[RawRow]) -> None:
        for column in self._needed:
            if column not in rows[0]:
                there = ", ".join(map(_shown, sorted(rows[0])[:20])) or "none"
                raise Refusal(
                    Reason.MISSING_COLUMN,
                    f"column {column!r} is missing (there: {there}): add it to every row",
                    field=column,
                    row=0,
                )
        first = rows[0].keys()
        for index, row in enumerate(rows):
            if row.keys() != first:
                column = min(row.keys() ^ first)
                what = "lacks" if column in first else "alone has"
                raise Refusal(
                    Reason.RAGGED_ROWS,
                    f"row {index} {what} column {_shown(column)!r}:"
                    " give every row the same columns",
                    field=_shown(column),
                    row=index,
                )

    def _tensor(
        self, tensor: RequestTensor, columns: dict[str, list[object]]
    ) -> "Array | list[Array]":
        rows = len(columns[tensor.columns[0]])
        if tensor.stacked:
            values = [
                [_leaf(columns[c][row], tensor.type, c, row) for c in tensor.columns]
                for row in range(rows)
            ]
            return np.array(values, DTYPES[tensor.type])
        column = tensor.columns[0]
        return stack([_row(columns[column][row], tensor, column, row) for row in range(rows)])


def _parse(body: bytes) -> list[RawRow]:
    try:
        body.decode()
        return msgspec.json.decode(body, type=list[RawRow])
    except UnicodeDecodeError as error:
        raise Refusal(
            Reason.MALFORMED_BODY, f"the body is not UTF-8 at byte {error.start}: encode it so"
        ) from error
    except msgspec.ValidationError as error:
        raise Refusal(
            Reason.MALFORMED_BODY,
            f"the body must be a list of records such as [{{...}}]: {_where(error)}",
        ) from error
    except (msgspec.DecodeError, RecursionError) as error:
        if _NOT_JSON.search(_TEXT.sub(b"", body)):
            message = "NaN and Infinity are not JSON: write null for a missing number"
        elif not body.strip():
            message = "the body is empty: send a list of records"
        else:
            message = f"the body is not JSON: {error}"
        raise Refusal(Reason.MALFORMED_BODY, message) from error


def _where(error: msgspec.ValidationError) -> str:
    return str(error)[:200]


def _find_repeated(body: bytes) -> None:
    """Refuse rows in which a column stands twice: which of the two is meant nobody knows."""
    keys: list[str] = []

    def note(pairs: list[tuple[str, object]]) -> None:
        keys[:] = [key for key, _ in pairs]  # the row itself comes last, after what it holds

    for row, text in enumerate(msgspec.json.decode(body, type=list[msgspec.Raw])):
        json.loads(bytes(text), object_pairs_hook=note, parse_int=str, parse_float=str)
        for column, count in Counter(keys).most_common(1):
            if count > 1:
                raise Refusal(
                    Reason.MALFORMED_BODY,
                    f"column {_shown(column)!r} stands {count} times in row {row}: keep one",
                    field=_shown(column),
                    row=row,
                )


def _shown(column: str) -> str:
    return column if len(column) <= SHOWN else f"{column[:SHOWN]}…"


def _values(rows: Sequence[RawRow], column: str) -> list[object]:
    return [_value(row[column], column, index) for index, row in enumerate(rows)]


def _value(raw: msgspec.Raw, column: str, row: int) -> object:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = bytes(raw)[:20].decode(errors="replace")
        if "out of range" in str(error):
            raise Refusal(
                Reason.OUT_OF_RANGE,
                f"{text}… is too large a number: send one that fits",
                field=column,
                row=row,
            ) from error
        raise Refusal(
            Reason.MALFORMED_BODY, f"{text!r} is not JSON: {error}", field=column, row=row
        ) from error


def _keys(rows: Sequence[RawRow], field: str) -> list[object]:
    values = _values(rows, field)
    for row, value in enumerate(values):
        if isinstance(value, bool | list | dict):
            raise Refusal(
                Reason.WRONG_TYPE,
                f"hash key {field!r} is {_kind(value)}: send a text or a number",
                field=field,
                row=row,
            )
    return values


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
        if value != int(value):
            message = f"column {column!r} is {value!r}, a {wanted} is due: round it"
            raise Refusal(Reason.WRONG_TYPE, message, field=column, row=row)
        value = int(value)
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
    names = {bool: "a boolean", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "null" if value is None else "a number")
