"""Two more faces as their clients speak them: Arrow, in both its forms, and gRPC over a socket."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
from tritonclient.grpc import service_pb2, service_pb2_grpc

from bare_engines import HOST
from planes import Answer, Plane
from spoken import NAME, OURS, Asked, Face, Numbers, Told, missing, only, prefixed
from tables import FILE, STREAM, packed, unpacked
from tiltyard_engine.grpc.server import GrpcServer
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import bind

STATUS_OF = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 413,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
}


def _arrow(media: str, kind: Any) -> Face:
    def write(asked: Asked) -> tuple[bytes, Mapping[str, str]]:
        columns = {"x": pa.array(asked.xs, kind)}
        if asked.users:
            columns["user"] = pa.array(asked.users)
        return packed(columns, media), {}

    def read(answer: Answer, name: str) -> Numbers:
        table = unpacked(answer.body, media)
        group = "out" if name == "y" else "out_other"
        if group not in table.column_names:
            return []
        return missing(only(row["y"]) for row in table.column(group).to_pylist())

    headers = {"Content-Type": media, "Accept": media}
    name = f"arrow {media.rpartition('.')[2]}"
    return Face(name, "records", f"/pipelines/{NAME}", headers, OURS, write, read)


@dataclass(frozen=True)
class GrpcFace:
    """ModelInfer with one kind of contents, by a real channel to a real server."""

    name: str
    raw: bool
    protocol: str = "grpc"
    failed: int = 500

    def ask(self, plane: Plane, asked: Asked) -> Told:
        """Ask in this form."""
        return asyncio.run(self._ask(plane, asked))

    async def _ask(self, plane: Plane, asked: Asked) -> Told:
        """The plane's turns are those of the loop that the server lives in."""
        server = GrpcServer(plane.app, [plane.served], plane.sizes, Limits())
        (listening,) = bind(HOST, 0, 1)
        with listening:
            await server.start(listening)
            port = listening.getsockname()[1]
            async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
                stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                metadata = [("x-tiltyard-variant", asked.pin)] if asked.pin else []
                call = stub.ModelInfer(self._message(asked), metadata=metadata)
                turning = asyncio.create_task(_turn(plane))
                try:
                    message = await call
                    told = self._told(message, await call.trailing_metadata())
                except grpc.aio.AioRpcError as error:
                    told = _refused(error)
                turning.cancel()
            server.stop_accepting()
            await server.finished(0)
        plane.turns.idle()
        return told

    def _message(self, asked: Asked) -> Any:
        message = service_pb2.ModelInferRequest(model_name=NAME, id=asked.own_id or "")
        columns: list[tuple[str, str, list[int], str, list[Any]]] = [
            ("x", "FP32", [len(asked.xs), 1], "fp32_contents", list(asked.xs))
        ]
        if asked.users:
            texts = [user.encode() for user in asked.users]
            columns.append(("user", "BYTES", [len(texts)], "bytes_contents", texts))
        for name, datatype, shape, field, values in columns:
            tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
            if self.raw:
                message.raw_input_contents.append(_bytes(values))
            else:
                getattr(tensor.contents, field).extend(values)
        return message

    def _told(self, message: Any, metadata: Any) -> Told:
        assert bool(message.raw_output_contents) == self.raw
        given: dict[str, Numbers] = {}
        for at, output in enumerate(message.outputs):
            values = output.contents.fp32_contents
            if self.raw:
                values = np.frombuffer(message.raw_output_contents[at], "<f4").tolist()
            given[output.name] = missing(values)
        absent = message.parameters["absent"].string_param
        answer = Answer(200, _headers(metadata), b"")
        return Told(
            200, given["y"], given.get("out_other.y", []), None, None, answer, absent=absent
        )


async def _turn(plane: Plane) -> None:
    while True:
        plane.turns.idle()
        await asyncio.sleep(0)


def _bytes(values: list[Any]) -> bytes:
    if isinstance(values[0], bytes):
        return b"".join(map(prefixed, values))
    return np.array(values, "<f4").tobytes()


def _refused(error: Any) -> Told:
    headers = _headers(error.trailing_metadata())
    answer = Answer(STATUS_OF[error.code()], headers, b"")
    return Told(answer.status, [], [], headers["X-Tiltyard-Reason"], error.details(), answer)


def _headers(metadata: Any) -> dict[str, str]:
    """Metadata as headers, which are written with capitals."""
    return {name.title(): value for name, value in metadata}


FACES = [
    _arrow(FILE, pa.float32()),
    _arrow(STREAM, pa.float64()),
    GrpcFace("grpc typed", raw=False),
    GrpcFace("grpc raw", raw=True),
]
