import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

from planes import request_plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.records import Decoded, RecordsReader
from tiltyard_engine.errors import Refusal

MEGABYTE = 1 << 20


def read(tensors: str, body: bytes | str, *keys: str, rows: int = 8, depth: int = 16) -> Decoded:
    data = body if isinstance(body, bytes) else body.encode()
    return RecordsReader(request_plan(tensors, *keys), rows, depth).read(data)


def refused(tensors: str, body: bytes | str, *keys: str, rows: int = 8, depth: int = 16) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(tensors, body, *keys, rows=rows, depth=depth)
    return caught.value


@pytest.mark.parametrize(
    ("tensors", "body", "reason", "field", "row", "words"),
    [
        # Not records at all.
        ("x float32", "", "MalformedBody", None, None, "is empty: send a list of records"),
        ("x float32", " \n", "MalformedBody", None, None, "is empty: send a list of records"),
        ("x float32", '[{"x":1}', "MalformedBody", None, None, "not JSON"),
        ("x float32", '[{"x":1},]', "MalformedBody", None, None, "not JSON"),
        ("x float32", '[{"x":1,}]', "MalformedBody", None, None, "not JSON"),
        ("x float32", '[{"x":1}] 2', "MalformedBody", None, None, "not JSON"),
        ("x float32", '[{"x":01}]', "MalformedBody", None, None, "not JSON"),
        ("x float32", "[{'x':1}]", "MalformedBody", None, None, "not JSON"),
        ("x float32", '\ufeff[{"x":1}]', "MalformedBody", None, None, "not JSON"),
        ("x float32", b'[{"x":1,"e":"\xff"}]', "MalformedBody", None, None, "not UTF-8 at byte 13"),
        ("x float32", b'[{"x":1,"\xff":1}]', "MalformedBody", None, None, "not UTF-8 at byte 9"),
        ("x float32", '[{"x":NaN}]', "MalformedBody", None, None, "write null for a missing"),
        ("x float32", '[{"x":-Infinity}]', "MalformedBody", None, None, "are not JSON"),
        ("x float32", '{"x":[1,2]}', "MalformedBody", None, None, "must be a list of records"),
        ("x float32", "[1,2]", "MalformedBody", None, None, "must be a list of records"),
        ("x float32", "[[1],[2]]", "MalformedBody", None, None, "must be a list of records"),
        ("x float32", '[{"x":1},null]', "MalformedBody", None, None, "must be a list of records"),
        ("x float32", '"x"', "MalformedBody", None, None, "must be a list of records"),
        # A column twice: nobody knows which is meant.
        (
            "x float32",
            '[{"x":1},{"x":1,"x":2}]',
            "MalformedBody",
            "x",
            1,
            "stands 2 times in row 1",
        ),
        ("x float32", r'[{"x":1,"\u0078":2}]', "MalformedBody", "x", 0, "keep one"),
        ("x float32", '[{"x":1,"e":1,"e":1}]', "MalformedBody", "e", 0, "keep one"),
        ("x float32", '[{},{"x":1,"x":1}]', "MalformedBody", "x", 1, "keep one"),
        # Too little, too much.
        ("x float32", "[]", "EmptyBatch", None, None, "send at least one row"),
        ("x float32", '[{"x":1}' + ',{"x":1}' * 8 + "]", "TooManyRows", None, None, "9 rows, at"),
        ("x float32", '[{"x":' + "[" * 20 + "]" * 20 + "}]", "BodyTooDeep", None, None, "22 deep"),
        ("x float32", '[{"x":1,"e":' + "[" * 20 + "]" * 20 + "}]", "BodyTooDeep", None, None, "16"),
        # Columns.
        ("x float32", "[{}]", "MissingColumn", "x", 0, "column 'x' is missing (there: none)"),
        ("x float32", '[{"z":1,"a":2}]', "MissingColumn", "x", 0, "(there: a, z): add it"),
        ("x float32", '[{"x":1},{"z":1}]', "RaggedRows", "x", 1, "row 1 lacks column 'x'"),
        ("x float32", '[{"x":1},{"x":1,"z":1}]', "RaggedRows", "z", 1, "alone has column 'z'"),
        ("x float32", '[{"x":1,"z":1},{"x":1}]', "RaggedRows", "z", 1, "row 1 lacks column 'z'"),
        # Types.
        ("x float32", '[{"x":"1"}]', "WrongType", "x", 0, "is a text, a float32 is due: convert"),
        ("x float32", '[{"x":1},{"x":true}]', "WrongType", "x", 1, "is a boolean"),
        ("x float32", '[{"x":{}}]', "WrongType", "x", 0, "is an object"),
        ("x int64", '[{"x":1.5}]', "WrongType", "x", 0, "is 1.5, a int64 is due: round it"),
        ("x bool", '[{"x":1}]', "WrongType", "x", 0, "is a number, a bool is due"),
        ("x string", '[{"x":1}]', "WrongType", "x", 0, "is a number, a string is due"),
        ("x float32[2]", '[{"x":[1,"2"]}]', "WrongType", "x", 0, "is a text"),
        ("p,q float32", '[{"p":1,"q":"2"}]', "WrongType", "q", 0, "is a text"),
        # Nulls.
        ("x int64", '[{"x":1},{"x":null}]', "NullValue", "x", 1, "only floats may be missing"),
        ("x bool", '[{"x":null}]', "NullValue", "x", 0, "a bool is due"),
        ("x string", '[{"x":null}]', "NullValue", "x", 0, "a string is due"),
        ("p,q int8", '[{"p":1,"q":null}]', "NullValue", "q", 0, "'q' is null"),
        # Ranges.
        ("x float32", '[{"x":1e39}]', "OutOfRange", "x", 0, "is 1e+39, a float32 goes from"),
        ("x float16", '[{"x":65520}]', "OutOfRange", "x", 0, "scale it"),
        ("x float64", '[{"x":1e400}]', "OutOfRange", "x", 0, "too large a number"),
        ("x float64", f'[{{"x":{10**309}}}]', "OutOfRange", "x", 0, "goes from"),
        ("x float32", f'[{{"x":{"9" * 5000}}}]', "OutOfRange", "x", 0, "too large a number"),
        ("x int64", f'[{{"x":{"9" * 5000}}}]', "OutOfRange", "x", 0, "too large a number"),
        ("x int64", f'[{{"x":1}},{{"x":{2**63}}}]', "OutOfRange", "x", 1, "goes from"),
        ("x uint64", f'[{{"x":{2**64}}}]', "OutOfRange", "x", 0, "from 0 to 18446744073709551615"),
        ("x uint8", '[{"x":-1}]', "OutOfRange", "x", 0, "goes from 0 to 255"),
        ("x int8", '[{"x":1e300}]', "OutOfRange", "x", 0, "goes from -128 to 127"),
        # Shapes.
        ("x float32", '[{"x":[1]}]', "ShapeMismatch", "x", 0, "lists nested too deep"),
        ("x float32[1]", '[{"x":[1,2]}]', "ShapeMismatch", "x", 0, "is [2], the model takes [1]"),
        ("x float32[3]", '[{"x":[1,2,3]},{"x":[1]}]', "ShapeMismatch", "x", 1, "[1]"),
        ("x float32[3]", '[{"x":1}]', "ShapeMismatch", "x", 0, "a number at depth 0"),
        ("x float32[3]", '[{"x":null}]', "ShapeMismatch", "x", 0, "null at depth 0"),
        ("x float32[2,2]", '[{"x":[[1,2],[3]]}]', "ShapeMismatch", "x", 0, "side by side"),
        ("x float32[2,2]", '[{"x":[[1,2],3]}]', "ShapeMismatch", "x", 0, "a number at depth 1"),
        ("x float32[?,2]", '[{"x":[[1,2,3]]}]', "ShapeMismatch", "x", 0, "['any', 2]"),
        ("x float32[2]", '[{"x":[[1],[2]]}]', "ShapeMismatch", "x", 0, "nested too deep"),
        ("p,q float32", '[{"p":1,"q":[2]}]', "ShapeMismatch", "q", 0, "take it out of the list"),
    ],
)
def test_what_is_wrong_is_named_with_reason_column_row_and_remedy(
    tensors: str, body: bytes | str, reason: str, field: str | None, row: int | None, words: str
) -> None:
    refusal = refused(tensors, body)
    assert (refusal.reason, refusal.field, refusal.row) == (reason, field, row), refusal.message
    assert words in refusal.message
    assert len(refusal.message) < 1000


@pytest.mark.parametrize(
    ("tensors", "values", "expected"),
    [
        ("x float32", [1, 2.5], [1.0, 2.5]),
        ("x float32", [None, 2.5], [np.nan, 2.5]),
        ("x float32", [3.4028235e38, -3.4028235e38], [3.4028235e38, -3.4028235e38]),
        ("x float32", [2**70, 0.1], [2.0**70, 0.1]),
        ("x float16", [65504, 65519.9], [65504, 65504]),
        ("x float64", [1.7976931348623157e308, 5e-324], [1.7976931348623157e308, 5e-324]),
        ("x int8", [-128, 127.0], [-128, 127]),
        ("x int64", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("x uint64", [2**64 - 1, 2**63], [2**64 - 1, 2**63]),
        ("x uint8", [255, 2.55e2], [255, 255]),
        ("x bool", [True, False], [True, False]),
        ("x string", ['a "quoted" \\ text', "é\U0001f600\n},{"], None),
        ("x string", ["", "null"], None),
        ("x float32[1]", [1, [2]], [[1], [2]]),
        ("x int32[2]", [[1, 2], [3, 4.0]], [[1, 2], [3, 4]]),
        ("x float64[?]", [[1, None], [3, 4]], [[1, np.nan], [3, 4]]),
        ("x float64[?]", [[], []], np.empty((2, 0))),
        ("x float64[?,4]", [[], []], np.empty((2, 0, 4))),
        ("x float32[2,1]", [[[1], [2]], [[3], [4]]], [[[1], [2]], [[3], [4]]]),
        ("x string[2]", [["a", "b"], ["c", ""]], None),
    ],
)
def test_values_arrive_as_the_models_type_without_loss(
    tensors: str,
    values: list[Any],
    expected: Any,
) -> None:
    kind = tensors.split()[1].partition("[")[0]
    dtype = object if kind == "string" else kind
    decoded = read(tensors, json.dumps([{"x": value} for value in values]))
    wanted = np.array(values if expected is None else expected, dtype)
    column = decoded.tensors["x"]
    assert isinstance(column, np.ndarray)
    assert column.dtype == wanted.dtype
    np.testing.assert_array_equal(column, wanted)


def test_columns_are_stacked_in_the_plans_order() -> None:
    decoded = read("q,p float64", '[{"p":1,"q":2},{"q":4,"p":3}]')
    np.testing.assert_array_equal(decoded.tensors["q,p"], [[2, 1], [4, 3]])


def test_lists_of_different_length_stay_rows() -> None:
    column = read("x float32[?]", '[{"x":[1,2]},{"x":[]},{"x":[3]}]').tensors["x"]
    assert isinstance(column, list)
    assert [row.tolist() for row in column] == [[1, 2], [], [3]]
    assert {row.dtype for row in column} == {np.dtype("float32")}


def test_columns_that_no_step_uses_are_accepted_whatever_they_hold() -> None:
    body = '[{"x":1,"e":{"deep":[1,{"a":1e999}]},"":0},{"x":2,"e":"},{","":null}]'
    np.testing.assert_array_equal(read("x float32", body).tensors["x"], [1, 2])


def test_blanks_between_change_nothing() -> None:
    decoded = read("x float32", '\r\n[ {\t"x" : 1 , "k": "a" } ,{"k" :"b","x":2}\n]\n', "k")
    assert decoded.fields == {"k": ["a", "b"]}
    np.testing.assert_array_equal(decoded.tensors["x"], [1, 2])


@pytest.mark.parametrize(
    ("tensors", "values", "keys"),
    [
        ("x float32", '"a" "b"', ["a", "b"]),
        ("x float32", "1 2.5", [1, 2.5]),
        ("x float32", "0 0.0", [0, 0.0]),
        ("x float32", "null 1", [None, 1]),
        ("x float32", f"{2**64 + 1} {-(2**64) - 1}", [2**64 + 1, -(2**64) - 1]),
        ("x float32", r'"q\"" "é"', ['q"', "é"]),
        ("key float32", "0 9007199254740993", [0, 9007199254740993]),
        ("key float32", "0.0 16777217", [0.0, 16777217]),
        ("key int64", "0 0.0", [0, 0.0]),
        ("key string", '"" "b"', ["", "b"]),
    ],
)
def test_hash_keys_stay_exactly_what_was_sent(
    tensors: str, values: str, keys: list[object]
) -> None:
    rows = [f'{{"key":{value},"x":1}}' for value in values.split()]
    fields = read(tensors, f"[{','.join(rows)}]", "key").fields
    assert fields == {"key": keys}
    assert list(map(type, fields["key"])) == list(map(type, keys))


def test_a_hash_key_may_be_missing_from_every_row() -> None:
    assert read("x float32", '[{"x":1},{"x":2}]', "key").fields == {}


@pytest.mark.parametrize(
    ("rows", "reason", "row"),
    [
        ('{"x":1,"key":"a"},{"x":1}', Reason.RAGGED_ROWS, 1),
        ('{"x":1},{"x":1,"key":"a"}', Reason.RAGGED_ROWS, 1),
        ('{"x":1,"key":true}', Reason.WRONG_TYPE, 0),
        ('{"x":1,"key":"a"},{"x":1,"key":[1]}', Reason.WRONG_TYPE, 1),
        ('{"x":1,"key":{}}', Reason.WRONG_TYPE, 0),
        (f'{{"x":1,"key":{"1" * 5000}}}', Reason.OUT_OF_RANGE, 0),
        ('{"x":1,"key":"a","key":"a"}', Reason.MALFORMED_BODY, 0),
    ],
)
def test_hash_keys_that_name_nobody_are_refused(rows: str, reason: Reason, row: int) -> None:
    refusal = refused("x float32", f"[{rows}]", "key")
    assert (refusal.reason, refusal.field, refusal.row) == (reason, "key", row)


def test_what_a_model_takes_is_never_too_deep() -> None:
    body = '[{"x":[[[[1]]]]}]'
    assert read("x float32[1,1,1,1]", body, depth=4).rows == 1
    assert read("x float32[1,1,1,1]", body.replace("1]]", "null]]", 1), depth=4).rows == 1


def test_braces_in_texts_are_no_rows() -> None:
    body = json.dumps([{"x": 1, "key": "{" * 500}])
    assert read("x float32", body, "key", rows=3).rows == 1


def test_names_of_any_length_make_short_messages() -> None:
    for body in (f'[{{"{"a" * MEGABYTE}":1}}]', f'[{{"x":1}},{{"x":1,"{"a" * MEGABYTE}":1}}]'):
        refusal = refused("x float32", body)
        assert len(refusal.message) < 500
        assert len(refusal.field or "") < 100


@pytest.mark.parametrize(
    ("body", "reason", "factor"),
    [
        (b"[" * 100_000, Reason.BODY_TOO_DEEP, 3),
        (b"[" * 100_000 + b"]" * 100_000, Reason.BODY_TOO_DEEP, 3),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Reason.BODY_TOO_DEEP, 3),
        (b'[{"x":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}]", Reason.BODY_TOO_DEEP, 3),
        (b"[" + b"[]," * 3_000_000 + b"[]]", Reason.MALFORMED_BODY, 3),
        (b"[" + b"{}," * 3_000_000 + b"{}]", Reason.TOO_MANY_ROWS, 3),
        (b"[" + b'{"x":1},' * 1_000_000 + b'{"x":1}]', Reason.TOO_MANY_ROWS, 3),
        (b'[{"x":"' + b"a" * 8_000_000 + b'"}]', Reason.WRONG_TYPE, 4),
        (b'[{"x":"' + b'\\"' * 4_000_000, Reason.MALFORMED_BODY, 3),
        (b'"' * 8_000_001, Reason.MALFORMED_BODY, 3),
        (b'[{"x":1,"e":"' + b"\\u0041" * 1_000_000 + b'","e":1}]', Reason.MALFORMED_BODY, 6),
        (b'[{"x":' + b"9" * 8_000_000 + b"}]", Reason.OUT_OF_RANGE, 3),
    ],
    ids=lambda value: value[:9].decode() if isinstance(value, bytes) else None,
)
def test_hostile_bodies_cost_little_memory_and_no_time(
    body: bytes, reason: Reason, factor: int
) -> None:
    reader = RecordsReader(request_plan("x float32"), 65536, 16)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as caught:
            reader.read(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason is reason
    assert peak < factor * len(body) + 8 * MEGABYTE
