"""Rows in the forms that SageMaker's users send: records, `instances`, `columns` with `data`.

All become records, so that a value meets one rule and a fault is told in the same words. Numbers
are never parsed on the way: their digits are handed on as they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import msgspec
import orjson

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.answers import column_texts
from tiltyard_engine.codecs.records import Decoded, RecordsReader
from tiltyard_engine.columns import Column
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

FORMS = 'send [{…}], {"instances": […]} or {"columns": […], "data": [[…]]}'
_WHITE = b" \t\r\n"


class Framed(msgspec.Struct, gc=False):
    """A body that is not a plain list of records."""

    instances: list[msgspec.Raw] | None = None
    columns: list[str] | None = None
    data: list[list[msgspec.Raw]] | None = None


class RowsReader:
    """Decodes rows for one plan, whichever form they come in."""

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self._records = RecordsReader(plan, sizes.rows, sizes.depth)
        self._request = plan.request
        self._max_rows = sizes.rows
        self._decoder = msgspec.json.Decoder(Framed)

    def read(self, body: bytes) -> Decoded:
        """Decode a body.

        Raises:
            Refusal: with the reason, the column and the row.

        """
        if not body.lstrip(_WHITE).startswith(b"{"):
            return self._records.read(body)
        try:
            framed = self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"the body cannot be read ({error}): {FORMS}"
            raise Refusal(Reason.MALFORMED_BODY, message) from error
        return self._records.read(self._as_records(framed))

    def _as_records(self, framed: Framed) -> bytes:
        if framed.instances is not None:
            self._check_count(len(framed.instances))
            return self._instances([bytes(one) for one in framed.instances])
        if framed.columns is None or framed.data is None:
            raise Refusal(Reason.MALFORMED_BODY, f"the body has no rows: {FORMS}")
        if len(set(framed.columns)) != len(framed.columns):
            message = "a name stands twice among the columns: name each once"
            raise Refusal(Reason.MALFORMED_BODY, message, field="columns")
        self._check_count(len(framed.data))
        return _joined(framed.columns, framed.data)

    def _instances(self, instances: list[bytes]) -> bytes:
        """Instances that are records, or plain values of the only input."""
        if not instances or instances[0].startswith(b"{"):
            return b"[" + b",".join(instances) + b"]"
        if len(self._request) != 1:
            names = ", ".join(column for tensor in self._request for column in tensor.columns)
            message = f"instances without names need a single input (here: {names}): send objects"
            raise Refusal(Reason.MISSING_COLUMN, message, field="instances", row=0)
        tensor = self._request[0]
        if not tensor.stacked:
            return _joined(tensor.columns, [[one] for one in instances])
        try:
            rows = [msgspec.json.decode(one, type=list[msgspec.Raw]) for one in instances]
        except msgspec.DecodeError as error:
            message = f"an instance is not a list of {len(tensor.columns)} values: {error}"
            raise Refusal(Reason.SHAPE_MISMATCH, message, field="instances") from error
        return _joined(tensor.columns, rows)

    def _check_count(self, rows: int) -> None:
        if rows > self._max_rows:
            raise Refusal(
                Reason.TOO_MANY_ROWS,
                f"{rows} rows, at most {self._max_rows} are taken: split the batch or raise"
                " --max-rows",
            )


def write_predictions(columns: Mapping[str, Column | int], rows: int) -> bytes:
    """`{"predictions": [{OUTPUT: value, …}, …]}`; null for what is not there."""
    parts: list[Iterable[bytes]] = []
    for name, column in columns.items():
        comma = b"," if parts else b"{"
        parts.append(repeat(comma + orjson.dumps(name) + b":", rows))
        parts.append(repeat(b"null", rows) if isinstance(column, int) else column_texts(column))
    objects = b"},".join(map(b"".join, zip(*parts, strict=True)))
    return b'{"predictions":[' + objects + b"}]}"


def _joined(columns: Sequence[str], rows: Sequence[Sequence[bytes | msgspec.Raw]]) -> bytes:
    """Records of columns and rows of JSON texts."""
    names = [orjson.dumps(column) + b":" for column in columns]
    records = []
    for index, row in enumerate(rows):
        if len(row) != len(names):
            message = f"row {index} has {len(row)} values for {len(names)} columns: send as many"
            raise Refusal(Reason.RAGGED_ROWS, message, row=index)
        pairs = [name + bytes(value) for name, value in zip(names, row, strict=True)]
        records.append(b"{" + b",".join(pairs) + b"}")
    return b"[" + b",".join(records) + b"]"
