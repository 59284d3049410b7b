"""What must hold for every body: the quick reader and the careful one agree, and neither breaks."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planes import request_plan
from tiltyard_api.plan import Plan
from tiltyard_engine.codecs.answers import column_texts
from tiltyard_engine.codecs.careful import CarefulReader
from tiltyard_engine.codecs.records import Decoded, RecordsReader
from tiltyard_engine.columns import Column, bounds
from tiltyard_engine.errors import Refusal

MAX_ROWS, MAX_DEPTH = 5, 8

PLANS = [
    request_plan(text, *keys)
    for text, keys in (
        ("x float32", ()),
        ("x float32[1]; y int64", ("key",)),
        ("a,b,c float32", ()),
        ("a,b float64; c int8[2]", ("key",)),
        ("x float16[?,2]", ("key", "other")),
        ("x uint64; y bool", ("y",)),
        ("x float32", ("x",)),
        ("x string; y float64[?]", ("x",)),
        ("x int32[2,2]; y uint8[1]", ()),
    )
]
plans = st.sampled_from(PLANS)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(
    ["},{", '"', "\\", "NaN", "\\u0041"]
)
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([-0.0, 65504, 65520.0, 3.4028235e38, 3.4028236e38, 2**63, 2**64, 1.0, 1e19]),
)
scalars = st.one_of(numbers, texts, st.booleans(), st.none())
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def fitting(kind: str, shape: Sequence[int]) -> st.SearchStrategy[object]:
    """Values that a tensor takes, or nearly."""
    low, high = (0, 1) if kind in ("bool", "string") else bounds(kind)
    leaves: st.SearchStrategy[object]
    if kind == "bool":
        leaves = st.booleans()
    elif kind == "string":
        leaves = texts
    elif kind.startswith("float"):
        leaves = st.floats(low, high, width=64) | st.integers(-5, 5)
    else:
        leaves = st.integers(int(low), int(high))
    for length in reversed(shape):
        least, most = (0, 2) if length == -1 else (length, length)
        leaves = st.lists(leaves, min_size=least, max_size=most)
    return leaves


@st.composite
def bodies(draw: st.DrawFn, plan: Plan) -> bytes:
    """Records that fit a plan, and some in which one thing was changed."""
    columns: dict[str, st.SearchStrategy[object]] = {}
    for tensor in plan.request:
        shape = () if tensor.stacked else tensor.shape
        columns |= dict.fromkeys(tensor.columns, fitting(tensor.type, shape))
    for key in RecordsReader(plan, 1, 4)._fields:
        columns.setdefault(key, draw(st.sampled_from([texts, st.integers(), numbers])))
    count = draw(st.integers(1, MAX_ROWS))
    rows: list[dict[str, Any]] = [
        {name: draw(value) for name, value in columns.items()} for _ in range(count)
    ]
    change = draw(st.sampled_from(["none", "none", "value", "extra", "lack", "wrap", "blank"]))
    row = draw(st.sampled_from(rows))
    name = draw(st.sampled_from(sorted(columns)))
    match change:
        case "value":
            row[name] = draw(json_values)
        case "extra":
            extra = draw(texts)
            for one in rows:
                one[extra] = draw(json_values)
        case "lack":
            del row[name]
        case "wrap":
            row[name] = [row[name]]
    spaces = (
        (" , ", " : ") if change == "blank" else draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    )
    plain = draw(st.booleans())
    return json.dumps(rows, separators=spaces, ensure_ascii=plain, allow_nan=False).encode()


def outcome(read: Any, body: bytes) -> Decoded | Refusal:
    try:
        found = read(body)
    except Refusal as refusal:
        return refusal
    return found if isinstance(found, Decoded) else Decoded(*found)


def bits(column: Column) -> object:
    if isinstance(column, list):
        return [bits(row) for row in column]
    content = column.tolist() if column.dtype == object else column.tobytes()
    return column.dtype.str, column.shape, content


def same(one: Decoded | Refusal, other: Decoded | Refusal) -> bool:
    if isinstance(one, Refusal) or isinstance(other, Refusal):
        return (
            isinstance(one, Refusal)
            and isinstance(other, Refusal)
            and (
                (one.reason, one.field, one.row, one.message)
                == (other.reason, other.field, other.row, other.message)
            )
        )
    return (
        one.rows == other.rows
        and {k: bits(v) for k, v in one.tensors.items()}
        == {k: bits(v) for k, v in other.tensors.items()}
        and repr(one.fields) == repr(other.fields)
    )


def readers(plan: Plan) -> tuple[RecordsReader, CarefulReader]:
    quick = RecordsReader(plan, MAX_ROWS, MAX_DEPTH)
    return quick, CarefulReader(plan.request, quick._fields, MAX_ROWS, MAX_DEPTH)


@given(st.data(), plans)
def test_the_quick_and_the_careful_reader_agree_bit_for_bit(
    data: st.DataObject, plan: Plan
) -> None:
    body = data.draw(bodies(plan))
    quick, careful = readers(plan)
    assert same(outcome(quick.read, body), outcome(careful.read, body))


@given(st.data(), plans)
def test_a_changed_byte_is_decoded_or_refused_and_nothing_else(
    data: st.DataObject, plan: Plan
) -> None:
    body = bytearray(data.draw(bodies(plan)))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255) | st.sampled_from(list(b'"\\{}[],:-.e0N')))
    quick, careful = readers(plan)
    assert same(outcome(quick.read, bytes(body)), outcome(careful.read, bytes(body)))


@given(plans, st.binary(max_size=60))
def test_no_bytes_break_a_reader(plan: Plan, body: bytes) -> None:
    for text in (body, b"[" + body + b"]", b'[{"x":' + body + b"}]"):
        for reader in readers(plan):
            outcome(reader.read, text)


@given(plans, json_values)
def test_no_json_breaks_a_reader(plan: Plan, value: object) -> None:
    for content in (value, [value], [{"x": value, "y": value, "key": value}]):
        for reader in readers(plan):
            outcome(reader.read, json.dumps(content).encode())


@given(st.sampled_from(["float16", "float32", "float64"]), st.data())
def test_floats_that_were_answered_can_be_sent_again(kind: str, data: st.DataObject) -> None:
    width = int(kind.removeprefix("float"))
    value = data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False))
    sent = np.array([value], kind)
    (text,) = column_texts(sent)
    plan = request_plan(f"x {kind}")
    again = RecordsReader(plan, 1, 4).read(b'[{"x":' + text + b"}]").tensors["x"]
    assert bits(again) == bits(sent) or math.copysign(1, value) < 0 == value
