"""Messages of ModelInfer that were damaged on their way: an answer or a refusal, and no memory."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphs
from planes import Plane, opened
from tiltyard_engine.codecs.oip import Signature
from tiltyard_engine.grpc.face import GrpcFace, Incoming, InferRequest, InferResponse
from tiltyard_engine.grpc.messages import DecodeError
from tiltyard_engine.http.message import Response

FLAT = 1 << 20
"""Bytes that a refusal may take; what shapes claim is a million times as much."""

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with opened(tmp_path_factory.mktemp("one"), {"m": graphs.scaled(2, width=3)}) as plane:
        yield plane


def question(shape: tuple[int, ...] = ROWS.shape, *, raw: bool = True) -> Any:
    message = InferRequest(model_name="tested")
    tensor = message.inputs.add(name="x", datatype="FP32", shape=shape)
    if raw:
        message.raw_input_contents.append(ROWS.tobytes())
    else:
        tensor.contents.fp32_contents.extend(ROWS.ravel().tolist())
    return message


def ask(plane: Plane, message: Any) -> Response:
    face = GrpcFace(plane.plan, Signature(plane.plan, plane.sizes.rows))
    given_back: list[Response] = []
    request = Incoming("POST", "", "", {}, b"", message)
    plane.app.infer(face, plane.served, request, given_back.append)
    plane.turns.until(lambda: bool(given_back))
    return given_back[0]


def check_fine(plane: Plane) -> None:
    answer = InferResponse.FromString(ask(plane, question()).body)
    assert answer.raw_output_contents[0] == (ROWS * 2).tobytes()


@given(
    raw=st.booleans(),
    at=st.integers(0, 100),
    put=st.binary(max_size=5),
    end=st.integers(0, 100),
)
def test_no_bytes_are_answered_by_a_fault_of_ours(
    one: Plane, *, raw: bool, at: int, put: bytes, end: int
) -> None:
    body = question(raw=raw).SerializeToString()
    for damaged in (body[:at] + put + body[at + len(put) :], body[:end], body[:at] + put):
        try:
            message = InferRequest.FromString(damaged)
        except DecodeError:
            continue  # the transport refuses it
        assert ask(one, message).status in (200, 400, 413)
    check_fine(one)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize(
    "shape",
    [(), (2,), (-2, 3), (-2, -3), (2**40, 3), (2**62, 3), (2**63 - 1, 3), (3, 2), (1,) * 40],
    ids=str,
)
def test_shapes_that_lie_are_refused_and_take_no_memory(
    one: Plane, shape: tuple[int, ...], *, raw: bool
) -> None:
    message = question(shape, raw=raw)
    tracemalloc.start()
    answer = ask(one, message)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status in (400, 413)
    assert peak < FLAT
    check_fine(one)
