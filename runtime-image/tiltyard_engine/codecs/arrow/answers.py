"""Writes answers as tables: the groups of records as structs, or flat with dotted names."""

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import accumulate

import msgspec
import numpy as np
import pyarrow as pa

from tiltyard_api.plan import Plan, RequestTensor
from tiltyard_api.tensors import TensorSpec
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.anomalies import COUNT
from tiltyard_engine.codecs.arrow.kinds import (
    LEAF_TYPES,
    TENSOR_TYPE,
    ArrowArray,
    ArrowBatch,
    ArrowField,
    ArrowType,
)
from tiltyard_engine.codecs.arrow.tensors import ArrowSent
from tiltyard_engine.codecs.base import Sent, Values, listed
from tiltyard_engine.codecs.labels import Labeller, Labels
from tiltyard_engine.codecs.selection import SEPARATOR, Selection
from tiltyard_engine.columns import Column, Columns
from tiltyard_engine.validations.verdicts import ANOMALY, UNJUDGED, counts

Columned = tuple[ArrowField, ArrowArray]
"""A column of the answer; one without a name is its group's own value."""

Group = tuple[str, Callable[[], list[Columned]]]

KEPT_BYTES = 1 << 18
"""Longest column of one text that is kept for the next answer."""

_TIME = pa.field("", pa.int64(), nullable=False)

UNFIT = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What pyarrow raises at values that make no column of a type."""


class AnswerTables:
    """Makes the answers of one plan."""

    def __init__(self, plan: Plan, partition: str) -> None:
        self._partition = partition
        self._version = plan.version
        self._last = plan.steps[-1].name
        self._known = {column: t for t in plan.request for column in t.columns}
        self._specs = {tensor.name: tensor for tensor in plan.steps[-1].outputs}
        self._models = {model.name: model for model in plan.models}
        self._labeller = Labeller(plan)

    def repeat(self, field: ArrowField) -> ArrowField:
        """Give a field of a request the form in which answers repeat it."""
        tensor = self._known.get(field.name)
        told = field.metadata or {}
        if tensor is None or TENSOR_TYPE in told:
            return field
        return field.with_metadata(told | _told(_row_shape(tensor)))

    def make(self, call: Call, sent: Sent, now: int, chosen: Selection) -> ArrowBatch:
        """Make the table of a finished call."""
        arrays: list[ArrowArray] = []
        fields: list[ArrowField] = []
        for name, columns_of in self._groups(call, sent, now):
            if name == "in" and isinstance(sent, ArrowSent) and _nested_whole("in", chosen):
                arrays.append(sent.table.batch.to_struct_array())  # at once, however many columns
                fields.append(pa.field(name, arrays[-1].type))
                continue
            kept = _kept(name, columns_of, chosen)
            if kept and (chosen.flat or not kept[0][0].name):
                fields += [field.with_name(_dotted(name, field.name)) for field, _ in kept]
                arrays += [array for _, array in kept]
            elif kept:
                inner = [field for field, _ in kept]
                arrays.append(pa.StructArray.from_arrays([a for _, a in kept], fields=inner))
                fields.append(pa.field(name, arrays[-1].type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def _groups(self, call: Call, sent: Sent, now: int) -> Iterator[Group]:
        """Every part of an answer, made only where it is asked for."""
        yield "time", lambda: [_time(now, call.rows)]
        yield "in", lambda: self._inputs(sent)
        yield "out", lambda: self._outputs(call)
        for models in call.beside.values():
            for model, columns in models.items():
                yield f"out_{model}", partial(self._beside, call, model, columns)
        yield "anomaly", lambda: self._anomalies(call)
        yield "metadata", lambda: self._metadata(call)

    def _inputs(self, sent: Sent) -> list[Columned]:
        if isinstance(sent, ArrowSent):
            return list(zip(sent.table.layout.schema, sent.table.batch.columns, strict=True))
        return [self._input(name, values) for name, values in sent.columns().items()]

    def _input(self, name: str, values: Values) -> Columned:
        """A column of another format: of the input's type, where it is one and fits it."""
        tensor = self._known.get(name)
        if tensor is None:
            return _column(name, _guessed(values), None)
        type_: ArrowType = LEAF_TYPES[tensor.type]
        if isinstance(values[0], list | np.ndarray):
            type_ = nest(type_, len(tensor.shape))
        try:
            array = pa.array(listed(values), type_)
        except UNFIT:
            array = _guessed(values)
        return _column(name, array, _row_shape(tensor))

    def _outputs(self, call: Call) -> list[Columned]:
        outputs = call.outputs[self._last].items()
        columns = [output_column(self._specs[name], column) for name, column in outputs]
        if self._labeller.of(call, 0).split is None:
            return columns
        splits = self._texts(call, lambda labels: labels.split or "")
        lists = pa.ListArray.from_arrays(_offsets(1, call.rows), splits)
        return [_column("_model_split", lists, None), *columns]

    def _beside(self, call: Call, model: str, columns: Columns | None) -> list[Columned]:
        """A challenger's columns: always there, null where it gave nothing in time."""
        specs = {tensor.name: tensor for tensor in self._models[model].outputs}
        if columns is not None:
            return [output_column(specs[name], column) for name, column in columns.items()]
        return [
            _column(t.name, pa.nulls(call.rows, nest(LEAF_TYPES[t.type], len(t.shape))), t.shape)
            for t in specs.values()
        ]

    def _anomalies(self, call: Call) -> list[Columned]:
        """What validations found; null where one could not judge."""
        if not call.anomalies:
            return [_column(COUNT, _same(0, pa.uint32(), call.rows), ())]
        columns = [_column(COUNT, pa.array(counts(call.anomalies, call.rows), pa.uint32()), ())]
        for name, verdicts in call.anomalies.items():
            said = np.frombuffer(verdicts, np.uint8)
            unjudged = np.isin(said, UNJUDGED)
            array = pa.array(said == ANOMALY, pa.bool_(), mask=unjudged)
            columns.append(_column(name, array, ()))
        return columns

    def _metadata(self, call: Call) -> list[Columned]:
        rows = call.rows
        elapsed = (call.parsed, *call.elapsed)
        spent = _repeated(struct.pack(f"<{len(elapsed)}Q", *elapsed), pa.uint64(), rows)
        ids = pa.array([call.row_id(row) for row in range(rows)]) if call.rows_apart else None
        columns: dict[str, ArrowArray] = {
            "last_model": self._texts(call, lambda labels: labels.last_model),
            "pipeline_version": _text(self._version, rows),
            "elapsed": pa.ListArray.from_arrays(_offsets(len(elapsed), rows), spent),
            "dropped": _no_texts(rows),
            "partition": _text(self._partition, rows),
            "inference_id": _make_text(call.inference_id, rows) if ids is None else ids,
        }
        if call.served:  # a struct without fields is more than some readers take
            steps = [self._texts(call, partial(_variant_of, step)) for step in call.served]
            columns["variants"] = pa.StructArray.from_arrays(steps, names=list(call.served))
        return [_column(name, array, None) for name, array in columns.items()]

    def _texts(self, call: Call, of: Callable[[Labels], str]) -> ArrowArray:
        """A label a row: the same for all unless the batch was divided."""
        if call.divided:
            return pa.array([of(self._labeller.of(call, row)) for row in range(call.rows)])
        return _text(of(self._labeller.of(call, 0)), call.rows)


def _variant_of(step: str, labels: Labels) -> str:
    return labels.variants[step]


def _nested_whole(group: str, chosen: Selection) -> bool:
    return not chosen.flat and chosen.whole(group)


def _dotted(group: str, name: str) -> str:
    return group + SEPARATOR + name if name else group


def _time(now: int, rows: int) -> Columned:
    return _TIME, _repeated(struct.pack("<q", now), pa.int64(), rows)


def _kept(group: str, columns: Callable[[], list[Columned]], chosen: Selection) -> list[Columned]:
    if not chosen.touches(group):
        return []
    if chosen.whole(group):
        return columns()
    return [one for one in columns() if chosen.keeps(group, one[0].name or None)]


def _column(name: str, array: ArrowArray, shape: tuple[int, ...] | None) -> Columned:
    return pa.field(name, array.type, metadata=None if shape is None else _told(shape)), array


def _row_shape(tensor: RequestTensor) -> tuple[int, ...]:
    return () if tensor.stacked else tensor.shape


@lru_cache(maxsize=256)
def _told(shape: tuple[int, ...]) -> dict[bytes, bytes]:
    return {TENSOR_TYPE: msgspec.json.encode({"shape": shape})}


def nest(type_: ArrowType, depth: int) -> ArrowType:
    """Type of lists within lists."""
    for _ in range(depth):
        type_ = pa.list_(type_)
    return type_


def output_column(spec: TensorSpec, column: Column) -> Columned:
    """A column that a model gave: plain values, or lists nested as deep as its shape."""
    leaf = LEAF_TYPES[spec.type]
    if isinstance(column, np.ndarray):
        array = _lists(pa.array(column.reshape(-1), leaf), column.shape)
        return _column(spec.name, array, column.shape[1:])
    if column[0].ndim > 1:
        array = pa.array([row.tolist() for row in column], nest(leaf, column[0].ndim))
    else:
        offsets = np.array(list(accumulate(map(len, column), initial=0)), np.int32)
        array = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(column), leaf))
    return _column(spec.name, array, spec.shape)


def _lists(array: ArrowArray, shape: Sequence[int]) -> ArrowArray:
    """Nest flat elements as an array of a shape does."""
    for at in range(len(shape) - 1, 0, -1):
        rows = int(np.prod(shape[:at]))
        array = pa.ListArray.from_arrays(_offsets(shape[at], rows), array)
    return array


def _guessed(values: Values) -> ArrowArray:
    """A column of which nothing is known: as it comes, or as JSON where its rows differ in kind."""
    plain = listed(values)
    try:
        return pa.array(plain)
    except UNFIT:
        return pa.array([json.dumps(value, default=str) for value in plain], pa.string())


@lru_cache(maxsize=16)
def _same(value: int, type_: ArrowType, rows: int) -> ArrowArray:
    """The same number in every row."""
    return pa.repeat(pa.scalar(value, type_), rows)


def _repeated(values: bytes, type_: ArrowType, rows: int) -> ArrowArray:
    """The same numbers in every row, made of their bytes: a fifth of what numpy takes for it."""
    count = rows * (len(values) * 8 // type_.bit_width)
    return pa.Array.from_buffers(type_, count, [None, pa.py_buffer(values * rows)])


@lru_cache(maxsize=16)
def _no_texts(rows: int) -> ArrowArray:
    """An empty list in every row."""
    return pa.ListArray.from_arrays(_offsets(0, rows), pa.array([], pa.string()))


@lru_cache(maxsize=16)
def _offsets(length: int, rows: int) -> ArrowArray:
    """Where lists of one length begin and end."""
    return pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(length))


def _text(text: str, rows: int) -> ArrowArray:
    """The same text in every row."""
    return _kept_text(text, rows) if rows * len(text) <= KEPT_BYTES else _make_text(text, rows)


def _make_text(text: str, rows: int) -> ArrowArray:
    """Made of its bytes: a tenth of what `pa.repeat` takes for it."""
    data = text.encode()
    offsets = _offsets(len(data), rows).buffers()[1]
    return pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(data * rows))


_kept_text = lru_cache(maxsize=32)(_make_text)
"""Labels are the same in all answers of a variant."""
