"""Calls of the Open Inference Protocol on a plane."""

import json
from collections.abc import Mapping
from typing import Any

from planes import Answer, Plane

INFER = "/v2/models/tested/infer"
HEADER = "Inference-Header-Content-Length"


def tensor(**fields: object) -> dict[str, Any]:
    """A good input, with fields changed; None leaves one out."""
    good = {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}
    return {key: value for key, value in (good | fields).items() if value is not None}


def infer(plane: Plane, *inputs: Mapping[str, Any], path: str = INFER, **more: object) -> Answer:
    """Send inputs as JSON."""
    return plane.send(path, json.dumps({"inputs": inputs, **more}).encode())


def with_bytes(plane: Plane, data: bytes, *inputs: Mapping[str, Any], **more: object) -> Answer:
    """Send inputs whose numbers follow the JSON as bytes."""
    text = json.dumps({"inputs": inputs, **more}).encode()
    return plane.send(INFER, text + data, {HEADER: str(len(text))})


def sized(size: int, **fields: object) -> dict[str, Any]:
    """An input of so many bytes, which follow the JSON."""
    return tensor(data=None, parameters={"binary_data_size": size}, **fields)
