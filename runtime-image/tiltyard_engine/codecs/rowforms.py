"""Rows in the forms that SageMaker's users send: records, `instances`, `columns` with `data`.

All become records, so that a value meets one rule and a fault is told in the same words. Numbers
are never parsed on the way: their digits are handed on as they are. Columns that no step uses are
left behind: a body whose longest name stood in every record could fill any memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import msgspec
import orjson

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.answers import column_texts
from tiltyard_engine.codecs.records import Decoded, RecordsReader
from tiltyard_engine.codecs.values import missing_column
from tiltyard_engine.columns import Column
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

FORMS = 'send [{…}], {"instances": […]} or {"columns": […], "data": [[…]]}'
_WHITE = b" \t\r\n"


class Framed(msgspec.Struct, gc=False):
    """A body that is not a plain list of records."""

    instances: msgspec.Raw = msgspec.Raw(b"null")
    columns: list[str] | None = None
    data: list[msgspec.Raw] | None = None


class RowsReader:
    """Decodes rows for one plan, whichever form they come in."""

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self._records = RecordsReader(plan, sizes.rows, sizes.depth)
        self._request = plan.request
        self._needed = [column for tensor in plan.request for column in tensor.columns]
        self._used = {*self._needed, *plan.key_fields}
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
            records = self._as_records(self._decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            message = f"the body cannot be read ({error}): {FORMS}"
            raise Refusal(Reason.MALFORMED_BODY, message) from error
        return self._records.read(records)

    def _as_records(self, framed: Framed) -> bytes:
        instances = bytes(framed.instances)
        if instances != b"null":
            return self._instances(instances)
        if framed.columns is None or framed.data is None:
            raise Refusal(Reason.MALFORMED_BODY, f"the body has no rows: {FORMS}")
        if len(set(framed.columns)) != len(framed.columns):
            message = "a name stands twice among the columns: name each once"
            raise Refusal(Reason.MALFORMED_BODY, message, field="columns")
        for column in self._needed:
            if column not in framed.columns:
                raise missing_column(column, framed.columns)
        self._check_count(len(framed.data))
        return self._joined(framed.columns, map(_cells, framed.data))

    def _instances(self, instances: bytes) -> bytes:
        """Instances that are records, or plain values of the only input."""
        if instances[1:].lstrip(_WHITE).startswith((b"{", b"]")):
            return instances
        each = msgspec.json.decode(instances, type=list[msgspec.Raw])
        if len(self._request) != 1:
            names = ", ".join(self._needed)
            message = f"instances without names need a single input (here: {names}): send objects"
            raise Refusal(Reason.MISSING_COLUMN, message, field="instances", row=0)
        self._check_count(len(each))
        tensor = self._request[0]
        if not tensor.stacked:
            return self._joined(tensor.columns, ([one] for one in each))
        try:
            return self._joined(tensor.columns, map(_cells, each))
        except msgspec.DecodeError as error:
            message = f"an instance is not a list of {len(tensor.columns)} values: {error}"
            raise Refusal(Reason.SHAPE_MISMATCH, message, field="instances") from error

    def _joined(self, columns: Sequence[str], rows: Iterable[Sequence[msgspec.Raw]]) -> bytes:
        """Records of columns and rows of JSON texts."""
        used = [(at, orjson.dumps(c) + b":") for at, c in enumerate(columns) if c in self._used]
        records = []
        for index, row in enumerate(rows):
            if len(row) != len(columns):
                message = f"row {index} has {len(row)} values for {len(columns)} columns"
                raise Refusal(Reason.RAGGED_ROWS, f"{message}: send as many", row=index)
            pairs = [name + bytes(row[at]) for at, name in used]
            records.append(b"{" + b",".join(pairs) + b"}")
        return b"[" + b",".join(records) + b"]"

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


def _cells(row: msgspec.Raw) -> list[msgspec.Raw]:
    """JSON texts of the values of a row."""
    return msgspec.json.decode(row, type=list[msgspec.Raw])
