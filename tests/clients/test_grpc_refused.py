"""What cannot be served over gRPC: what is said, and that nothing suffers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

import graphs
from bare_engines import Workshop
from grpc_served import SERVICE, Served, open_served, serving, typed
from waiting import eventually

pytestmark = pytest.mark.served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with open_served(tmp_path_factory.mktemp("grpc")) as found:
        yield found


def spoil(change: Callable[[Any], object]) -> Any:
    request = typed("plain", "float32", [[1.0, 2.0, 3.0]])
    change(request)
    return request


def raw(data: bytes, kind: str = "FP32", shape: tuple[int, ...] = (1, 3)) -> Any:
    request = service_pb2.ModelInferRequest(model_name="plain", raw_input_contents=[data])
    request.inputs.add(name="x", datatype=kind, shape=shape)
    return request


def shared(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"


def classified(request: Any) -> None:
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
            assert caught.value.code() is CODE.INVALID_ARGUMENT


def test_messages_over_the_limit_and_bombs(served: Served) -> None:
    large = raw(b"\0" * (2 << 20), shape=(1000, 3))
    with served.stub() as stub:
        for how in (None, grpc.Compression.Gzip):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelInfer(large, compression=how)
            assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
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
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelInfer(typed("slow", "float32", [[2e6]]), timeout=0.3)
        assert caught.value.code() is CODE.DEADLINE_EXCEEDED
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
        assert dict(caught.value.trailing_metadata())["x-tiltyard-reason"] == "ModelTimeout"
