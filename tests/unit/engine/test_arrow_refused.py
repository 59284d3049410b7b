"""Tables that cannot be used: what is said of them, and that nothing suffers."""

import struct
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from arrow_planes import F4, Planes, open_planes, sent
from tables import FILE, STREAM, packed, tensors


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    with open_planes(tmp_path_factory.mktemp) as opened:
        yield opened


def dictionary(values: Any) -> Any:
    return pa.array(values).dictionary_encode()


REFUSED = {
    "a missing column": ("one", {"y": [1.0]}, "MissingColumn", "x"),
    "no rows": ("one", {"x": pa.array([], F4)}, "EmptyBatch", None),
    "too many rows": ("one", {"x": np.zeros(2001)}, "TooManyRows", None),
    "a null for an integer": (
        "kinds",
        {"a": [1.0], "b": pa.nulls(1, pa.int64()), "c": [True], "d": ["t"]},
        "NullValue",
        "b",
    ),
    "a fraction for an integer": (
        "kinds",
        {"a": [1.0], "b": [1.5], "c": [True], "d": ["t"]},
        "WrongType",
        "b",
    ),
    "NaN for an integer": (
        "kinds",
        {"a": [1.0], "b": [float("nan")], "c": [True], "d": ["t"]},
        "WrongType",
        "b",
    ),
    "too large a number": ("one", {"x": [0.0, 1e39]}, "OutOfRange", "x"),
    "a text": ("one", {"x": ["1"]}, "WrongType", "x"),
    "a boolean": ("one", {"x": [True]}, "WrongType", "x"),
    "a number for a text": (
        "kinds",
        {"a": [1.0], "b": [1], "c": [True], "d": [1]},
        "WrongType",
        "d",
    ),
    "a time": ("one", {"x": pa.array([1], pa.timestamp("s"))}, "WrongType", "x"),
    "an object": ("one", {"x": pa.array([{"a": 1}])}, "WrongType", "x"),
    "a list for a scalar column": (
        "numbers",
        {"p": [[1.0]], "q": [1.0], "r": [1.0]},
        "ShapeMismatch",
        "p",
    ),
    "a short list": ("vector", {"x": [[1.0, 2.0]]}, "ShapeMismatch", "x"),
    "lists of two lengths": ("vector", {"x": [[1.0, 2.0, 3.0], [1.0]]}, "ShapeMismatch", "x"),
    "a scalar for a list": ("vector", {"x": [1.0]}, "ShapeMismatch", "x"),
    "no list": ("vector", {"x": pa.array([None, [1, 2, 3]], pa.list_(F4))}, "ShapeMismatch", "x"),
    "lists too deep": ("vector", {"x": [[[1.0, 2.0, 3.0]]]}, "ShapeMismatch", "x"),
    "a tensor of another shape": (
        "vector",
        {"x": tensors(np.ones((1, 2), np.float32))},
        "ShapeMismatch",
        "x",
    ),
    "a dictionary": ("one", {"x": dictionary([1.0])}, "WrongType", "x"),
    "a dictionary that no step uses": (
        "one",
        {"x": [1.0], "note": dictionary(["a"])},
        "WrongType",
        "note",
    ),
    "a dictionary in lists": (
        "one",
        {"x": [1.0], "l": pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))},
        "WrongType",
        "l",
    ),
    "views": ("one", {"x": [1.0], "v": pa.array(["a"], pa.string_view())}, "WrongType", "v"),
    "run ends": (
        "one",
        {"x": [1.0], "r": pa.RunEndEncodedArray.from_arrays([1], [1.0])},
        "WrongType",
        "r",
    ),
    "a union": (
        "one",
        {"x": [1.0], "u": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])},
        "WrongType",
        "u",
    ),
    "an extension": ("one", {"x": [1.0], "j": pa.array(["1"], pa.json_())}, "WrongType", "j"),
    "a boolean key": ("split", {"x": [1.0], "k": [True]}, "WrongType", "k"),
    "a time as key": ("split", {"x": [1.0], "k": pa.array([1], pa.date32())}, "WrongType", "k"),
    "lists without end": (
        "one",
        {"x": [1.0], "n": pa.ListArray.from_arrays(pa.array([0, 2**30], "int32"), pa.nulls(2**30))},
        "BodyTooLarge",
        None,
    ),
    "lists of no length": (
        "one",
        {"x": [1.0], "n": pa.array([[]], pa.list_(F4, 0))},
        "WrongType",
        "n",
    ),
    "bytes of no length": (
        "one",
        {"x": [1.0], "n": pa.array([[b""]], pa.list_(pa.binary(0)))},
        "WrongType",
        "n",
    ),
    "lists in lists in lists": (
        "one",
        {"x": [1.0], "deep": pa.array([[[[[[[[1]]]]]]]])},
        "BodyTooDeep",
        "deep",
    ),
}


@pytest.mark.parametrize("media", [FILE, STREAM])
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_named(planes: Planes, case: str, media: str) -> None:
    name, columns, reason, field = REFUSED[case]
    answer = sent(planes[name], packed(columns, media), media)
    assert (answer.json["reason"], answer.json.get("field")) == (reason, field), answer.json
    assert answer.json["code"] == answer.status
    assert 400 <= answer.status < 500


def test_the_same_column_twice(planes: Planes) -> None:
    table = pa.table([pa.array([1.0]), pa.array([2.0])], names=["x", "x"])
    answer = sent(planes["one"], packed(table))
    assert answer.json["reason"] == "MalformedBody"
    assert answer.json["field"] == "x"


def test_the_row_at_fault_is_named(planes: Planes) -> None:
    rows = pa.array([[1, 2, 3], [1, 2, 1e39]], pa.list_(pa.float64()))
    refused = sent(planes["vector"], packed({"x": rows})).json
    assert (refused["reason"], refused["field"], refused["row"]) == ("OutOfRange", "x", 1)


def test_many_empty_batches_are_refused(planes: Planes) -> None:
    sink = pa.BufferOutputStream()
    schema = pa.schema([("x", F4)])
    with pa.ipc.new_stream(sink, schema) as writer:
        for _ in range(1100):
            writer.write_batch(pa.record_batch([pa.array([], F4)], schema))
    refused = sent(planes["one"], sink.getvalue().to_pybytes(), STREAM).json
    assert refused["reason"] == "MalformedBody"
    assert "combine" in refused["error"]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_tables_are_taken_up_to_the_limit(planes: Planes, compression: str) -> None:
    small = packed({"x": [1.0, 2.0]}, compression=compression)
    assert sent(planes["one"], small).out() == [[1], [2]]
    bomb = packed({"x": [1.0], "zeros": [[0] * (1 << 22)]}, compression=compression)
    assert len(bomb) < 1 << 18
    tracemalloc.start()
    answer = sent(planes["one"], bomb)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.json["reason"] == "BodyTooLarge"
    assert pa.total_allocated_bytes() < 1 << 26
    assert most < 1 << 20


def edited(body: bytes, old: bytes, new: bytes) -> bytes:
    assert body.count(old), "nothing to edit"
    return body.replace(old, new, 1)


def test_lengths_that_lie(planes: Planes) -> None:
    body = packed({"x": np.zeros(1000)}, STREAM)
    rows, size = struct.pack("<q", 1000), struct.pack("<q", 8000)
    for lie in (-1, 2**40, 2**62, 1001):
        for old in (rows, size):
            answer = sent(planes["one"], body.replace(old, struct.pack("<q", lie)), STREAM)
            assert answer.json["reason"] in ("MalformedBody", "TooManyRows", "BodyTooLarge")
    packed_ = packed({"x": np.zeros(1000)}, STREAM, compression="zstd")
    for lie in (-5, 2**40, 8):
        answer = sent(planes["one"], edited(packed_, size, struct.pack("<q", lie)), STREAM)
        assert answer.json["reason"] in ("MalformedBody", "BodyTooLarge")


def test_big_endian_tables_are_refused(planes: Planes) -> None:
    schema = pa.schema([("x", F4)])
    data = bytearray(packed(pa.table({"x": pa.array([1.0], F4)}, schema), STREAM))
    at, found = 0, []
    while (at := data.find(b"\x04\x00", at + 1)) > 0 and at < 200:
        found.append(at)
    fake = "MalformedBody"
    assert found
    for place in range(16, 160, 2):  # wherever the flag stands, no number is read backwards
        changed = bytes(data[:place]) + b"\x01\x00" + bytes(data[place + 2 :])
        answer = sent(planes["one"], changed, STREAM)
        assert answer.status != 200 or answer.out() == [[1]], place
        if "big-endian" in answer.body.decode():
            assert answer.json["reason"] == fake


def test_whatever_is_cut_or_changed_is_an_answer_or_a_refusal(planes: Planes) -> None:
    random = np.random.default_rng(1)
    columns = {"x": np.arange(20.0), "l": [[1, 2]] * 20, "t": ["text"] * 20}
    for media in (FILE, STREAM):
        body = packed(columns, media)
        for end in [*range(0, len(body), 97), len(body) - 1]:
            assert sent(planes["one"], body[:end], media).status in (200, 400, 413)
        for _ in range(300):
            changed = bytearray(body)
            for place in random.integers(0, len(body), random.integers(1, 4)):
                changed[place] = random.integers(0, 256)
            answer = sent(planes["one"], bytes(changed), media)
            assert answer.status in (200, 400, 413), answer.body
    assert sent(planes["one"], packed(columns)).status == 200
