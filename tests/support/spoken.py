"""The faces of the data port as their clients speak them, behind one way to ask.

Those that speak JSON, CSV and binary tensors; `spoken_binary` has Arrow and gRPC.

Every Pipeline that is asked has one float input `x` and one float output `y` of a row each.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from planes import Answer, Plane

NAME = "tested"

Numbers = list[float | None]
"""One value a row; None where there is no number."""


@dataclass(frozen=True)
class Asked:
    """A request without a form."""

    xs: Sequence[float]
    users: Sequence[str] | None = None
    """Values of the hash key `user`."""

    own_id: str | None = None
    pin: str | None = None


@dataclass(frozen=True)
class Told:
    """An answer without a form."""

    status: int
    ys: Numbers
    beside: Numbers
    """The challenger's `y`, of the model `other`."""

    reason: str | None
    message: str | None
    answer: Answer
    absent: str = ""
    """Challengers that are named because a protocol has no place for their gaps."""


@dataclass(frozen=True)
class Face:
    """A protocol in one of its forms."""

    name: str
    protocol: str
    path: str
    headers: Mapping[str, str]
    id_header: str
    write: Callable[[Asked], tuple[bytes, Mapping[str, str]]]
    read: Callable[[Answer, str], Numbers]
    failed: int = 500
    message: str = "error"

    def ask(self, plane: Plane, asked: Asked) -> Told:
        """Ask in this form."""
        body, more = self.write(asked)
        headers = {**self.headers, **more}
        if asked.own_id and self.id_header:
            headers[self.id_header] = asked.own_id
        if asked.pin:
            headers["X-Tiltyard-Variant"] = asked.pin
        answer = plane.send(self.path, body, headers)
        if answer.status != 200:
            told = answer.json
            return Told(answer.status, [], [], told["reason"], told[self.message], answer)
        ys, beside = self.read(answer, "y"), self.read(answer, "beside")
        return Told(200, ys, beside, None, None, answer, absent=_absent(self, answer))


def _absent(face: Face, answer: Answer) -> str:
    if face.protocol != "v2":
        return ""
    length = answer.headers.get("Inference-Header-Content-Length")
    head = json.loads(answer.body[: int(length)] if length else answer.body)
    return str(head["parameters"].get("absent", ""))


def _records(asked: Asked) -> list[dict[str, object]]:
    users = [{"user": user} for user in asked.users] if asked.users else [{}] * len(asked.xs)
    return [{"x": x, **user} for x, user in zip(asked.xs, users, strict=True)]


def _write_records(asked: Asked) -> tuple[bytes, Mapping[str, str]]:
    return json.dumps(_records(asked)).encode(), {}


def _read_records(answer: Answer, name: str) -> Numbers:
    group = "out" if name == "y" else "out_other"
    return [only(row[group]["y"]) for row in answer.json if group in row]


def _write_v2(asked: Asked) -> tuple[bytes, Mapping[str, str]]:
    inputs: list[dict[str, object]] = [
        {"name": "x", "datatype": "FP32", "shape": [len(asked.xs), 1], "data": list(asked.xs)}
    ]
    if asked.users:
        users = {"datatype": "BYTES", "shape": [len(asked.users)], "data": list(asked.users)}
        inputs.append({"name": "user", **users})
    body = {"inputs": inputs, **({"id": asked.own_id} if asked.own_id else {})}
    return json.dumps(body).encode(), {}


def _write_v2_binary(asked: Asked) -> tuple[bytes, Mapping[str, str]]:
    data = np.array(asked.xs, "<f4").tobytes()
    inputs = [_binary("x", "FP32", [len(asked.xs), 1], data)]
    if asked.users:
        texts = b"".join(prefixed(user.encode()) for user in asked.users)
        inputs.append(_binary("user", "BYTES", [len(asked.users)], texts))
        data += texts
    body = {"inputs": inputs, "parameters": {"binary_data_output": True}}
    if asked.own_id:
        body["id"] = asked.own_id
    text = json.dumps(body).encode()
    return text + data, {"Inference-Header-Content-Length": str(len(text))}


def _binary(name: str, datatype: str, shape: list[int], data: bytes) -> dict[str, object]:
    parameters = {"binary_data_size": len(data)}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


def prefixed(data: bytes) -> bytes:
    """A text as binary tensors hold it."""
    return len(data).to_bytes(4, "little") + data


def _read_v2(answer: Answer, name: str) -> Numbers:
    wanted = "y" if name == "y" else "out_other.y"
    length = answer.headers.get("Inference-Header-Content-Length")
    end = int(length) if length else len(answer.body)
    at = end
    for output in json.loads(answer.body[:end])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        if output["name"] == wanted:
            if size is None:
                return list(output["data"])
            return missing(np.frombuffer(answer.body[at : at + size], "<f4").tolist())
        at += size or 0
    return []


def _read_predictions(answer: Answer, name: str) -> Numbers:
    wanted = "y" if name == "y" else "out_other.y"
    return [only(row[wanted]) for row in answer.json["predictions"] if wanted in row]


def _write_csv(asked: Asked) -> tuple[bytes, Mapping[str, str]]:
    out = io.StringIO(newline="")
    rows = _records(asked)
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(), {}


def _read_csv(answer: Answer, name: str) -> Numbers:
    wanted = "y" if name == "y" else "out_other.y"
    rows = csv.DictReader(io.StringIO(answer.body.decode(), newline=""))
    cells = [row[wanted] for row in rows if wanted in row]
    return [float(cell) if cell else None for cell in cells]


def only(value: Sequence[float | None] | None) -> float | None:
    """The one value of a row; None where the row has a gap."""
    return value[0] if value else None


def missing(values: Iterable[float | None]) -> Numbers:
    """Values of a form that has NaN as those of one that has not."""
    return [None if value is None or math.isnan(value) else value for value in values]


OURS = "X-Tiltyard-Inference-Id"
_THEIRS = "X-Amzn-SageMaker-Inference-Id"
_INVOKE = f"/endpoints/{NAME}/invocations"
_LINES = {"Content-Type": "text/csv", "Accept": "text/csv; header=present"}

FACES = [
    Face("records", "records", f"/pipelines/{NAME}", {}, OURS, _write_records, _read_records),
    Face("v2", "v2", f"/v2/models/{NAME}/infer", {}, "", _write_v2, _read_v2),
    Face("v2 binary", "v2", f"/v2/models/{NAME}/infer", {}, "", _write_v2_binary, _read_v2),
    Face(
        "sagemaker",
        "sagemaker",
        _INVOKE,
        {"Content-Type": "application/json"},
        _THEIRS,
        _write_records,
        _read_predictions,
        424,
        "message",
    ),
    Face("csv", "sagemaker", _INVOKE, _LINES, _THEIRS, _write_csv, _read_csv, 424, "message"),
]
