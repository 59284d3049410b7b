"""Every format in, every format out: the same rows by each way, and the numbers that came back."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from planes import Answer, Plane
from tables import FILE, JSON, STREAM, packed, unpacked
from tiltyard_engine.codecs.oip import Signature
from tiltyard_engine.columns import Array
from tiltyard_engine.grpc.face import GrpcFace, Incoming, InferRequest, InferResponse
from tiltyard_engine.grpc.tensors import CONTENTS
from tiltyard_engine.http.message import Response

Arrays = dict[str, Array]
WORDS = {"float16": "FP16", "float32": "FP32", "float64": "FP64", "bool": "BOOL"}
TYPED = {kind.value: name for kind, name in CONTENTS.items()}


@dataclass(frozen=True)
class Rows:
    """What is sent: as columns of rows, and as tensors."""

    columns: Arrays
    tensors: Arrays
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(next(iter(self.tensors.values())))


@dataclass(frozen=True)
class Refused:
    """Said in place of numbers."""

    reason: str


@dataclass(frozen=True)
class Way:
    """One format in and one out."""

    name: str
    exact: bool
    """Whether the answer can hold NaN and infinities; where it cannot, they are gaps."""

    ask: Callable[[Plane, Rows, Arrays], Arrays | Refused]
    """Of a plane, for rows, given the arrays whose types and shapes are due."""


def same(given: Arrays, wanted: Arrays, *, exact: bool) -> bool:
    """Whether all outputs are there, to the last bit."""
    if given.keys() != wanted.keys():
        return False
    for name, array in wanted.items():
        due = array
        if not exact and array.dtype.kind == "f":
            due = np.where(np.isfinite(array), array, array.dtype.type(math.nan))
        got = given[name]
        if got.dtype != array.dtype or got.tobytes() != due.astype(array.dtype).tobytes():
            return False
    return True


def _word(array: Array) -> str:
    return WORDS.get(array.dtype.name, array.dtype.name.upper())


def _records(rows: Rows) -> bytes:
    lists = {name: array.tolist() for name, array in rows.columns.items()}
    return json.dumps([{n: v[row] for n, v in lists.items()} for row in range(rows.count)]).encode()


def _table(media: str) -> Callable[[Rows], bytes]:
    return lambda rows: packed({n: _column(array) for n, array in rows.columns.items()}, media)


def _column(array: Array) -> Any:
    column = pa.array(array.reshape(-1))
    for length in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, length)
    return column


def _csv(rows: Rows) -> bytes:
    out = io.StringIO(newline="")
    flat = [array.reshape(rows.count, -1).tolist() for array in rows.columns.values()]
    csv.writer(out).writerows(
        [cell for column in flat for cell in column[row]] for row in range(rows.count)
    )
    return out.getvalue().encode()


def _from_json(
    values: Callable[[Any, str], list[Any]],
) -> Callable[[Answer, Arrays], Arrays]:
    def read(answer: Answer, wanted: Arrays) -> Arrays:
        body = answer.json
        return {name: _numbers(values(body, name), like) for name, like in wanted.items()}

    return read


def _numbers(values: Any, like: Array) -> Array:
    def number(value: Any) -> Any:
        if isinstance(value, list):
            return [number(one) for one in value]
        return math.nan if value is None else value

    return np.array(number(values), like.dtype).reshape(like.shape)


def _from_table(media: str) -> Callable[[Answer, Arrays], Arrays]:
    def read(answer: Answer, wanted: Arrays) -> Arrays:
        group = unpacked(answer.body, media).column("out").combine_chunks()
        found = {}
        for name, like in wanted.items():
            column = group.field(name)
            while pa.types.is_list(column.type):
                column = column.flatten()
            found[name] = column.to_numpy(zero_copy_only=False).reshape(like.shape)
        return found

    return read


def _from_csv(answer: Answer, wanted: Arrays) -> Arrays:
    lines = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    found = {}
    for name, like in wanted.items():
        width = like[0].size
        names = [name] if width == 1 else [f"{name}.{index}" for index in range(width)]
        cells = [_cell(line[one], like.dtype.kind) for line in lines for one in names]
        found[name] = _numbers(cells, like)
    return found


def _cell(text: str, kind: str) -> float | bool | None:
    if not text:
        return None
    return text == "true" if kind == "b" else int(text) if kind in "iu" else float(text)


def _over_http(
    path: str,
    headers: Mapping[str, str],
    write: Callable[[Rows], bytes],
    read: Callable[[Answer, Arrays], Arrays],
) -> Callable[[Plane, Rows, Arrays], Arrays | Refused]:
    def ask(plane: Plane, rows: Rows, wanted: Arrays) -> Arrays | Refused:
        answer = plane.send(path, write(rows), {**headers, **rows.headers})
        if answer.status != 200:
            return Refused(answer.json["reason"])
        return read(answer, wanted)

    return ask


def _v2(*, binary_in: bool, binary_out: bool) -> Callable[[Plane, Rows, Arrays], Arrays | Refused]:
    def ask(plane: Plane, rows: Rows, wanted: Arrays) -> Arrays | Refused:
        head, data = v2_body(rows, binary=binary_in, binary_out=binary_out)
        headers = {**rows.headers, "Inference-Header-Content-Length": str(len(head))}
        answer = plane.send(f"/v2/models/{plane.plan.pipeline}/infer", head + data, headers)
        if answer.status != 200:
            return Refused(answer.json["reason"])
        return v2_arrays(answer, wanted)

    return ask


def v2_body(rows: Rows, *, binary: bool, binary_out: bool) -> tuple[bytes, bytes]:
    """Write the JSON of a request, and the bytes behind it."""
    inputs, data = [], b""
    for name, array in rows.tensors.items():
        one: dict[str, Any] = {"name": name, "datatype": _word(array), "shape": array.shape}
        if binary:
            data += array.tobytes()
            one["parameters"] = {"binary_data_size": array.nbytes}
        else:
            one["data"] = array.reshape(-1).tolist()
        inputs.append(one)
    body = {"inputs": inputs, "parameters": {"binary_data_output": binary_out}}
    return json.dumps(body).encode(), data


def v2_arrays(answer: Answer, wanted: Arrays) -> Arrays:
    """Read the outputs of an answer, whichever form they came in."""
    end = int(answer.headers.get("Inference-Header-Content-Length", len(answer.body)))
    head, at, found = json.loads(answer.body[:end]), end, {}
    for output in head["outputs"]:
        like = wanted[output["name"]]
        assert (output["datatype"], output["shape"]) == (_word(like), list(like.shape))
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            found[output["name"]] = _numbers(output["data"], like)
        else:
            data = answer.body[at : at + size]
            found[output["name"]] = np.frombuffer(data, like.dtype).reshape(like.shape)
            at += size
    return found


def _grpc(*, raw: bool) -> Callable[[Plane, Rows, Arrays], Arrays | Refused]:
    def ask(plane: Plane, rows: Rows, wanted: Arrays) -> Arrays | Refused:
        message = InferRequest(model_name=plane.plan.pipeline)
        for name, array in rows.tensors.items():
            tensor = message.inputs.add(name=name, datatype=_word(array), shape=array.shape)
            if raw:
                message.raw_input_contents.append(array.tobytes())
            elif array.dtype.name in TYPED:
                values = array.reshape(-1).tolist()
                getattr(tensor.contents, TYPED[array.dtype.name]).extend(values)
        response = _called(plane, message, rows.headers)
        if response.status != 200:
            return Refused(response.body.decode().partition(":")[0])
        return _grpc_arrays(InferResponse.FromString(response.body), wanted)

    return ask


def _called(plane: Plane, message: Any, headers: Mapping[str, str]) -> Response:
    """Through the app and the face of gRPC; the transport below them sees bytes alone."""
    face = GrpcFace(plane.plan, Signature(plane.plan, plane.sizes.rows))
    sent = {name.lower().encode(): text.encode() for name, text in headers.items()}
    parsed = InferRequest.FromString(message.SerializeToString())
    given: list[Response] = []
    plane.app.infer(face, plane.served, Incoming("POST", "", "", sent, b"", parsed), given.append)
    plane.turns.until(lambda: bool(given))
    return given[0]


def _grpc_arrays(message: Any, wanted: Arrays) -> Arrays:
    found = {}
    for at, output in enumerate(message.outputs):
        like = wanted[output.name]
        assert (output.datatype, list(output.shape)) == (_word(like), list(like.shape))
        if message.raw_output_contents:
            values = np.frombuffer(message.raw_output_contents[at], like.dtype)
        else:
            values = np.array(getattr(output.contents, TYPED[like.dtype.name]), like.dtype)
        found[output.name] = values.reshape(like.shape)
    return found


def _out(body: Any, name: str) -> list[Any]:
    return [row["out"][name] for row in body]


def _prediction(body: Any, name: str) -> list[Any]:
    return [row[name] for row in body["predictions"]]


def _ways() -> Iterator[Way]:
    tables = {"file": FILE, "stream": STREAM}
    rows_in = {"records": (JSON, _records)} | {n: (m, _table(m)) for n, m in tables.items()}
    rows_out = {"records": (JSON, _from_json(_out))}
    rows_out |= {name: (media, _from_table(media)) for name, media in tables.items()}
    lines_in = {"json": (JSON, _records), "csv": ("text/csv; header=absent", _csv)}
    lines_out = {
        "json": (JSON, _from_json(_prediction)),
        "csv": ("text/csv; header=present", _from_csv),
    }
    for face, path, given, taken in (
        ("rows", "/infer", rows_in, rows_out),
        ("sagemaker", "/invocations", lines_in, lines_out),
    ):
        for sent, (media, write) in given.items():
            for wanted, (accepted, read) in taken.items():
                headers = {"Content-Type": media, "Accept": accepted}
                exact = wanted in tables
                ask = _over_http(path, headers, write, read)
                yield Way(f"{face}: {sent} to {wanted}", exact, ask)
    for binary_in in (False, True):
        for binary_out in (False, True):
            names = ["binary" if one else "json" for one in (binary_in, binary_out)]
            ask = _v2(binary_in=binary_in, binary_out=binary_out)
            yield Way(f"v2: {names[0]} to {names[1]}", binary_out, ask)
    for raw in (False, True):
        yield Way(f"grpc: {'raw' if raw else 'typed'}", True, _grpc(raw=raw))


WAYS = tuple(_ways())
