"""The Open Inference Protocol over REST: what goes in, what comes out, what is refused."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphs
from planes import Plane, opened, split
from served_models import scaled, typed
from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_engine.codecs.oip import DATATYPES
from tiltyard_engine.columns import DTYPES
from v2 import HEADER, INFER, infer, sized, tensor, with_bytes

FLAT = 4 * 1024 * 1024
"""Bytes that a refusal may take; the lengths in it claim a thousand times as much and more."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """x[rows, 3] becomes y[rows, 3], doubled."""
    with opened(tmp_path_factory.mktemp("one"), {"m": graphs.scaled(2, width=3)}) as plane:
        yield plane


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Inputs of several types: number, whole, small, three."""
    with opened(tmp_path_factory.mktemp("mixed"), {"m": typed()}) as plane:
        yield plane


def test_a_model_says_what_it_takes_and_gives(tmp_path: Path) -> None:
    columns = {"inputs": [{"name": "f", "type": "float32", "shape": [3], "columns": list("abc")}]}
    columns["inputs"][0]["from"] = "x"
    entries = dict.fromkeys(("m", "n"), columns)
    models = {name: graphs.scaled(2, width=3) for name in entries}
    with opened(tmp_path, models, [split("m", "n", field="user")], entries=entries) as plane:
        told = plane.send("/v2/models/tested", method="GET").json
        assert told == {
            "name": "tested",
            "versions": ["m", "n"],
            "platform": "tiltyard",
            "inputs": [
                {"name": "f", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "user", "datatype": "BYTES", "shape": [-1]},
            ],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
        }
        whole = infer(plane, tensor(name="f"), id="1").json["outputs"]
        single = [tensor(name=c, shape=[2], data=[i, i + 3]) for i, c in enumerate("abc", 1)]
        assert infer(plane, *single, id="1").json["outputs"] == whole
        missing = infer(plane, *single[:2])
        assert (missing.status, missing.json["reason"]) == (400, "MissingColumn")
        assert "'c'" in missing.json["error"]


def test_versions_are_the_variants_of_the_only_split(tmp_path: Path) -> None:
    models = {"a": scaled(1), "b": scaled(-1)}
    row = tensor(shape=[1, 1], data=[5])
    (tmp_path / "one").mkdir()
    with opened(tmp_path / "one", models, [split("a", "b", weights=[1, 0])]) as plane:
        answer = infer(plane, row, path="/v2/models/tested/versions/b/infer").json
        assert (answer["model_version"], answer["outputs"][0]["data"]) == ("b", [-5])
        assert answer["parameters"]["variants"] == "price=b"
        for path in ("/v2/models/tested/versions/c/infer", "/v2/models/tested/versions/c"):
            wrong = infer(plane, row, path=path)
            assert (wrong.status, wrong.json["reason"]) == (400, "UnknownVariant")
            assert "there: a, b" in wrong.json["error"]
        both = {"X-Tiltyard-Variant": "price=a"}
        body = json.dumps({"inputs": [row]}).encode()
        wrong = plane.send("/v2/models/tested/versions/b/infer", body, both)
        assert (wrong.status, wrong.json["reason"]) == (400, "UnknownVariant")
    (tmp_path / "two").mkdir()
    second = split("c") | {"name": "then", "inputs": {"x": "price.y"}}
    steps = [split("a", "b"), second]
    with opened(tmp_path / "two", {**models, "c": scaled(1)}, steps) as plane:
        wrong = infer(plane, row, path="/v2/models/tested/versions/a/infer")
        assert (wrong.status, wrong.json["reason"]) == (400, "UnknownVariant")
        assert plane.send("/v2/models/tested", method="GET").json["versions"] == []


def test_readiness_is_the_workers(one: Plane) -> None:
    for path in ("/v2/health/ready", "/v2/models/tested/ready", "/ping"):
        assert one.send(path, method="GET").status == 503, "it has not said that it is ready"
    assert one.send("/v2/health/live", method="GET").status == 200
    assert one.send("/v2", method="GET").json["extensions"] == ["binary_tensor_data"]


def test_an_answer_repeats_the_id_and_tells_ours(one: Plane) -> None:
    answer = infer(one, tensor(), id="mine é")
    assert answer.json["id"] == "mine é"
    ours = answer.json["parameters"]["inference_id"]
    assert ours == answer.headers["X-Tiltyard-Inference-Id"]


@pytest.mark.parametrize(
    "fields",
    [
        {"data": [[1, 2, 3], [4, 5, 6]]},
        {"data": [1.0, 2, 3, 4, 5, 6e0]},
        {"datatype": "FP64"},
        {"datatype": "FP16"},
        {"datatype": "INT8"},
        {"datatype": "UINT64", "data": [[1, 2, 3], [4, 5, 6]]},
    ],
    ids=str,
)
def test_the_same_numbers_in_other_forms(one: Plane, fields: dict[str, Any]) -> None:
    assert infer(one, tensor(**fields)).json["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [2, 4, 6, 8, 10, 12]}
    ]


def test_null_is_a_number_that_is_missing(one: Plane) -> None:
    (output,) = infer(one, tensor(data=[1, None, 3, 4, 5, 6])).json["outputs"]
    assert output["data"] == [2, None, 6, 8, 10, 12]


def test_whole_numbers_go_where_integers_are_due(mixed: Plane) -> None:
    inputs = [
        tensor(name="number", shape=[1], data=[1.5]),
        tensor(name="whole", shape=[1, 1], datatype="INT64", data=[-(2**63)]),
        tensor(name="small", shape=[1, 1], datatype="FP32", data=[255]),
        tensor(name="three", shape=[1, 3], datatype="INT32", data=[1, 2, 3]),
    ]
    outputs = {one["name"]: one["data"] for one in infer(mixed, *inputs).json["outputs"]}
    assert outputs == {"y": [1.5], "z": [1, 2, 3], "w": [-(2**63)], "s": [255]}
    for data, reason in (([256], "OutOfRange"), ([1.5], "WrongType"), ([None], "WrongType")):
        inputs[2] = tensor(name="small", shape=[1, 1], datatype="FP32", data=data)
        answer = infer(mixed, *inputs)
        assert (answer.status, answer.json["reason"]) == (400, reason)
        assert answer.json["field"] == "small"


def test_requested_outputs_and_their_form(mixed: Plane) -> None:
    inputs = [
        tensor(name="number", shape=[1, 1], data=[1.5]),
        tensor(name="whole", shape=[1, 1], datatype="INT64", data=[7]),
        tensor(name="small", shape=[1, 1], datatype="UINT8", data=[8]),
        tensor(name="three", shape=[1, 3], data=[1, 2, 3]),
    ]
    wanted = [{"name": "w", "parameters": {"binary_data": True}}, {"name": "y"}]
    answer = infer(mixed, *inputs, outputs=wanted)
    end = int(answer.headers[HEADER])
    head = json.loads(answer.body[:end])
    assert {one["name"]: one.get("data") for one in head["outputs"]} == {"w": None, "y": [1.5]}
    assert answer.body[end:] == (7).to_bytes(8, "little")
    unknown = infer(mixed, *inputs, outputs=[{"name": "v"}])
    assert (unknown.status, unknown.json["reason"]) == (400, "UnknownParameter")
    assert "there: s, w, y, z" in unknown.json["error"]


@pytest.mark.parametrize("tensor_type", DATATYPES, ids=str)
def test_every_type_keeps_its_bits_in_json_and_in_bytes(tmp_path: Path, tensor_type: str) -> None:
    values: Any
    if tensor_type == "string":
        values, data = ["", "é\n", '"'], b"".join(_prefixed(t) for t in ("", "é\n", '"'))
    else:
        dtype = DTYPES[tensor_type]
        array = np.array([0, 1, 1 if dtype.kind == "b" else 100.5], dtype)
        if dtype.kind in "iu":
            array[2] = np.iinfo(dtype).max
        values, data = array.tolist(), array.tobytes()
    with opened(tmp_path, {"m": graphs.identity(str(tensor_type))}) as plane:
        fields = {"datatype": DATATYPES[tensor_type], "shape": [3, 1]}
        in_json = infer(plane, tensor(data=values, **fields))
        assert in_json.json["outputs"][0]["data"] == values
        in_bytes = with_bytes(
            plane, data, sized(len(data), **fields), parameters={"binary_data_output": True}
        )
        assert in_bytes.body[int(in_bytes.headers[HEADER]) :] == data


def _prefixed(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "little") + data


BAD = [
    # what is sent, reason, what the message must say
    (tensor(shape=[2**40, 3]), "TooManyRows", "at most 65536"),
    (tensor(shape=[60000, 3]), "ShapeMismatch", "its shape says 180000"),
    (tensor(shape=[2**40, 2**40, 2**40]), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[-2, 3]), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[2, -3]), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[1] * 5000), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[3, 2]), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[]), "ShapeMismatch", "['rows', 3]"),
    (tensor(shape=[0, 3], data=[]), "EmptyBatch", "no rows"),
    (tensor(data=[1, 2, 3]), "ShapeMismatch", "holds 3 elements, its shape says 6"),
    (tensor(data=[[1, 2], [3, 4, 5, 6]]), "ShapeMismatch", "nested like its shape"),
    (tensor(data=[[1, 2, 3, 4, 5, 6]]), "ShapeMismatch", "nested like its shape"),
    (tensor(data=[1, 2, 3, 4, 5, [6]]), "WrongType", "not a list of FP32"),
    (tensor(data=[1, 2, 3, 4, 5, "6"]), "WrongType", "is a text"),
    (tensor(data=[1, 2, 3, 4, 5, True]), "WrongType", "is a boolean"),
    (tensor(data=[1, 2, 3, 4, 5, 1e39]), "OutOfRange", "float32"),
    (tensor(data={"a": 1}), "WrongType", "not a list of FP32"),
    (tensor(data=None), "MissingColumn", "neither data nor binary_data_size"),
    (tensor(datatype="FP8"), "WrongType", "known are FP16"),
    (tensor(datatype="BYTES", data=["a"] * 6), "WrongType", "FP32 is due"),
    (tensor(name="z"), "UnknownParameter", "there: x"),
    (tensor(parameters={"shared_memory_region": "r"}), "UnknownParameter", "shared memory"),
    (sized(24), "ShapeMismatch", "0 are left"),
    (sized(-1), "ShapeMismatch", "-1 bytes"),
    ({"name": "x"}, "MalformedBody", "missing required field"),
]


@pytest.mark.parametrize(("sent", "reason", "said"), BAD, ids=[reason for _, reason, _ in BAD])
def test_a_bad_tensor_is_refused_in_words(
    one: Plane, sent: dict[str, Any], reason: str, said: str
) -> None:
    tracemalloc.start()
    answer = infer(one, sent)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, answer.json["reason"]) == (STATUS_OF[Reason(reason)], reason)
    assert said in answer.json["error"]
    assert peak < FLAT
    assert infer(one, tensor()).status == 200


@pytest.mark.parametrize("element", ["1", "[]", "[1]", "{}", "[[1]]", "null", '"a"', "[1,[2]]"])
def test_a_large_body_takes_no_multiple_of_its_size(one: Plane, element: str) -> None:
    data = ",".join([element] * (3_000_000 // (len(element) + 1)))
    body = json.dumps({"inputs": [tensor(data=[0])]}).replace("[0]", f"[{data}]").encode()
    tracemalloc.start()
    answer = one.send(INFER, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, answer.json["reason"]) == (400, "ShapeMismatch")
    assert peak < 8 * len(body)


@pytest.mark.parametrize(
    ("data", "sent", "reason"),
    [
        (b"\0" * 23, sized(23), "ShapeMismatch"),
        (b"\0" * 24, sized(20), "ShapeMismatch"),
        (b"\0" * 25, sized(24), "MalformedBody"),
        (b"\0" * 24, sized(2**40, shape=[60000, 3]), "ShapeMismatch"),
        (b"\0" * 24, sized(24, shape=[60000, 3]), "ShapeMismatch"),
        (b"\0" * 24, sized(24, shape=[2**38, 3]), "TooManyRows"),
    ],
    ids=range(6),
)
def test_lengths_that_lie_are_refused(
    one: Plane, data: bytes, sent: dict[str, Any], reason: str
) -> None:
    answer = with_bytes(one, data, sent)
    assert (answer.status, answer.json["reason"]) == (STATUS_OF[Reason(reason)], reason)


@pytest.mark.parametrize(
    "data",
    [b"", b"\1\0\0", b"\5\0\0\0a", b"\1\0\0\0ab", b"\xff\xff\xff\xffa", b"\1\0\0\0\xff"],
    ids=repr,
)
def test_texts_that_lie_about_their_length_are_refused(tmp_path: Path, data: bytes) -> None:
    with opened(tmp_path, {"m": graphs.identity("string")}) as plane:
        answer = with_bytes(plane, data, sized(len(data), datatype="BYTES", shape=[1, 1]))
        assert answer.status == 400, answer.json


@pytest.mark.parametrize("length", ["-1", "", "x", "99999", "1" * 500, "²"])
def test_a_header_that_lies_about_the_json_is_refused(one: Plane, length: str) -> None:
    answer = one.send(INFER, json.dumps({"inputs": [tensor()]}).encode(), {HEADER: length})
    assert (answer.status, answer.json["reason"]) == (400, "MalformedBody")


def test_twice_the_same_input_is_refused(one: Plane) -> None:
    answer = infer(one, tensor(), tensor())
    assert (answer.status, answer.json["reason"]) == (400, "MalformedBody")


@pytest.mark.parametrize(
    ("path", "method", "status", "reason"),
    [
        ("/v2/models/nobody/infer", "POST", 404, "UnknownPipeline"),
        ("/v2/models/nobody", "GET", 404, "UnknownPipeline"),
        ("/v2/models/tested/config", "GET", 404, "UnknownPath"),
        ("/v2/repository/index", "POST", 404, "UnknownPath"),
        ("/v2/models/tested/infer", "GET", 405, "MethodNotAllowed"),
        ("/v2/models/tested", "DELETE", 405, "MethodNotAllowed"),
        ("/v2/models/tested/versions/m/infer", "POST", 400, "UnknownVariant"),
    ],
)
def test_stray_paths(one: Plane, path: str, method: str, status: int, reason: str) -> None:
    answer = one.send(path, method=method)
    assert (answer.status, answer.json["reason"]) == (status, reason)
    assert isinstance(answer.json["error"], str)
    assert (status == 405) == ("Allow" in answer.headers)


def test_rows_of_different_shape_fit_no_tensor(tmp_path: Path) -> None:
    single = {"d": {"batch": "single"}}
    with opened(tmp_path, {"d": graphs.detector()}, entries=single) as plane:
        rows = tensor(shape=[2, 4], data=[1, 1, 0, 0, 1, 0, 0, 0])
        answer = infer(plane, rows)
        assert (answer.status, answer.json["reason"]) == (400, "ShapeMismatch")
        assert "'boxes'" in answer.json["error"]
        assert plane.count("tiltyard_requests_total", "v2", "400") == 1
        counts = infer(plane, rows, outputs=[{"name": "shape"}]).json["outputs"]
        assert counts[0]["data"] == [2, 1]
        alone = infer(plane, tensor(shape=[1, 4], data=[1, 2, 0, 0])).json["outputs"]
        assert alone[0]["data"] == [1, 2]


bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*tensor(), "inputs", "outputs", "id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(changed=st.dictionaries(st.sampled_from([*tensor(), "parameters"]), bodies), more=bodies)
def test_no_json_is_answered_by_a_fault_of_ours(
    one: Plane, changed: dict[str, Any], more: object
) -> None:
    for body in ({"inputs": [tensor() | changed]}, {"inputs": [tensor()], "id": more}, more):
        assert one.send(INFER, json.dumps(body).encode()).status in (200, 400)


@given(at=st.integers(0, 150), put=st.binary(max_size=4), length=st.integers(0, 150))
def test_no_bytes_are_answered_by_a_fault_of_ours(
    one: Plane, at: int, put: bytes, length: int
) -> None:
    text = json.dumps({"inputs": [sized(24)]}).encode()
    body = text + np.arange(6, dtype=np.float32).tobytes()
    body = body[:at] + put + body[at + len(put) :]
    for headers in ({}, {HEADER: str(length)}, {HEADER: str(len(text))}):
        assert one.send(INFER, body, headers).status in (200, 400)
