"""Mirrored requests on their way to the process that runs challengers, and how they are written.

A record holds the requests that one challenger is to see of one turn, stacked. Tensors whose rows
have one known shape are written as they lie in memory; all others are pickled, request by request:
both ends are this engine's own.
"""

import pickle
import struct
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from tiltyard_api.plan import Plan, PlanShadow
from tiltyard_engine.call import Call
from tiltyard_engine.columns import Column, Columns, bytes_of
from tiltyard_engine.mirrored import Part
from tiltyard_engine.ring import Piece, Ring, aligned
from tiltyard_engine.stacking import stacked, views

STACKED_BYTES = 1 << 20
"""Requests are stacked into one record up to this size; beyond it the copy costs more."""

_HEAD = struct.Struct("=IIdIxxxx")
"""Number of the lane, how many requests (0: one, pickled), when they were offered, and how many
bytes the ids of those that are recorded take behind the rows."""


class LaneKey(NamedTuple):
    """Which challenger of which Pipeline."""

    pipeline: str
    step: str
    challenger: str


def logged(plans: Sequence[Plan]) -> Iterator[tuple[LaneKey, Plan, PlanShadow]]:
    """Every challenger whose answers nobody waits for, in the order that both ends number them."""
    for plan in plans:
        for step in plan.steps:
            if isinstance(step, PlanShadow) and not step.respond:
                for challenger in step.challengers:
                    yield LaneKey(plan.pipeline, step.name, challenger), plan, step


class Layout:
    """How the tensors of one lane lie in a record, and where calls have them."""

    def __init__(self, plan: Plan, step: PlanShadow, challenger: str) -> None:
        models = {model.name: model for model in plan.models}
        sources = {source.input: source for source in step.inputs}
        self._inputs = models[challenger].inputs
        champion = models[step.champion].outputs
        self._outputs = tuple(t for t in champion if t.name == step.compare_output)
        self._tensors = (*self._inputs, *self._outputs)
        self._places = [
            *((sources[tensor.name].step, sources[tensor.name].key) for tensor in self._inputs),
            *((step.name, tensor.name) for tensor in self._outputs),
        ]

    def columns(self, calls: Sequence[Call]) -> list[list[Column]]:
        """Each tensor, as the calls have it."""
        return [
            [call.tensors[key] for call in calls]
            if step is None
            else [call.outputs[step][key] for call in calls]
            for step, key in self._places
        ]

    def stacked(self, columns: Sequence[Sequence[Column]]) -> list[Piece] | None:
        """Each tensor of the calls, stacked; None where one is not what the plan says."""
        pieces = []
        for column, tensor in zip(columns, self._tensors, strict=True):
            piece = stacked(column, tensor)
            if piece is None:
                return None
            pieces.append(piece)
        return pieces

    def named(self, columns: Sequence[Column]) -> tuple[Columns, Columns]:
        """Inputs and outputs by name."""
        names = [tensor.name for tensor in self._tensors]
        count = len(self._inputs)
        return (
            dict(zip(names[:count], columns[:count], strict=True)),
            dict(zip(names[count:], columns[count:], strict=True)),
        )

    def part(self, record: memoryview, ends: Sequence[int], offered: float) -> Part:
        """Requests of a record, as views of it."""
        inputs, outputs = self.named(list(views(record, ends[-1], self._tensors)))
        return Part(inputs, outputs, ends, offered)


class Outbox:
    """Writes what challengers are to see."""

    def __init__(self, plans: Sequence[Plan], ring: Ring) -> None:
        self._ring = ring
        self._lanes: Mapping[LaneKey, tuple[int, Layout]] = {
            key: (number, Layout(plan, step, key.challenger))
            for number, (key, plan, step) in enumerate(logged(plans))
        }

    def offer(self, key: LaneKey, calls: Sequence[Call]) -> int:
        """Write requests for one challenger. Returns how many found room."""
        number, layout = self._lanes[key]
        columns = layout.columns(calls)
        if len(calls) > 1 and len(calls) * sum(bytes_of(c[0]) for c in columns) > STACKED_BYTES:
            return sum(self.offer(key, [call]) for call in calls)
        pieces = layout.stacked(columns)
        if pieces is None:
            singly = zip(calls, zip(*columns, strict=True), strict=True)
            return sum(self._pickled(number, layout.named(own), call) for call, own in singly)
        ids = _ids(calls)
        head = _HEAD.pack(number, len(calls), time.monotonic(), len(ids))
        rows = array("I", [call.rows for call in calls]).tobytes()
        beside = [rows, ids] if ids else [rows]
        return len(calls) if self._ring.put([head, *beside, *pieces]) else 0

    def _pickled(self, number: int, tensors: tuple[Columns, Columns], call: Call) -> bool:
        body = pickle.dumps((*tensors, call.rows, _ids([call])), protocol=5)
        return self._ring.put([_HEAD.pack(number, 0, time.monotonic(), 0), body])


class Inbox:
    """Reads what `Outbox` wrote."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._layouts = [Layout(plan, step, key.challenger) for key, plan, step in logged(plans)]

    def read(self, record: memoryview) -> tuple[int, Part]:
        """Lane and requests of a record; the arrays are views of it."""
        number, requests, offered, length = _HEAD.unpack_from(record)
        body = record[_HEAD.size :]
        if not requests:
            inputs, outputs, rows, ids = pickle.loads(body)  # noqa: S301 - our own worker wrote it
            return number, Part(inputs, outputs, (0, rows), offered, ids=_texts(ids))
        rows = struct.unpack_from(f"={requests}I", body)
        ends = (0, *accumulate(rows))
        body = body[aligned(4 * requests) :]
        ids = _texts(bytes(body[:length]))
        part = self._layouts[number].part(body[aligned(length) :], ends, offered)
        return number, replace(part, ids=ids)


def _ids(calls: Sequence[Call]) -> bytes:
    """Ids of requests that are recorded, and nothing for each other; empty where none is."""
    if not any(call.recorded for call in calls):
        return b""
    return "\n".join(call.inference_id if call.recorded else "" for call in calls).encode()


def _texts(ids: bytes) -> Sequence[str]:
    return ids.decode().split("\n") if ids else ()
