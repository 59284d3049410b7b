"""The Open Inference Protocol with long arrays: read alike by every way, and copied seldom."""

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import graphs
from planes import opened
from tiltyard_engine.codecs import numbers
from tiltyard_engine.sizes import Sizes
from v2 import HEADER, INFER, infer, sized, tensor

BULK = (1024, 1 << 14)
"""Rows of 64 KiB, 64 MiB in all."""


@pytest.mark.parametrize(("skew", "copies"), [(0, 1), (1, 2)], ids=["aligned", "not aligned"])
def test_a_large_binary_tensor_is_copied_once_each_way_at_most(
    tmp_path: Path, skew: int, copies: int
) -> None:
    """The answer's bytes are one copy; the request's are used in place, if models can read them."""
    values = np.arange(math.prod(BULK), dtype=np.float32).reshape(BULK)
    sent = sized(values.nbytes, shape=list(BULK))
    head = json.dumps({"inputs": [sent], "parameters": {"binary_data_output": True}}).encode()
    head += b" " * (-len(head) % 16 + skew)
    body = head + values.tobytes()
    sizes = Sizes(bytes=len(body))
    with opened(tmp_path, {"m": graphs.scaled(2, BULK[1])}, sizes=sizes) as plane:
        tracemalloc.start()
        answer = plane.send(INFER, body, {HEADER: str(len(head))})
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.status == 200
    at = int(answer.headers["Inference-Header-Content-Length"])
    assert np.array_equal(
        np.frombuffer(answer.body, np.float32, offset=at).reshape(BULK), values * 2
    )
    assert peak < (copies + 0.1) * values.nbytes


LARGE = 5000
"""Rows of which the body is read by the quicker parser, where that is installed."""


@pytest.mark.parametrize("quick", [True, False], ids=["quick", "plain"])
def test_large_arrays_are_read_alike_with_and_without_the_quicker_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool
) -> None:
    if not quick:
        monkeypatch.setattr(numbers, "SIMDJSON", None)
    rows = np.random.default_rng(1).standard_normal((LARGE, 3)).astype(np.float32)
    data = rows.ravel().tolist()
    with opened(tmp_path, {"m": graphs.scaled(1, width=3)}) as plane:
        whole = tensor(shape=[LARGE, 3], data=data)
        (output,) = infer(plane, whole).json["outputs"]
        assert np.float32(output["data"]).tobytes() == rows.tobytes()
        nested = infer(plane, whole | {"data": rows.tolist()})
        assert nested.json["outputs"] == [output]
        ragged = [[1.0] * 2, [1.0] * 4, *rows[2:].tolist()]
        for bad, reason in (
            (ragged, "ShapeMismatch"),
            ([*data[:-1], True], "WrongType"),
            ([*data[:-1], 1e39], "OutOfRange"),
            (data[:-1], "ShapeMismatch"),
            ([*data[:-1], [data[-1]]], "WrongType"),
        ):
            answer = infer(plane, whole | {"data": bad})
            assert (answer.status, answer.json["reason"]) == (400, reason), answer.json
        missing = infer(plane, whole | {"data": [None, *data[1:]]})
        assert missing.json["outputs"][0]["data"][0] is None
