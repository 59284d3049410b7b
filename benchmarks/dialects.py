"""The dialects of the servers: how rows are written into a body, and scores read from an answer."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray
from tritonclient.grpc import service_pb2

Columns = tuple[str, ...]
Row = list[float | int]
Headers = dict[str, str]

JSON = {"Content-Type": "application/json"}
ARROW = "application/vnd.apache.arrow.file"
MODEL = "fraud"  # whom a gRPC message is for; over HTTP the path says so


@dataclass(frozen=True)
class Dialect:
    """How a server wants rows and where its answer holds the scores."""

    write: Callable[[Columns, list[Row]], tuple[Headers, bytes]]
    read: Callable[[bytes], ArrayLike]


def _json(
    write: Callable[[Columns, list[Row]], object], read: Callable[[Any], ArrayLike]
) -> Dialect:
    """Make a dialect of JSON out of what it says."""
    return Dialect(
        write=lambda columns, rows: (JSON, orjson.dumps(write(columns, rows))),
        read=lambda answer: read(json.loads(answer)),
    )


def _v2_tensor(columns: Columns, rows: list[Row], **how: object) -> dict[str, object]:
    """Describe the rows as the one input of a model."""
    return {"name": "x", "shape": [len(rows), len(columns)], "datatype": "FP32", **how}


def _write_v2(columns: Columns, rows: list[Row]) -> object:
    """Write the rows as a flat list."""
    return {"inputs": [_v2_tensor(columns, rows, data=[value for row in rows for value in row])]}


def _write_binary(columns: Columns, rows: list[Row]) -> tuple[Headers, bytes]:
    """Write the rows behind a head of JSON, and ask for the scores in the same form."""
    data = _raw(rows)
    tensor = _v2_tensor(columns, rows, parameters={"binary_data_size": len(data)})
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return headers, head + data


def _read_binary(answer: bytes) -> ArrayLike:
    """Read the scores behind the head; that ends where its braces close."""
    _, end = json.JSONDecoder().raw_decode(answer.decode("latin-1"))
    return np.frombuffer(answer[end:], "<f4")


def _write_arrow(columns: Columns, rows: list[Row]) -> tuple[Headers, bytes]:
    """Write a column for each name, as a data frame would, and ask for an Arrow file back."""
    arrays = [pa.array(column) for column in np.array(rows, np.float32).T]
    batch = pa.record_batch(arrays, names=list(columns))
    sink = BytesIO()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {"Content-Type": ARROW, "Accept": ARROW}, sink.getvalue()


def _read_arrow(answer: bytes) -> ArrayLike:
    """Read the scores of every row."""
    with pa.ipc.open_file(answer) as reader:
        return [row["out"]["y"] for row in reader.read_all().to_pylist()]


def _write_grpc(columns: Columns, rows: list[Row]) -> tuple[Headers, bytes]:
    """Write a ModelInferRequest with raw contents, the cheapest form for every server."""
    message = service_pb2.ModelInferRequest(model_name=MODEL, raw_input_contents=[_raw(rows)])
    message.inputs.add(name="x", datatype="FP32", shape=[len(rows), len(columns)])
    return {}, message.SerializeToString()


def _read_grpc(answer: bytes) -> ArrayLike:
    """Read the scores, raw or typed: the server chooses."""
    message = service_pb2.ModelInferResponse.FromString(answer)
    if message.raw_output_contents:
        return np.frombuffer(message.raw_output_contents[0], "<f4")
    return list(message.outputs[0].contents.fp32_contents)


def _raw(rows: list[Row]) -> bytes:
    """Write the bare numbers."""
    return np.array(rows, "<f4").tobytes()


RECORDS = _json(
    write=lambda columns, rows: [dict(zip(columns, row, strict=True)) for row in rows],
    read=lambda answer: [row["out"]["y"] for row in answer],
)

DIALECTS = {
    "records": RECORDS,
    "records-outputs": RECORDS,  # the same bodies, asked for less in return
    "v2": _json(write=_write_v2, read=lambda answer: answer["outputs"][0]["data"]),
    "v2-binary": Dialect(_write_binary, _read_binary),
    "arrow": Dialect(_write_arrow, _read_arrow),
    "grpc": Dialect(_write_grpc, _read_grpc),
    "matrix": _json(write=lambda _, rows: {"x": rows}, read=lambda answer: answer["y"]),
}


def read_scores(dialect: str, answer: bytes) -> NDArray[np.float64]:
    """Take the scores out of an answer, to check that every server did the same work."""
    return np.asarray(DIALECTS[dialect].read(answer), np.float64).ravel()
