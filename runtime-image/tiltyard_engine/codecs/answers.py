"""Writes pandas-style answers: one JSON object a row, nested or with dotted keys.

Numbers keep the shortest digits of their own type; NaN and infinities are null.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import orjson

from tiltyard_api.plan import Plan, PlanSplit
from tiltyard_engine.call import Call, Served
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.columns import Column, Columns
from tiltyard_engine.dataplane import model_split
from tiltyard_engine.metrics import variants_of

Group = tuple[str, list[tuple[str, bytes]]]
"""A part of one row's answer: its name and its fields, each already JSON."""

NO_ANOMALY = [("count", b"0")]


@dataclass(frozen=True, slots=True)
class Labels:
    """What answers say of the variants that served a row; the same for every such row."""

    split: bytes | None
    last_model: bytes
    variants: bytes


class AnswersWriter:
    """Encodes the answers of one plan."""

    def __init__(self, plan: Plan, partition: str) -> None:
        self._plan = plan
        self._last = plan.steps[-1].name
        self._split_steps = {step.name for step in plan.steps if isinstance(step, PlanSplit)}
        self._models = {s.name: variants_of(s)[0] for s in plan.steps}
        self._digests = {model.name: model.digest for model in plan.models}
        self._labels: dict[tuple[str, ...], Labels] = {}
        self._prefixes = {t.name: _text(t.name) + b":" for t in plan.steps[-1].outputs}
        version = _text(plan.version)
        self._tail = b'],"dropped":[],"partition":' + _text(partition) + b',"inference_id":"'
        self._head = b',"pipeline_version":' + version + b',"elapsed":['
        self._fixed = [
            ("pipeline_version", version),
            ("dropped", b"[]"),
            ("partition", _text(partition)),
        ]

    def write(self, call: Call, body: bytes, now: int, chosen: Selection) -> bytes:
        """Encode a finished call.

        Args:
            call: with outputs.
            body: the request's bytes, from which `in` is repeated as it was sent.
            now: milliseconds since 1970.
            chosen: what the client asked for.

        """
        if call.rows == 1 and chosen.everything and not call.beside:
            return self._one_row(call, body, now)
        rows = _rendered(self._rows(call, body, now, chosen), chosen)
        return b"[" + b",".join(rows) + b"]"

    def _one_row(self, call: Call, body: bytes, now: int) -> bytes:
        """The plain answer to one row, put together without detours."""
        labels = self._row_labels(call, 0)
        prefixes = self._prefixes
        fields = [
            prefixes[name] + _texts(column)[0] for name, column in call.outputs[self._last].items()
        ]
        if labels.split:
            fields.insert(0, b'"_model_split":' + labels.split)
        elapsed = ",".join(map(str, (call.parsed, *call.elapsed))).encode()
        return b"".join(
            (
                b'[{"time":', str(now).encode(),
                b',"in":', body.strip()[1:-1].strip(),
                b',"out":{', b",".join(fields),
                b'},"anomaly":{"count":0},"metadata":{"last_model":', labels.last_model,
                self._head, elapsed, self._tail, call.inference_id.encode(),
                b'","variants":', labels.variants, b"}}]",
            )
        )  # fmt: skip

    def _rows(self, call: Call, body: bytes, now: int, chosen: Selection) -> Iterator[list[Group]]:
        """Every row's groups, unfiltered within a group."""
        outputs = _all_texts(call.outputs[self._last])
        beside = [
            (f"out_{model}", self._challenger_texts(model, columns, call.rows))
            for models in call.beside.values()
            for model, columns in models.items()
        ]
        echo = _echo(body, chosen)
        time = [("", str(now).encode())]
        elapsed = b"[" + ",".join(map(str, (call.parsed, *call.elapsed))).encode() + b"]"
        for row in range(call.rows):
            labels = self._row_labels(call, row)
            out = [(name, texts[row]) for name, texts in outputs]
            if labels.split:
                out.insert(0, ("_model_split", labels.split))
            yield [
                ("time", time),
                ("in", echo(row)),
                ("out", out),
                *((group, [(n, texts[row]) for n, texts in fields]) for group, fields in beside),
                ("anomaly", NO_ANOMALY),
                ("metadata", self._metadata(labels, elapsed, call, row)),
            ]

    def _challenger_texts(
        self, model: str, columns: Columns | None, rows: int
    ) -> list[tuple[str, list[bytes]]]:
        """A challenger's columns: always there, null where it gave nothing in time."""
        if columns is not None:
            return _all_texts(columns)
        plan = next(one for one in self._plan.models if one.name == model)
        return [(tensor.name, [b"null"] * rows) for tensor in plan.outputs]

    def _metadata(
        self, labels: Labels, elapsed: bytes, call: Call, row: int
    ) -> list[tuple[str, bytes]]:
        return [
            ("last_model", labels.last_model),
            *self._fixed,
            ("elapsed", elapsed),
            ("inference_id", b'"' + row_id(call, row).encode() + b'"'),
            ("variants", labels.variants),
        ]

    def _row_labels(self, call: Call, row: int) -> Labels:
        chosen = tuple(_served_at(served, row) for served in call.served.values())
        labels = self._labels.get(chosen)
        if labels is None:
            labels = self._labels[chosen] = self._make_labels(
                dict(zip(call.served, chosen, strict=True))
            )
        return labels

    def _make_labels(self, served: dict[str, str]) -> Labels:
        """At most one entry for each combination of variants: the plan bounds them."""
        splits = [variant for step, variant in served.items() if step in self._split_steps]
        model = served.get(self._last) or self._models[self._last]
        last = {"model_name": model, "model_sha": self._digests[model]}
        return Labels(
            split=_text([model_split(self._plan, splits[-1])]) if splits else None,
            last_model=_text(json.dumps(last, separators=(",", ":"))),
            variants=_text(served),
        )


def row_id(call: Call, row: int) -> str:
    """Inference id of a row: its own where the batch was divided."""
    divided = any(served.rows for served in call.served.values())
    return f"{call.inference_id}-{row}" if divided else call.inference_id


def _served_at(served: Served, row: int) -> str:
    if served.rows is None:
        return served.variants[0]
    return next(v for v, rows in zip(served.variants, served.rows, strict=True) if row in rows)


def _text(value: object) -> bytes:
    return orjson.dumps(value)


def _all_texts(columns: Columns) -> list[tuple[str, list[bytes]]]:
    return [(name, _texts(column)) for name, column in columns.items()]


def _texts(column: Column) -> list[bytes]:
    """JSON of each row of a column."""
    if isinstance(column, list) or column.dtype.kind == "O" or column.ndim > 2:
        return [_array_text(row) for row in column]
    text = orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)
    if column.ndim == 1:
        return text[1:-1].split(b",")
    if len(column) == 1:
        return [text[1:-1]]
    return [b"[" + row + b"]" for row in text[2:-2].split(b"],[")]


def _array_text(row: Column) -> bytes:
    if isinstance(row, list) or row.dtype.kind in "OU" or row.ndim == 0:
        return orjson.dumps(row.tolist() if not isinstance(row, list) else row)
    return orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY)


def _echo(body: bytes, chosen: Selection) -> Callable[[int], list[tuple[str, bytes]]]:
    """The request's own columns, row by row, as they were sent."""
    if not chosen.touches("in"):
        return lambda _row: []
    if not chosen.flat and chosen.keeps("in") and not any("in." in n for n in chosen.excluded):
        whole = msgspec.json.decode(body, type=list[msgspec.Raw])
        return lambda row: [("", bytes(whole[row]))]
    parts = msgspec.json.decode(body, type=list[dict[str, msgspec.Raw]])
    return lambda row: [(name, bytes(value)) for name, value in parts[row].items()]


def _rendered(rows: Iterator[Sequence[Group]], chosen: Selection) -> Iterator[bytes]:
    for groups in rows:
        members = []
        for group, fields in groups:
            kept = [(f, text) for f, text in fields if chosen.keeps(group, f)]
            if chosen.flat:
                members += [_text(f"{group}.{f}" if f else group) + b":" + text for f, text in kept]
            elif kept and not kept[0][0]:
                members.append(_text(group) + b":" + kept[0][1])
            elif kept:
                inner = b",".join(_text(f) + b":" + text for f, text in kept)
                members.append(_text(group) + b":{" + inner + b"}")
        yield b"{" + b",".join(members) + b"}"
