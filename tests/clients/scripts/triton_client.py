"""Asks by Triton's clients, HTTP and gRPC, sync and async; prints the scores by the way they came.

Shared memory is refused by both, in words.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from queue import Queue

import numpy as np
import tritonclient.grpc as by_grpc
import tritonclient.grpc.aio as by_grpc_aio
import tritonclient.http as by_http
import tritonclient.http.aio as by_http_aio
from tritonclient.utils import InferenceServerException

asked = json.load(sys.stdin)
NAME, INPUT, OUTPUT = asked["pipeline"], asked["input"], asked["output"]
ROWS = np.array(asked["rows"], np.float32)
HTTP = asked["url"].removeprefix("http://")
WAIT = 20
found = {}


def tensor(module: object, **how: bool) -> list[object]:
    made = module.InferInput(INPUT, list(ROWS.shape), "FP32")
    made.set_data_from_numpy(ROWS, **how)
    return [made]


def scores(answer: object) -> list[float]:
    return answer.as_numpy(OUTPUT).ravel().tolist()


def check_health(client: object) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(NAME)
    assert not client.is_model_ready("nobody")


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except InferenceServerException as problem:
        return problem.message()
    raise AssertionError("it was not refused")


def check_refusals(client: object, module: object) -> None:
    wrong = module.InferInput(INPUT, [1, 3], "FP32")
    wrong.set_data_from_numpy(np.zeros((1, 3), np.float32))
    assert INPUT in refusal(lambda: client.infer(NAME, [wrong]))
    assert "nobody" in refusal(lambda: client.infer("nobody", tensor(module)))
    for call in (
        lambda: client.register_system_shared_memory("region", "/region", 64),
        client.get_system_shared_memory_status,
    ):
        assert "sharedmemory" in refusal(call).lower().replace(" ", "")


def over_http() -> None:
    with by_http.InferenceServerClient(HTTP) as client:
        check_health(client)
        assert client.get_server_metadata()["name"]
        metadata = client.get_model_metadata(NAME)
        (taken,), (given,) = metadata["inputs"], metadata["outputs"]
        assert (taken["name"], taken["datatype"], taken["shape"]) == (INPUT, "FP32", [-1, 10])
        assert (given["name"], given["datatype"], given["shape"]) == (OUTPUT, "FP32", [-1, 1])
        for binary_in in (True, False):
            for binary_out in (True, False):
                inputs = tensor(by_http, binary_data=binary_in)
                outputs = [by_http.InferRequestedOutput(OUTPUT, binary_data=binary_out)]
                answer = client.infer(NAME, inputs, outputs=outputs, request_id="order-66")
                assert answer.get_response()["id"] == "order-66"
                found[f"http, binary in {binary_in}, out {binary_out}"] = scores(answer)
        found["http, no outputs named"] = scores(client.infer(NAME, tensor(by_http)))
        later = client.async_infer(NAME, tensor(by_http))
        found["http, async"] = scores(later.get_result(timeout=WAIT))
        packed = client.infer(NAME, tensor(by_http), request_compression_algorithm="gzip")
        found["http, gzip"] = scores(packed)
        assert (
            "encoding"
            in refusal(
                lambda: client.infer(NAME, tensor(by_http), request_compression_algorithm="deflate")
            ).lower()
        )
        check_refusals(client, by_http)


def over_grpc() -> None:
    with by_grpc.InferenceServerClient(asked["grpc"]) as client:
        check_health(client)
        assert client.get_server_metadata().name
        metadata = client.get_model_metadata(NAME)
        (taken,), (given,) = metadata.inputs, metadata.outputs
        assert (taken.name, taken.datatype, list(taken.shape)) == (INPUT, "FP32", [-1, 10])
        assert (given.name, given.datatype, list(given.shape)) == (OUTPUT, "FP32", [-1, 1])
        outputs = [by_grpc.InferRequestedOutput(OUTPUT)]
        answer = client.infer(NAME, tensor(by_grpc), outputs=outputs, request_id="order-66")
        assert answer.get_response().id == "order-66"
        found["grpc"] = scores(answer)
        answers = Queue()
        client.async_infer(
            NAME, tensor(by_grpc), lambda result, error: answers.put((result, error))
        )
        result, error = answers.get(timeout=WAIT)
        assert error is None, error
        found["grpc, async"] = scores(result)
        check_refusals(client, by_grpc)


async def over_aio() -> None:
    async with by_http_aio.InferenceServerClient(HTTP) as client:
        assert await client.is_server_ready()
        found["http, aio"] = scores(await client.infer(NAME, tensor(by_http_aio)))
    async with by_grpc_aio.InferenceServerClient(asked["grpc"]) as client:
        assert await client.is_server_ready()
        found["grpc, aio"] = scores(await client.infer(NAME, tensor(by_grpc_aio)))


over_http()
over_grpc()
asyncio.run(over_aio())
json.dump(found, sys.stdout)
