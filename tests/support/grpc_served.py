"""Engines that are spoken to over gRPC, and messages for them."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

import graphs
from bare_engines import HOST, Compiled, Engine, Workshop, running
from planes import shadow, split

SERVICE = "inference.GRPCInferenceService"
TRITON = {
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bool": "BOOL",
    "string": "BYTES",
    **{f"{u}int{n}": f"{u}int{n}".upper() for u in ("", "u") for n in (8, 16, 32, 64)},
}
PATIENCE = 30


@dataclass
class Served:
    engine: Engine
    address: str

    @contextlib.contextmanager
    def client(self) -> Iterator[Any]:
        with triton.InferenceServerClient(self.address) as client:
            yield client

    @contextlib.contextmanager
    def stub(self, *options: tuple[str, int]) -> Iterator[Any]:
        with grpc.insecure_channel(self.address, options) as channel:
            yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@contextlib.contextmanager
def serving(
    workshop: Workshop,
    *pipelines: Compiled,
    **more: Any,
) -> Iterator[Served]:
    with running(workshop, *pipelines, grpc=True, **more) as engine:
        yield Served(engine, f"{HOST}:{engine.grpc_port}")


@contextlib.contextmanager
def open_served(folder: Path) -> Iterator[Served]:
    """Serve every Pipeline that the tests of gRPC speak to."""
    workshop = Workshop(folder)
    kinds = {f"give-{kind}": graphs.identity(kind, ("N", 2)) for kind in TRITON}
    one = [{"name": "run", "model": "m"}]
    pipelines = [
        *(
            workshop.compile(name, {"m": graph}, one)
            for name, graph in {
                **kinds,
                "plain": graphs.scaled(2, 3),
                "kinds": graphs.several_inputs(),
                "image": graphs.image(),
                "slow": graphs.endless(),
                "picky": graphs.picky(),
                "lengths": graphs.row_sums(),
            }.items()
        ),
        workshop.compile("boxes", {"m": graphs.detector()}, one, m={"batch": "single"}),
        workshop.compile(
            "split",
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            [split("a", "b", field="k")],
        ),
        workshop.compile(
            "by-header",
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            [split("a", "b", header="x-user")],
        ),
        workshop.compile(
            "by-id", {"a": graphs.scaled(2), "b": graphs.scaled(3)}, [split("a", "b")]
        ),
        workshop.compile(
            "beside",
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            [shadow("a", "b", outputs="respond", budget="20s")],
        ),
    ]
    with serving(workshop, *pipelines, flags=("--max-body", "1Mi", "--max-rows", "1000")) as found:
        yield found


def tensor(name: str, values: Any) -> Any:
    array = np.asarray(values)
    kind = "string" if array.dtype.kind in "OSU" else array.dtype.name
    made = triton.InferInput(name, list(array.shape), TRITON[kind])
    made.set_data_from_numpy(array.astype(object) if kind == "string" else array)
    return made


def f4(*rows: Any) -> Any:
    return np.array(rows, np.float32)


FIELDS = {
    "bool": "bool_contents",
    "int8": "int_contents",
    "int16": "int_contents",
    "int32": "int_contents",
    "int64": "int64_contents",
    "uint8": "uint_contents",
    "uint16": "uint_contents",
    "uint32": "uint_contents",
    "uint64": "uint64_contents",
    "float32": "fp32_contents",
    "float64": "fp64_contents",
    "string": "bytes_contents",
}


def typed(pipeline: str, kind: str, rows: list[list[Any]], name: str = "x") -> Any:
    request = service_pb2.ModelInferRequest(model_name=pipeline)
    shape = [len(rows), len(rows[0])]
    sent = request.inputs.add(name=name, datatype=TRITON[kind], shape=shape)
    flat = [one.encode() if isinstance(one, str) else one for row in rows for one in row]
    getattr(sent.contents, FIELDS[kind]).extend(flat)
    return request
