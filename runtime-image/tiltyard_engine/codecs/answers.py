"""Writes pandas-style answers: one JSON object a row, nested or with dotted keys.

Numbers keep the shortest digits of their own type; NaN and infinities are null. What is the same in
every row is put together once; a row then costs one join.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import orjson

from tiltyard_api.plan import Plan
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.anomalies import AnomalyTexts
from tiltyard_engine.codecs.base import Sent, Values
from tiltyard_engine.codecs.echo import Echo, Fields, Special, Texts
from tiltyard_engine.codecs.labels import KEPT, Labeller, Labels
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.columns import Array, Column, Columns, rows_of


class Frame(NamedTuple):
    """What plain answers of one row that the same variants served have in common."""

    out: bytes
    """From behind the request's own columns to the first output."""

    metadata: bytes
    """From behind the anomalies to what steps took."""

    end: bytes
    """All behind the inference id."""


class AnswersWriter:
    """Encodes the answers of one plan."""

    def __init__(self, plan: Plan, partition: str) -> None:
        self._plan = plan
        self._last = plan.steps[-1].name
        self._labeller = Labeller(plan)
        self._anomalies = AnomalyTexts(plan)
        self._prefixes = {t.name: _text(t.name) + b":" for t in plan.steps[-1].outputs}
        self._frames: dict[bytes, Frame] = {}
        self._version = _text(plan.version)
        self._partition = _text(partition)
        self._head = b',"pipeline_version":' + self._version + b',"elapsed":'
        self._tail = b',"dropped":[],"partition":' + self._partition + b',"inference_id":"'

    def write(self, call: Call, sent: Sent, now: int, chosen: Selection) -> bytes:
        """Encode a finished call.

        Args:
            call: with outputs.
            sent: the request's own columns.
            now: milliseconds since 1970.
            chosen: what the client asked for.

        """
        if call.rows == 1 and chosen.everything and not call.beside and isinstance(sent, Echo):
            return self._one_row(call, sent, now)
        groups = self._groups(call, sent, now, chosen)
        return _rendered(_template(groups, chosen), call.rows)

    def _one_row(self, call: Call, echo: Echo, now: int) -> bytes:
        """The plain answer to one row, put together without detours."""
        labels = self._labeller.of(call, 0)
        frame = self._frames.get(labels.variants_json) or self._frame(labels)
        prefixes = self._prefixes
        fields = [
            prefixes[name] + column_texts(column)[0]
            for name, column in call.outputs[self._last].items()
        ]
        return b"".join(
            (
                b'[{"time":%d,"in":' % now,
                echo.only_row(),
                frame.out,
                b",".join(fields),
                b'},"anomaly":{',
                self._anomalies.one_row(call),
                frame.metadata,
                orjson.dumps([call.parsed, *call.elapsed]),
                self._tail,
                call.inference_id.encode(),
                frame.end,
            )
        )

    def _frame(self, labels: Labels) -> Frame:
        """One for each combination of variants; as many are kept as there are labels."""
        if len(self._frames) >= KEPT:
            self._frames.clear()
        split = b'"_model_split":%b,' % labels.split_json if labels.split_json else b""
        frame = self._frames[labels.variants_json] = Frame(
            b',"out":{' + split,
            b'},"metadata":{"last_model":' + labels.last_model_json + self._head,
            b'","variants":' + labels.variants_json + b"}}]",
        )
        return frame

    def _groups(
        self, call: Call, sent: Sent, now: int, chosen: Selection
    ) -> Iterator[tuple[str, Fields]]:
        """Every part of the answer, column by column."""
        if call.divided:
            labels = [self._labeller.of(call, row) for row in range(call.rows)]
            split: Texts = [label.split_json or b"null" for label in labels]
            last: Texts = [label.last_model_json for label in labels]
            variants: Texts = [label.variants_json for label in labels]
            has_split = labels[0].split is not None
        else:
            label = self._labeller.of(call, 0)
            split = label.split_json or b"null"
            last, variants = label.last_model_json, label.variants_json
            has_split = label.split is not None
        ids: Texts = _text(call.inference_id)
        if call.rows_apart:
            ids = [_text(call.row_id(row)) for row in range(call.rows)]
        yield "time", [(Special.VALUE, str(now).encode())]
        yield "in", _sent_fields(sent, chosen)
        out = _all_texts(call.outputs[self._last])
        yield "out", [("_model_split", split), *out] if has_split else out
        for models in call.beside.values():
            for model, columns in models.items():
                yield f"out_{model}", self._challenger_texts(model, columns)
        yield "anomaly", self._anomalies.fields(call) if chosen.touches("anomaly") else []
        yield (
            "metadata",
            [
                ("last_model", last),
                ("pipeline_version", self._version),
                ("elapsed", orjson.dumps([call.parsed, *call.elapsed])),
                ("dropped", b"[]"),
                ("partition", self._partition),
                ("inference_id", ids),
                ("variants", variants),
            ],
        )

    def _challenger_texts(self, model: str, columns: Columns | None) -> Fields:
        """A challenger's columns: always there, null where it gave nothing in time."""
        if columns is not None:
            return _all_texts(columns)
        plan = next(one for one in self._plan.models if one.name == model)
        return [(tensor.name, b"null") for tensor in plan.outputs]


def _text(value: object) -> bytes:
    return orjson.dumps(value)


def _all_texts(columns: Columns) -> Fields:
    return [(name, column_texts(column)) for name, column in columns.items()]


def _sent_fields(sent: Sent, chosen: Selection) -> Fields:
    if isinstance(sent, Echo):
        return sent.fields(chosen)
    if not chosen.touches("in"):
        return []
    return [(name, _value_texts(values)) for name, values in sent.columns().items()]


def _value_texts(values: Values) -> list[bytes]:
    if isinstance(values, np.ndarray) or isinstance(values[0], np.ndarray):
        return column_texts(values)
    return [orjson.dumps(value, default=str) for value in values]


def column_texts(column: Column) -> list[bytes]:
    """JSON of each row of a column."""
    if isinstance(column, list) or column.dtype.kind == "O" or column.ndim > 2:
        return [array_text(row) for row in rows_of(column)]
    text = array_text(column)
    if column.ndim == 1:
        return text[1:-1].split(b",")
    if len(column) == 1:
        return [text[1:-1]]
    return [b"[" + row + b"]" for row in text[2:-2].split(b"],[")]


def array_text(row: Array) -> bytes:
    """JSON of an array, with the shortest digits of its type."""
    if row.dtype.char == "e":  # orjson prints a float16 as the float32 that it equals
        row = row.astype(str).astype(np.float64)
    try:
        return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # not contiguous, or texts: rare, and cheaper to be told than to ask
        values = row.tolist() if row.dtype.kind == "O" else np.ascontiguousarray(row)
        return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)


def _template(groups: Iterator[tuple[str, Fields]], chosen: Selection) -> list[Texts]:
    """The parts of one row's object in order: constant bytes, and columns of bytes."""
    parts: list[Texts] = [b"{"]
    for group, fields in groups:
        kept = [
            (name, texts)
            for name, texts in fields
            if chosen.keeps(group, name if isinstance(name, str) else None)
        ]
        if not kept:
            continue
        comma = b"," if len(parts) > 1 else b""
        if chosen.flat:
            for name, texts in kept:
                key = group if name is Special.VALUE else f"{group}.{name}"
                parts += [comma + _text(key) + b":", texts]
                comma = b","
        elif kept[0][0] is Special.VALUE:
            parts += [comma + _text(group) + b":", kept[0][1]]
        else:
            opening = comma + _text(group) + b":{"
            for name, texts in kept:
                named = b"" if name is Special.MEMBERS else _text(name) + b":"
                parts += [opening + named, texts]
                opening = b","
            parts.append(b"}")
    return [*parts, b"}"]


def _rendered(parts: Sequence[Texts], rows: int) -> bytes:
    """A list of one JSON object a row, put together at once: it may have megabytes."""
    merged: list[Texts] = []
    for part in parts:
        if isinstance(part, bytes) and merged and isinstance(merged[-1], bytes):
            merged[-1] += part
        else:
            merged.append(part)
    columns = [
        chain((b"[",), repeat(b",", rows - 1)),
        *(repeat(part, rows) if isinstance(part, bytes) else part for part in merged),
    ]
    return b"".join((*chain.from_iterable(zip(*columns, strict=True)), b"]"))
