"""Asks by KServe's clients; prints the scores by the way they came."""

import asyncio
import json
import sys

from kserve import InferInput, InferRequest, RESTConfig
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient

asked = json.load(sys.stdin)
NAME, ROWS = asked["pipeline"], asked["rows"]
SHAPE = [len(ROWS), len(ROWS[0])]


def question() -> InferRequest:
    values = [value for row in ROWS for value in row]
    tensor = InferInput(asked["input"], SHAPE, "FP32", data=values)
    return InferRequest(NAME, [tensor], request_id="order-66")


def binary_question() -> InferRequest:
    import numpy as np  # noqa: PLC0415 - one way of several

    tensor = InferInput(asked["input"], SHAPE, "FP32")
    tensor.set_data_from_numpy(np.array(ROWS, np.float32), binary_data=True)
    return InferRequest(NAME, [tensor], request_id="order-66")


def scores(answer: object) -> list[float]:
    assert answer.id == "order-66"
    (output,) = answer.outputs
    assert output.name == asked["output"]
    return output.as_numpy().ravel().tolist()


async def over_rest() -> dict[str, list[float]]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    url = asked["url"]
    try:
        assert await client.is_server_live(url)
        assert await client.is_server_ready(url)
        assert await client.is_model_ready(url, NAME)
        return {
            "rest": scores(await client.infer(url, question(), model_name=NAME)),
            "rest, binary": scores(await client.infer(url, binary_question(), model_name=NAME)),
        }
    finally:
        await client.close()


async def over_grpc() -> dict[str, list[float]]:
    client = InferenceGRPCClient(asked["grpc"])
    try:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(NAME)
        return {
            "grpc": scores(await client.infer(question())),
            "grpc, raw": scores(await client.infer(binary_question())),
        }
    finally:
        await client.close()


async def main() -> dict[str, list[float]]:
    return {**await over_rest(), **await over_grpc()}


json.dump(asyncio.run(main()), sys.stdout)
