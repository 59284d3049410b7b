"""Reads records slowly and exactly, to say which row and column is wrong and what to do.

Also the path of what is legitimate and rare: nulls, whole floats for integers, columns that no
step uses, rows of different length. Memory stays bounded: depth and number of rows are counted on
the bytes before anything is parsed, and values that no step uses are never parsed at all.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from tiltyard_api.plan import RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.values import missing_column, read_keys, read_tensor, shown
from tiltyard_engine.columns import Columns
from tiltyard_engine.errors import Refusal

_AT_BYTE = re.compile(r"\(byte (\d+)\)")
_NOT_JSON = (b"NaN", b"Infinity", b"-Infinity")
_NO_MARKS = bytes(set(range(256)) - set(b'[]{}:"'))
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1
"""What each byte adds to the depth."""

CHUNK = 1 << 16
"""Bytes that are surveyed at once, so that a large body takes no multiple of its size."""

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
        tensors = {t.key: read_tensor(t, [columns[c] for c in t.columns]) for t in self._tensors}
        fields = {f: read_keys(f, _values(rows, f)) for f in self._fields if f in rows[0]}
        return len(rows), tensors, fields

    def _survey(self, body: bytes) -> int:
        """Check depth and number of rows on the bytes. Returns how many keys the rows have."""
        if b"\\" in body:
            body = body.replace(b"\\\\", b"").replace(
                b'\\"', b""
            )  # what is left begins or ends a text
        marks = body.translate(None, _NO_MARKS)
        quotes = depth = deepest = rows = keys = 0
        for start in range(0, len(marks), CHUNK):
            chunk = np.frombuffer(marks[start : start + CHUNK], np.uint8)
            quoted = (quotes + np.cumsum(chunk == ord('"'))) % 2
            depths = depth + np.cumsum(np.where(quoted, 0, _STEP[chunk]))
            second = (depths == 2) & (quoted == 0)
            deepest = max(deepest, int(depths.max()))
            rows += int(np.count_nonzero(second & (chunk == ord("{"))))
            keys += int(np.count_nonzero(second & (chunk == ord(":"))))
            depth, quotes = int(depths[-1]), int(quoted[-1])
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
                raise missing_column(column, list(rows[0]))
        first = rows[0].keys()
        for index, row in enumerate(rows):
            if row.keys() != first:
                column = min(row.keys() ^ first)
                what = "lacks" if column in first else "alone has"
                raise Refusal(
                    Reason.RAGGED_ROWS,
                    f"row {index} {what} column {shown(column)!r}: give every row the same columns",
                    field=shown(column),
                    row=index,
                )


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
        at = _AT_BYTE.search(str(error))
        if at and body.startswith(_NOT_JSON, int(at[1])):
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
                    f"column {shown(column)!r} stands {count} times in row {row}: keep one",
                    field=shown(column),
                    row=row,
                )


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
