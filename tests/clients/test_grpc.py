"""The gRPC port by stock clients: Triton's, and those of health and reflection."""

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import graphs
from bare_engines import HOST, Compiled, Engine, Workshop, eventually, running
from planes import shadow, split

pytestmark = pytest.mark.served

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
def held_port() -> Iterator[int]:
    """Hold a port that engines can share."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def serving(
    workshop: Workshop,
    *pipelines: Compiled,
    flags: tuple[str, ...] = (),
    **more: Any,  # noqa: ANN401
) -> Iterator[Served]:
    with held_port() as port:
        flags = ("--grpc-port", str(port), *flags)
        with running(workshop, *pipelines, flags=flags, **more) as engine:
            yield Served(engine, f"{HOST}:{port}")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workshop = Workshop(tmp_path_factory.mktemp("grpc"))
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


def tensor(name: str, values: Any) -> Any:  # noqa: ANN401 - arrays of any type
    array = np.asarray(values)
    kind = "string" if array.dtype.kind in "OSU" else array.dtype.name
    made = triton.InferInput(name, list(array.shape), TRITON[kind])
    made.set_data_from_numpy(array.astype(object) if kind == "string" else array)
    return made


def f4(*rows: Any) -> Any:  # noqa: ANN401 - arrays
    return np.array(rows, np.float32)


VALUES: dict[str, list[list[Any]]] = {
    kind: [[0, 1], [2, 127]] for kind in TRITON if "int" in kind
} | {
    "float16": [[0.5, -65504.0], [float("nan"), float("-inf")]],
    "float32": [[0.1, -0.0], [float("nan"), 3.4e38]],
    "float64": [[0.1, -0.0], [float("nan"), 1.7e308]],
    "bool": [[True, False], [False, True]],
    "string": [["", "é"], ["a" * 1000, "\x00"]],
}


@pytest.mark.parametrize("kind", TRITON)
def test_every_datatype_goes_through_bit_for_bit(served: Served, kind: str) -> None:
    values = np.array(VALUES[kind], object if kind == "string" else kind)
    with served.client() as client:
        answer = client.infer(f"give-{kind}", [tensor("x", values)])
        found = answer.as_numpy("y")
        assert answer.get_response().outputs[0].datatype == TRITON[kind]
    if kind == "string":
        assert [[text.decode() for text in row] for row in found] == VALUES[kind]
    else:
        assert found.dtype == values.dtype
        assert found.tobytes() == values.tobytes()


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


def typed(pipeline: str, kind: str, rows: list[list[Any]], name: str = "x") -> Any:  # noqa: ANN401
    request = service_pb2.ModelInferRequest(model_name=pipeline)
    shape = [len(rows), len(rows[0])]
    sent = request.inputs.add(name=name, datatype=TRITON[kind], shape=shape)
    flat = [one.encode() if isinstance(one, str) else one for row in rows for one in row]
    getattr(sent.contents, FIELDS[kind]).extend(flat)
    return request


@pytest.mark.parametrize("kind", FIELDS)
def test_typed_contents_are_answered_with_typed_contents(served: Served, kind: str) -> None:
    with served.stub() as stub:
        request = typed(f"give-{kind}", kind, VALUES[kind])
        answer = stub.ModelInfer(request)
    (output,) = answer.outputs
    assert not answer.raw_output_contents
    assert list(output.shape) == [2, 2]
    assert output.contents.SerializeToString() == request.inputs[0].contents.SerializeToString()


def test_what_has_no_typed_form_is_answered_raw(served: Served) -> None:
    with served.stub() as stub:
        answer = stub.ModelInfer(typed("give-float16", "float32", [[1.0, 2.0]]))
    assert np.frombuffer(answer.raw_output_contents[0], np.float16).tolist() == [1, 2]


def test_images_and_several_inputs(served: Served) -> None:
    picture = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    columns = [
        tensor("a", f4(0.5)),
        tensor("b", np.array([2])),
        tensor("c", np.array([True])),
        tensor("d", np.array(["é"], object)),
    ]
    with served.client() as client:
        doubled = client.infer("image", [tensor("x", picture)]).as_numpy("y")
        assert doubled.tolist() == (picture * 2).tolist()
        answer = client.infer("kinds", columns)
        assert answer.as_numpy("total").tolist() == [2.5]
        assert answer.as_numpy("flag").tolist() == [True]
        assert answer.as_numpy("label")[0].decode() == "é"
        only = [triton.InferRequestedOutput("flag")]
        some = client.infer("kinds", columns, outputs=only)
        assert [one.name for one in some.get_response().outputs] == ["flag"]


def test_metadata_and_readiness(served: Served) -> None:
    with served.client() as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.get_server_metadata().name == "tiltyard"
        for name, version, ready in (
            ("split", "", True),
            ("split", "a", True),
            ("split", "c", False),
            ("plain", "m", False),
            ("nobody", "", False),
        ):
            assert client.is_model_ready(name, version) is ready, (name, version)
        told = client.get_model_metadata("split", as_json=True)
        assert told["versions"] == ["a", "b"]
        assert told["inputs"] == [
            {"name": "x", "datatype": "FP32", "shape": ["-1", "1"]},
            {"name": "k", "datatype": "BYTES", "shape": ["-1"]},
        ]
        assert told["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "1"]}]
        for name, version in (("nobody", ""), ("split", "c")):
            with pytest.raises(InferenceServerException, match=r"there: "):
                client.get_model_metadata(name, version)


def test_versions_pin_and_ids_come_back(served: Served) -> None:
    sent = [tensor("x", f4([1.0]))]
    with served.client() as client:
        for variant, factor in (("a", 2.0), ("b", 3.0)):
            answer = client.infer("split", sent, model_version=variant, request_id="order-66")
            told = answer.get_response(as_json=True)
            assert answer.as_numpy("y").tolist() == [[factor]]
            assert (told["id"], told["model_version"]) == ("order-66", variant)
            assert told["parameters"]["variants"] == {"string_param": f"price={variant}"}
            assert told["parameters"]["inference_id"]["string_param"]
            pinned = client.infer("split", sent, headers={"x-tiltyard-variant": f"price={variant}"})
            assert pinned.as_numpy("y").tolist() == [[factor]]


def test_keys_ids_and_headers_draw_as_everywhere(served: Served) -> None:
    one = tensor("x", f4([1.0]))
    with served.client() as client:

        def served_by(**how: Any) -> float:  # noqa: ANN401 - arguments of the client
            return float(client.infer(inputs=[one], **how).as_numpy("y")[0][0])

        by_id = {n: served_by(model_name="by-id", request_id=f"id-{n}") for n in range(30)}
        assert set(by_id.values()) == {2.0, 3.0}
        again = {n: served_by(model_name="by-id", request_id=f"id-{n}") for n in range(30)}
        assert again == by_id
        users = {
            n: served_by(model_name="by-header", headers={"x-user": f"u{n}"}) for n in range(30)
        }
        assert set(users.values()) == {2.0, 3.0}
        count = 40
        keys = np.array([f"user-{n}" for n in range(count)], object)
        batch = [tensor("x", np.ones((count, 1), np.float32)), tensor("k", keys)]
        divided = client.infer("split", batch)
        assert set(divided.as_numpy("y").ravel().tolist()) == {2.0, 3.0}
        records = [{"x": 1.0, "k": key} for key in keys]
    with served.engine.connect() as client:
        body = json.dumps(records).encode()
        head = f"POST /pipelines/split HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
        client.send(head.encode() + body)
        rows = client.answer().json
    assert [row["out"]["y"] for row in rows] == divided.as_numpy("y").tolist()


def test_challengers_answer_beside(served: Served) -> None:
    with served.client() as client:
        answer = client.infer("beside", [tensor("x", f4([1.0]))])
    assert answer.as_numpy("y").tolist() == [[2.0]]
    assert answer.as_numpy("out_b.y").tolist() == [[3.0]]


def test_the_async_client(served: Served) -> None:
    async def ask() -> list[float]:
        async with triton_aio.InferenceServerClient(served.address) as client:
            calls = [client.infer("plain", [tensor("x", f4([n, n, n]))]) for n in range(50)]
            return [float(one.as_numpy("y")[0][0]) for one in await asyncio.gather(*calls)]

    assert asyncio.run(ask()) == [2.0 * n for n in range(50)]


def spoil(change: Callable[[Any], object]) -> Any:  # noqa: ANN401 - messages
    request = typed("plain", "float32", [[1.0, 2.0, 3.0]])
    change(request)
    return request


def raw(data: bytes, kind: str = "FP32", shape: tuple[int, ...] = (1, 3)) -> Any:  # noqa: ANN401
    request = service_pb2.ModelInferRequest(model_name="plain", raw_input_contents=[data])
    request.inputs.add(name="x", datatype=kind, shape=shape)
    return request


def shared(request: Any) -> None:  # noqa: ANN401 - messages
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"


def classified(request: Any) -> None:  # noqa: ANN401 - messages
    request.outputs.add(name="y").parameters["classification"].int64_param = 3


CODE = grpc.StatusCode
REFUSED = {
    "no pipeline": (
        spoil(lambda r: setattr(r, "model_name", "no")),
        "UnknownPipeline",
        CODE.NOT_FOUND,
    ),
    "no variant": (spoil(lambda r: setattr(r, "model_version", "1")), "UnknownVariant", None),
    "no inputs": (spoil(lambda r: r.ClearField("inputs")), "MissingColumn", None),
    "another input": (typed("plain", "float32", [[1.0]], "z"), "UnknownParameter", None),
    "twice": (spoil(lambda r: r.inputs.append(r.inputs[0])), "MalformedBody", None),
    "too few elements": (raw(b"\0" * 8), "ShapeMismatch", None),
    "no elements": (spoil(lambda r: r.inputs[0].ClearField("contents")), "ShapeMismatch", None),
    "elements in another field": (
        spoil(lambda r: r.inputs[0].MergeFrom(type(r.inputs[0])(datatype="FP64"))),
        "ShapeMismatch",
        None,
    ),
    "another shape": (raw(b"\0" * 16, shape=(1, 4)), "ShapeMismatch", None),
    "a negative length": (raw(b"\0" * 12, shape=(-1, 3)), "ShapeMismatch", None),
    "lengths beyond all": (raw(b"\0" * 12, shape=(2**40, 3)), None, None),
    "lengths that overflow": (raw(b"\0" * 12, shape=(2**62, 3)), None, None),
    "no rows": (raw(b"", shape=(0, 3)), "EmptyBatch", None),
    "too many rows": (raw(b"\0" * 12012, shape=(1001, 3)), "TooManyRows", CODE.RESOURCE_EXHAUSTED),
    "no datatype": (raw(b"\0" * 12, kind="BF16"), "WrongType", None),
    "texts for numbers": (raw(b"\0" * 12, kind="BYTES"), "WrongType", None),
    "contents too many": (
        spoil(lambda r: r.raw_input_contents.extend([b"", b""])),
        "MalformedBody",
        None,
    ),
    "too small an integer": (typed("give-int8", "int8", [[1, 300]]), "OutOfRange", None),
    "shared memory": (spoil(shared), "UnknownParameter", None),
    "classification": (spoil(classified), "UnknownParameter", None),
    "another output": (spoil(lambda r: r.outputs.add(name="q")), "UnknownParameter", None),
    "text that is none": (
        typed("give-string", "string", [["", ""]]).FromString(
            typed("give-string", "string", [["AA", "BB"]])
            .SerializeToString()
            .replace(b"AA", b"\xff\xfe")
        ),
        "MalformedBody",
        None,
    ),
    "a model that fails": (typed("picky", "int64", [[7]]), "ModelFailed", CODE.INTERNAL),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_why(served: Served, case: str) -> None:
    request, reason, code = REFUSED[case]
    with served.stub() as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(request)
        error: Any = caught.value
        told = dict(error.trailing_metadata())
        if reason:
            assert told["x-tiltyard-reason"] == reason, error.details()
        assert error.details().startswith(f"{told['x-tiltyard-reason']}: ")
        if code or reason:
            assert error.code() is (code or CODE.INVALID_ARGUMENT)
        fine = stub.ModelInfer(typed("plain", "float32", [[1.0, 2.0, 3.0]]))
    assert list(fine.outputs[0].contents.fp32_contents) == [2, 4, 6]


def test_bytes_that_are_no_message(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        ask = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        for body in (b"\xff" * 10, b"\x0a\x05ab", b"x"):
            with pytest.raises(grpc.RpcError) as caught:
                ask(body)
            assert caught.value.code() is CODE.INVALID_ARGUMENT  # type: ignore[attr-defined]


def test_messages_over_the_limit_and_bombs(served: Served) -> None:
    large = raw(b"\0" * (2 << 20), shape=(1000, 3))
    with served.stub() as stub:
        for how in (None, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(large, compression=how)
            assert caught.value.code() is CODE.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
        packed = stub.ModelInfer(
            typed("plain", "float32", [[1.0, 2.0, 3.0]]), compression=grpc.Compression.Gzip
        )
        assert list(packed.outputs[0].contents.fp32_contents) == [2, 4, 6]


def test_shared_memory_calls_are_refused_in_words(served: Served) -> None:
    with served.client() as client:
        for call in (
            lambda: client.register_system_shared_memory("r", "/r", 64),
            client.get_system_shared_memory_status,
            client.get_cuda_shared_memory_status,
            client.unregister_system_shared_memory,
        ):
            with pytest.raises(InferenceServerException, match="shared memory is not offered"):
                call()
        with pytest.raises(InferenceServerException, match="not offered"):
            client.get_inference_statistics()


def test_deadlines_are_honoured_and_leave_nothing_behind(served: Served) -> None:
    in_flight = "tiltyard_in_flight_requests"
    with served.stub() as stub:
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(typed("slow", "float32", [[2e6]]), timeout=0.3)
        assert time.monotonic() - begun < 3
        assert caught.value.code() is CODE.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
        later = stub.ModelInfer.future(typed("slow", "float32", [[2e6]]))
        eventually(lambda: served.engine.metric(in_flight), lambda n: n > 0)
        later.cancel()
        assert stub.ModelInfer(typed("slow", "float32", [[1.0]])).outputs
    eventually(lambda: served.engine.metric(in_flight), lambda n: n == 0)


def test_a_model_that_takes_too_long(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    one = [{"name": "run", "model": "m"}]
    slow = workshop.compile("slow", {"m": graphs.endless()}, one, m={"timeout": "200ms"})
    with serving(workshop, slow) as served, served.stub() as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(typed("slow", "float32", [[2e6]]))
        assert dict(caught.value.trailing_metadata())["x-tiltyard-reason"] == "ModelTimeout"  # type: ignore[attr-defined]


def test_calls_are_counted_by_protocol(served: Served) -> None:
    name, labels = "tiltyard_requests_total", {"pipeline": "lengths", "protocol": "grpc"}
    with served.stub() as stub:
        stub.ModelInfer(typed("lengths", "float32", [[1.0, 2.0]]))
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(typed("lengths", "string", [["a"]]))
    assert served.engine.metric(name, **labels, code="200") == 1
    assert served.engine.metric(name, **labels, code="400") == 1


def test_the_health_service(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE, "split"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is CODE.NOT_FOUND  # type: ignore[attr-defined]
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        assert next(iter(unknown)).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()


def test_reflection_tells_every_service(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        names = set(database.get_services())
        assert {SERVICE, "grpc.health.v1.Health"} <= names
        pool = DescriptorPool(database)
        service = pool.FindServiceByName(SERVICE)
        assert "ModelInfer" in service.methods_by_name
        request = pool.FindMessageTypeByName("inference.ModelInferRequest")
        assert request.fields_by_name["raw_input_contents"].number == 7
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName("inference.Nothing")


def test_our_fields_have_the_numbers_of_the_protocol() -> None:
    from tiltyard_engine.grpc.messages import POOL  # noqa: PLC0415 - after the client's own stubs

    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    file = POOL.FindFileByName("inference.proto")

    def compare(mine: Any, other: Any) -> None:  # noqa: ANN401 - descriptors
        for field in mine.fields:
            same = other.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (
                same.number,
                same.type,
                same.is_repeated,
            ), field.full_name
        for nested in mine.nested_types:
            compare(nested, other.nested_types_by_name[nested.name])

    for name, mine in file.message_types_by_name.items():
        compare(mine, theirs[name])


@dataclass
class Load:
    """What became of the calls of clients that never stop."""

    answered: int = 0
    lost: list[str] | None = None


def pressed(address: str, ended: threading.Event, rounds: Iterator[int]) -> Load:
    """Ask until told to end; what is refused because the engine ends is tried no more."""
    load = Load(lost=[])
    with grpc.insecure_channel(address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        while not ended.is_set():
            n = float(next(rounds) % 1000)
            try:
                answer = stub.ModelInfer(typed("plain", "float32", [[n, n, n]]), timeout=PATIENCE)
            except grpc.RpcError as error:
                if error.code() is not CODE.UNAVAILABLE:  # type: ignore[attr-defined]
                    load.lost.append(str(error))  # type: ignore[union-attr]
                break
            assert list(answer.outputs[0].contents.fp32_contents) == [2 * n] * 3
            load.answered += 1
    return load


def test_two_workers_drain_under_load(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    plain = workshop.compile("plain", {"m": graphs.scaled(2, 3)}, [{"name": "run", "model": "m"}])
    ended, rounds = threading.Event(), itertools.count()
    with (
        serving(workshop, plain, workers=2, drain_delay="200ms") as served,
        ThreadPoolExecutor(8) as clients,
        grpc.insecure_channel(served.address) as channel,
    ):
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        seen = iter(watched)
        assert next(seen).status == health_pb2.HealthCheckResponse.SERVING
        loads = [clients.submit(pressed, served.address, ended, rounds) for _ in range(8)]
        labels = {"protocol": "grpc", "code": "200"}
        eventually(
            lambda: served.engine.metric("tiltyard_requests_total", **labels), lambda n: n > 200
        )
        begun = time.monotonic()
        assert served.engine.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun < 10, "open streams must not hold the end up"
        ended.set()
        assert [one.status for one in seen][-1] == health_pb2.HealthCheckResponse.NOT_SERVING
        found = [load.result() for load in loads]
    assert [load.lost for load in found] == [[]] * 8
    assert sum(load.answered for load in found) > 200


def test_a_call_that_runs_is_finished_by_the_drain(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    one = [{"name": "run", "model": "m"}]
    slow = workshop.compile("slow", {"m": graphs.endless()}, one, m={"timeout": "1500ms"})
    with serving(workshop, slow) as served, served.stub() as stub:
        later = stub.ModelInfer.future(typed("slow", "float32", [[2e6]]))
        eventually(lambda: served.engine.metric("tiltyard_in_flight_requests"), lambda n: n > 0)
        assert served.engine.end() == 0
        assert dict(later.trailing_metadata())["x-tiltyard-reason"] == "ModelTimeout"


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    import subprocess  # noqa: PLC0415 - here alone

    workshop = Workshop(tmp_path)
    plain = workshop.compile("plain", {"m": graphs.scaled(2, 3)}, [{"name": "run", "model": "m"}])
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ("--port", "0", "--management-port", "0", "--grpc-port", port)
        done = subprocess.run(
            workshop.command([plain], *flags), capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
