"""Makes tables of what was recorded. Every file of a stream has the same columns: the plan's."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tiltyard_api.plan import Plan, PlanDrawn, PlanRecords, PlanShadow, RequestTensor
from tiltyard_api.tensors import TensorSpec
from tiltyard_core.recorded import input_columns
from tiltyard_engine.codecs.arrow.answers import nest, output_column
from tiltyard_engine.codecs.arrow.kinds import (
    LEAF_TYPES,
    ArrowArray,
    ArrowBatch,
    ArrowSchema,
    ArrowType,
)
from tiltyard_engine.codecs.labels import Labeller
from tiltyard_engine.columns import Column, Columns
from tiltyard_engine.recording.outcomes import Outcome
from tiltyard_engine.recording.parcels import Facts, Parcel
from tiltyard_engine.validations.verdicts import ANOMALY, UNJUDGED

TIME = pa.timestamp("us", "UTC")
DIGEST_BYTES = 16

Cells = Mapping[str, ArrowArray]


class Redaction:
    """What of the columns is left out, and what is hashed."""

    def __init__(self, records: PlanRecords, key: bytes) -> None:
        self._excluded = frozenset(records.exclude)
        self._hashed = frozenset(records.hash)
        self._key = key

    def keeps(self, column: str) -> bool:
        """Whether a column is recorded at all; `out_MODEL.x` goes by `out.x`."""
        return _plain(column) not in self._excluded

    def type_of(self, column: str, type_: ArrowType) -> ArrowType:
        """Type of a column as it is recorded."""
        return pa.string() if _plain(column) in self._hashed else type_

    def apply(self, column: str, array: ArrowArray) -> ArrowArray:
        """Put digests in the place of what nobody may read."""
        if _plain(column) not in self._hashed:
            return array
        return pa.array(map(self._digest, array.to_pylist()), pa.string())

    def _digest(self, value: object) -> str | None:
        if value is None:
            return None
        text = json.dumps(value, default=str).encode()
        return hashlib.blake2b(text, digest_size=DIGEST_BYTES, key=self._key).hexdigest()


class InferenceTables:
    """Tables of what callers were answered by one Pipeline."""

    def __init__(self, plan: Plan, redaction: Redaction, partition: str, *, inputs: bool) -> None:
        self._plan = plan
        self._redaction = redaction
        self._partition = partition
        self._labels = _Labels(plan)
        self._validations = [one.name for one in plan.validations or ()]
        self._request = plan.request if inputs else ()
        taken = {column for tensor in plan.request for column in tensor.columns}
        self._keys = [key for key in (plan.key_fields if inputs else ()) if key not in taken]
        self._outputs = {tensor.name: tensor for tensor in plan.steps[-1].outputs}
        self._beside = dict(_responding(plan))
        self.schema: ArrowSchema = pa.schema(
            [
                pa.field(name, redaction.type_of(name, type_))
                for name, type_ in self._columns(inputs=inputs)
                if redaction.keeps(name)
            ]
        )

    def _columns(self, *, inputs: bool) -> Iterator[tuple[str, ArrowType]]:
        yield "time", TIME
        types = {column: _input_type(t) for t in self._plan.request for column in t.columns}
        for name in input_columns(self._plan) if inputs else ():
            yield f"in.{name}", types.get(name, pa.string())
        if self._labels.drawn:
            yield "out._model_split", pa.list_(pa.string())
        for group, tensors in (("out", self._outputs), *self._beside.items()):
            for tensor in tensors.values():
                yield f"{group}.{tensor.name}", _type(tensor)
        yield "anomaly.count", pa.uint32()
        for name in self._validations:
            yield f"anomaly.{name}", pa.bool_()
        yield "metadata.inference_id", pa.string()
        yield "metadata.request", pa.string()
        yield "metadata.row", pa.int32()
        for step in self._labels.steps:
            yield f"metadata.variants.{step}", pa.string()
        for name in ("last_model", "pipeline_version", "partition", "error"):
            yield f"metadata.{name}", pa.string()
        yield "metadata.elapsed", pa.list_(pa.int64())

    def batch(self, parcel: Parcel) -> ArrowBatch:
        """Make the table of what went over the ring together."""
        each = np.repeat(np.arange(len(parcel.facts.rows)), parcel.facts.rows)
        cells = {
            **self._facts(parcel, each),
            **self._inputs(parcel),
            **self._answers(parcel.outputs, "out", self._outputs, parcel.rows),
        }
        for group, tensors in self._beside.items():
            outputs = parcel.beside.get(group.removeprefix("out_"))
            cells |= self._answers(outputs, group, tensors, parcel.rows)
        return _batch(self.schema, cells, self._redaction)

    def _facts(self, parcel: Parcel, each: NDArray[np.int64]) -> Cells:
        facts, rows = parcel.facts, len(each)
        starts = np.repeat(np.cumsum(facts.rows) - facts.rows, facts.rows)
        many = len(facts.rows) != rows

        def spread(values: ArrowArray) -> ArrowArray:
            return values.take(pa.array(each)) if many else values

        labels = self._labels.of(parcel)
        by_call = len(labels) != rows
        cells = {
            "time": spread(pa.array(facts.times, pa.int64()).cast(TIME)),
            "metadata.inference_id": _ids(parcel, each),
            "metadata.request": spread(pa.array(facts.ids, pa.string())),
            **self._anomalies(facts, rows),
            "metadata.row": pa.array((np.arange(rows) - starts).astype(np.int32)),
            "metadata.pipeline_version": pa.repeat(self._plan.version, rows),
            "metadata.partition": pa.repeat(self._partition, rows),
            "metadata.error": pa.array([parcel.error] * rows, pa.string()),
            "metadata.elapsed": spread(pa.array(facts.elapsed, pa.list_(pa.int64()))),
        }
        for name, texts in self._labels.columns(labels).items():
            cells[name] = spread(texts) if by_call else texts
        for place, key in enumerate(self._plan.key_fields):
            if key in self._keys:
                values = [value for call in facts.keys for value in call[place]]
                cells[f"in.{key}"] = pa.array(map(_text, values), pa.string())
        return cells

    def _anomalies(self, facts: Facts, rows: int) -> Cells:
        cells = {"anomaly.count": pa.repeat(pa.scalar(0, pa.uint32()), rows)}
        if not self._validations:
            return cells
        columns = zip(*facts.anomalies, strict=True)
        said = [np.frombuffer(b"".join(column), np.uint8) for column in columns]
        counted = np.sum([one == ANOMALY for one in said], axis=0, dtype=np.uint32)
        cells["anomaly.count"] = pa.array(counted)
        for name, one in zip(self._validations, said, strict=True):
            cells[f"anomaly.{name}"] = pa.array(one == ANOMALY, mask=np.isin(one, UNJUDGED))
        return cells

    def _inputs(self, parcel: Parcel) -> Cells:
        return {
            f"in.{name}": array
            for tensor in self._request
            for name, array in _input_arrays(tensor, parcel.inputs[tensor.key])
        }

    def _answers(
        self,
        outputs: Columns | None,
        group: str,
        tensors: Mapping[str, TensorSpec],
        rows: int,
    ) -> Cells:
        if outputs is None:
            return {f"{group}.{t.name}": pa.nulls(rows, _type(t)) for t in tensors.values()}
        return {
            f"{group}.{tensor.name}": output_column(tensor, outputs[tensor.name])[1]
            for tensor in tensors.values()
        }


class ChallengerTables:
    """Tables of what one challenger that nobody waits for has given."""

    def __init__(self, outputs: Sequence[TensorSpec], model: str, redaction: Redaction) -> None:
        self._outputs = {f"out_{model}.{tensor.name}": tensor for tensor in outputs}
        self._redaction = redaction
        kept = [
            pa.field(name, redaction.type_of(name, _type(tensor)))
            for name, tensor in self._outputs.items()
            if redaction.keeps(name)
        ]
        facts = {"time": TIME, "metadata.request": pa.string(), "metadata.row": pa.int32()}
        self.schema: ArrowSchema = pa.schema([*facts.items(), *kept])

    def batch(
        self, time: int, ids: Sequence[str], rows: Sequence[int], outputs: Columns
    ) -> ArrowBatch:
        """Make the table of what the challenger gave in one call."""
        places = [place for count in rows for place in range(count)]
        cells = {
            "time": pa.array([time] * len(places), pa.int64()).cast(TIME),
            "metadata.request": pa.array(
                [one for one, count in zip(ids, rows, strict=True) for _ in range(count)]
            ),
            "metadata.row": pa.array(places, pa.int32()),
        }
        for name, tensor in self._outputs.items():
            cells[name] = output_column(tensor, outputs[tensor.name])[1]
        return _batch(self.schema, cells, self._redaction)


class FeedbackTables:
    """Tables of the outcomes that callers told of."""

    schema: ClassVar[ArrowSchema] = pa.schema(
        {
            "time": TIME,
            "metadata.inference_id": pa.string(),
            "metric": pa.string(),
            "value": pa.float64(),
            "row": pa.int32(),
            "item": pa.int32(),
        }
    )

    def batch(self, time: int, told: Sequence[Outcome]) -> ArrowBatch:
        """Make the table of what came together."""
        times = pa.array([time] * len(told), pa.int64()).cast(TIME)
        types = self.schema.types[1:]
        columns = [pa.array(c, t) for c, t in zip(zip(*told, strict=True), types, strict=True)]
        return pa.record_batch([times, *columns], schema=self.schema)


class _Labels:
    """What served rows, in words."""

    def __init__(self, plan: Plan) -> None:
        self.steps = [one.name for one in plan.steps if isinstance(one, PlanDrawn | PlanShadow)]
        self.drawn = any(isinstance(step, PlanDrawn) for step in plan.steps)
        self._labeller = Labeller(plan)

    def of(self, parcel: Parcel) -> list[tuple[str, ...]]:
        """Variants of each call, or of each row where it was divided."""
        if not parcel.parts:
            return [tuple(one) for one in parcel.facts.variants]
        steps = [[variants[part] for part in of] for variants, of in parcel.parts]
        return list(zip(*steps, strict=True))

    def columns(self, labels: Sequence[tuple[str, ...]]) -> dict[str, ArrowArray]:
        """Columns of texts, an entry for each of the labels."""
        made = [self._labeller.named(dict(zip(self.steps, one, strict=False))) for one in labels]
        columns = {"metadata.last_model": pa.array([one.last_model for one in made], pa.string())}
        for place, step in enumerate(self.steps):
            served = [one[place] if place < len(one) else None for one in labels]
            columns[f"metadata.variants.{step}"] = pa.array(served, pa.string())
        if self.drawn:
            splits = [None if one.split is None else [one.split] for one in made]
            columns["out._model_split"] = pa.array(splits, pa.list_(pa.string()))
        return columns


def _batch(schema: ArrowSchema, cells: Cells, redaction: Redaction) -> ArrowBatch:
    arrays = [redaction.apply(name, cells[name]) for name in schema.names]
    return pa.record_batch(arrays, schema=schema)


def _ids(parcel: Parcel, each: NDArray[np.int64]) -> ArrowArray:
    """Ids as answers give them: a divided batch has one for each row."""
    ids = parcel.facts.ids
    if parcel.row_ids is not None:
        return pa.array(parcel.row_ids, pa.string())
    if parcel.parts:
        return pa.array([f"{ids[0]}-{row}" for row in range(parcel.rows)], pa.string())
    return pa.array([ids[call] for call in each], pa.string())


def _responding(plan: Plan) -> Iterator[tuple[str, dict[str, TensorSpec]]]:
    """Groups of challengers that answer, with their outputs."""
    models = {model.name: model for model in plan.models}
    for step in plan.steps:
        for name in step.challengers if isinstance(step, PlanShadow) and step.respond else ():
            yield f"out_{name}", {tensor.name: tensor for tensor in models[name].outputs}


def _plain(column: str) -> str:
    group, dot, name = column.partition(".")
    return f"out{dot}{name}" if group.startswith("out_") else column


def _type(tensor: TensorSpec) -> ArrowType:
    return nest(LEAF_TYPES[tensor.type], len(tensor.shape))


def _input_type(tensor: RequestTensor) -> ArrowType:
    """A value where a request may hold one."""
    scalar = tensor.stacked or tensor.shape in ((), (1,))
    return LEAF_TYPES[tensor.type] if scalar else nest(LEAF_TYPES[tensor.type], len(tensor.shape))


def _input_arrays(tensor: RequestTensor, column: Column) -> Iterator[tuple[str, ArrowArray]]:
    if not isinstance(column, list):
        if tensor.stacked:
            for place, name in enumerate(tensor.columns):
                yield name, pa.array(np.ascontiguousarray(column[:, place]))
            return
        if tensor.shape in ((), (1,)):
            yield tensor.columns[0], pa.array(column.reshape(-1), LEAF_TYPES[tensor.type])
            return
    spec = TensorSpec(name=tensor.columns[0], type=tensor.type, shape=tensor.shape)
    yield tensor.columns[0], output_column(spec, column)[1]


def _text(value: object) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)
