"""What is recorded of calls, as bytes of the ring: written by workers, read by the recorder.

Most calls go stacked: their tensors as they lie in memory, row behind row, and the little there is
beside them as lists. What has no one shape, was divided or failed is pickled: both ends are this
engine's own.
"""

import pickle
import struct
from collections.abc import Sequence

import msgspec

from tiltyard_api.plan import Plan, PlanRecords
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import Columns
from tiltyard_engine.ring import Piece, aligned
from tiltyard_engine.stacking import Shaped, stacked, views
from tiltyard_engine.validations.verdicts import ERROR

HEAD = struct.Struct("=IIII")
"""Number of the stream, rows, length of what stands beside the tensors, and whether it is all."""


class Facts(msgspec.Struct, array_like=True):
    """What is recorded of calls beside their tensors: an entry a call in each list."""

    times: list[int] = []
    """Microseconds since 1970."""

    ids: list[str] = []
    rows: list[int] = []
    elapsed: list[list[int]] = []
    variants: list[list[str]] = []
    """Of each routing step, in their order."""

    keys: list[list[list[object]]] = []
    """Of each column that holds hash keys: one a row."""

    anomalies: list[list[bytes]] = []
    """Of each validation: one a row."""


class Parcel(msgspec.Struct):
    """Recorded calls, together."""

    facts: Facts
    inputs: Columns
    """The request's tensors, by their key in the plan."""

    outputs: Columns | None
    """Of the last step; None: it failed."""

    beside: dict[str, Columns | None] = {}
    """Of challengers that answer."""

    parts: list[tuple[list[str], list[int]]] = []
    """Of each routing step of a divided call: variants, and the part of each row."""

    error: str | None = None
    row_ids: list[str] | None = None
    """Where rows have ids that do not follow from the call's."""

    @property
    def rows(self) -> int:
        """Rows of all calls."""
        return sum(self.facts.rows)


class Parcels:
    """The form of one Pipeline's calls."""

    def __init__(self, plan: Plan, records: PlanRecords) -> None:
        request = plan.request if records.inputs else ()
        outputs = plan.steps[-1].outputs
        self._inputs = [tensor.key for tensor in request]
        self._outputs = [tensor.name for tensor in outputs]
        self._last = plan.steps[-1].name
        self._tensors: list[Shaped] = [*request, *outputs]
        self._keys = plan.key_fields if records.inputs else ()
        self._validations = len(plan.validations or ())

    def plain(self, call: Call) -> bool:
        """Whether a call may be stacked with others."""
        return not (call.refusal or call.beside or (call.rows > 1 and call.rows_apart))

    def stacked(self, stream: int, calls: Sequence[Call], times: list[int]) -> list[Piece] | None:
        """Several calls; None where one has tensors of another form."""
        last, pieces = self._last, []
        columns = [[call.tensors[name] for call in calls] for name in self._inputs]
        columns += [[call.outputs[last][name] for call in calls] for name in self._outputs]
        for column, tensor in zip(columns, self._tensors, strict=True):
            piece = stacked(column, tensor)
            if piece is None:
                return None
            pieces.append(piece)
        rows = [call.rows for call in calls]
        served = [[one.variants[0] for one in call.served.values()] for call in calls]
        facts = msgspec.msgpack.encode(
            (
                times,
                [call.inference_id for call in calls],
                rows,
                [(call.parsed, *call.elapsed) for call in calls],
                served,
                [self._key_values(call) for call in calls] if self._keys else (),
                [self._verdicts(call) for call in calls] if self._validations else (),
            )
        )
        return [HEAD.pack(stream, sum(rows), len(facts), 0), facts, *pieces]

    def pickled(self, stream: int, calls: Sequence[Call], times: list[int]) -> list[Piece]:
        """Calls of any form."""
        parcels = [self._parcel(call, time) for call, time in zip(calls, times, strict=True)]
        body = pickle.dumps(parcels, protocol=5)
        return [HEAD.pack(stream, sum(one.rows for one in calls), len(body), 1), body]

    def read(self, record: memoryview) -> list[Parcel]:
        """Read what was written; arrays may be views of it."""
        _, rows, length, whole = HEAD.unpack_from(record)
        body = record[HEAD.size : HEAD.size + length]
        if whole:
            parcels: list[Parcel] = pickle.loads(body)  # noqa: S301 - our own worker wrote it
            return parcels
        facts = msgspec.msgpack.decode(body, type=Facts)
        found = list(views(record[HEAD.size + aligned(length) :], rows, self._tensors))
        count = len(self._inputs)
        inputs: Columns = dict(zip(self._inputs, found[:count], strict=True))
        return [Parcel(facts, inputs, dict(zip(self._outputs, found[count:], strict=True)))]

    def _parcel(self, call: Call, time: int) -> Parcel:
        served = list(call.served.values())
        facts = Facts(
            [time],
            [call.inference_id],
            [call.rows],
            [[call.parsed, *call.elapsed]],
            [[one.variants[0] for one in served]],
            [self._key_values(call)] if self._keys else [],
            [self._verdicts(call)] if self._validations else [],
        )
        return Parcel(
            facts,
            {name: call.tensors[name] for name in self._inputs},
            None if call.refusal else call.outputs[self._last],
            {name: found for models in call.beside.values() for name, found in models.items()},
            [_parts(one, call.rows) for one in served] if call.divided else [],
            str(call.refusal.reason) if call.refusal else None,
            None if call.row_ids is None else list(call.row_ids),
        )

    def _verdicts(self, call: Call) -> list[bytes]:
        unjudged = [bytes((ERROR,)) * call.rows] * self._validations
        return list(call.anomalies.values()) or unjudged

    def _key_values(self, call: Call) -> list[list[object]]:
        absent: list[object] = [None] * call.rows
        return [call.fields.get(key, absent) for key in self._keys]


def _parts(served: Served, rows: int) -> tuple[list[str], list[int]]:
    """Variants and the part of each row, also where all rows went to one."""
    return served.variants, served.part_of if served.rows is not None else [0] * rows
