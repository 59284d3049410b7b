"""Stock clients of the Open Inference Protocol over gRPC."""

import asyncio
import json
from collections.abc import Iterator
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
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from grpc_served import FIELDS, SERVICE, TRITON, Served, f4, open_served, tensor, typed

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_served(tmp_path_factory.mktemp("grpc")) as found:
        yield found


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

        def served_by(**how: Any) -> float:
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


def test_calls_are_counted_by_protocol(served: Served) -> None:
    name, labels = "tiltyard_requests_total", {"pipeline": "lengths", "protocol": "grpc"}
    with served.stub() as stub:
        stub.ModelInfer(typed("lengths", "float32", [[1.0, 2.0]]))
        with pytest.raises(grpc.RpcError):
            stub.ModelInfer(typed("lengths", "string", [["a"]]))
    assert served.engine.metric(name, **labels, code="200") == 1
    assert served.engine.metric(name, **labels, code="400") == 1


def test_what_leads_to_no_pipeline_is_counted_too(served: Served) -> None:
    labels = {"pipeline": "", "protocol": "grpc", "code": "404"}
    before = served.engine.metric("tiltyard_requests_total", **labels)
    with served.stub() as stub, pytest.raises(grpc.RpcError):
        stub.ModelInfer(typed("nobody", "float32", [[1.0]]))
    assert served.engine.metric("tiltyard_requests_total", **labels) == before + 1


def test_the_health_service(served: Served) -> None:
    with grpc.insecure_channel(served.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", SERVICE, "split"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
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

    def compare(mine: Any, other: Any) -> None:
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
