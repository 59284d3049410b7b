"""Mirrored requests on their way to the process that runs challengers, and how they are written.

A record holds the requests that one challenger is to see of one turn, stacked. Tensors whose rows
have one known shape are written as they lie in memory; all others are pickled, request by request:
both ends are this engine's own.
"""

import math
import pickle
import struct
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from tiltyard_api.plan import Plan, PlanShadow, PlanTensor
from tiltyard_engine.call import Mirror
from tiltyard_engine.columns import DTYPES, Array, Column, Columns, size_of
from tiltyard_engine.mirrored import Part
from tiltyard_engine.ring import Piece, Ring, aligned

STACKED_BYTES = 1 << 20
"""Requests are stacked into one record up to this size; beyond it the copy costs more."""

_HEAD = struct.Struct("=IIdxxxxxxxx")
"""Number of the lane, how many requests (0: one, pickled), when they were offered."""


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
    """How the tensors of one lane lie in a record."""

    def __init__(self, plan: Plan, step: PlanShadow, challenger: str) -> None:
        models = {model.name: model for model in plan.models}
        self._inputs = {tensor.name: tensor for tensor in models[challenger].inputs}
        champion = models[step.champion].outputs
        self._outputs = {t.name: t for t in champion if t.name == step.compare_output}
        self._tensors = [*self._inputs.values(), *self._outputs.values()]

    def stacked(self, mirrors: Sequence[Mirror]) -> list[Piece] | None:
        """Each tensor of the requests, stacked; None where one is not what the plan says."""
        pieces = []
        for tensors, side in ((self._inputs, "inputs"), (self._outputs, "outputs")):
            for name, tensor in tensors.items():
                piece = _stacked([getattr(mirror, side)[name] for mirror in mirrors], tensor)
                if piece is None:
                    return None
                pieces.append(piece)
        return pieces

    def part(self, record: memoryview, ends: Sequence[int], offered: float) -> Part:
        """Requests of a record, as views of it."""
        arrays = list(_views(record, ends[-1], self._tensors))
        count = len(self._inputs)
        inputs: Columns = dict(zip(self._inputs, arrays[:count], strict=True))
        outputs: Columns = dict(zip(self._outputs, arrays[count:], strict=True))
        return Part(inputs, outputs, ends, offered)


class Outbox:
    """Writes what challengers are to see."""

    def __init__(self, plans: Sequence[Plan], ring: Ring) -> None:
        self._ring = ring
        self._lanes: Mapping[LaneKey, tuple[int, Layout]] = {
            key: (number, Layout(plan, step, key.challenger))
            for number, (key, plan, step) in enumerate(logged(plans))
        }

    def offer(self, key: LaneKey, mirrors: Sequence[Mirror]) -> int:
        """Write requests of one challenger. Returns how many found room."""
        size = size_of(mirrors[0].inputs) + size_of(mirrors[0].outputs)
        if len(mirrors) > 1 and len(mirrors) * size > STACKED_BYTES:
            return sum(self.offer(key, [mirror]) for mirror in mirrors)
        number, layout = self._lanes[key]
        pieces = layout.stacked(mirrors)
        if pieces is None:
            return sum(self._pickled(number, mirror) for mirror in mirrors)
        head = _HEAD.pack(number, len(mirrors), time.monotonic())
        rows = array("I", [mirror.rows for mirror in mirrors]).tobytes()
        return len(mirrors) if self._ring.put([head, rows, *pieces]) else 0

    def _pickled(self, number: int, mirror: Mirror) -> bool:
        body = pickle.dumps((mirror.inputs, mirror.outputs, mirror.rows), protocol=5)
        return self._ring.put([_HEAD.pack(number, 0, time.monotonic()), body])


class Inbox:
    """Reads what `Outbox` wrote."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._layouts = [Layout(plan, step, key.challenger) for key, plan, step in logged(plans)]

    def read(self, record: memoryview) -> tuple[int, Part]:
        """Lane and requests of a record; the arrays are views of it."""
        number, requests, offered = _HEAD.unpack_from(record)
        body = record[_HEAD.size :]
        if not requests:
            inputs, outputs, rows = pickle.loads(body)  # noqa: S301 - our own worker wrote it
            return number, Part(inputs, outputs, (0, rows), offered)
        rows = struct.unpack_from(f"={requests}I", body)
        ends = (0, *accumulate(rows))
        body = body[aligned(4 * requests) :]
        return number, self._layouts[number].part(body, ends, offered)


def _stacked(columns: Sequence[Column], tensor: PlanTensor) -> Piece | None:
    """Rows one behind the other; None where they differ, or are not what the plan says."""
    try:
        stacked = np.concatenate(columns) if len(columns) > 1 else columns[0]
    except ValueError:
        return None
    if isinstance(stacked, list) or list in map(type, columns):
        return None
    if stacked.dtype != DTYPES[tensor.type] or stacked.shape[1:] != tensor.shape:
        return None
    if stacked.dtype.hasobject:
        return None
    return np.ascontiguousarray(stacked).reshape(-1).view(np.uint8).data


def _views(record: memoryview, rows: int, tensors: Sequence[PlanTensor]) -> Iterator[Array]:
    position = 0
    for tensor in tensors:
        count = rows * math.prod(tensor.shape)
        values = np.frombuffer(record, DTYPES[tensor.type], count, position)
        position += aligned(values.nbytes)
        yield values.reshape(rows, *tensor.shape)
