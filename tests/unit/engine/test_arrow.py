"""Tables in and out, beside the same rows as records."""

import datetime as dt
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import graphs
from arrow_planes import F4, Planes, answered, lists, open_planes, sent
from planes import opened
from tables import FILE, JSON, STREAM, packed, tensors, unpacked


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    with open_planes(tmp_path_factory.mktemp) as opened:
        yield opened


COLUMNS = {
    "list": lists(pa.list_(F4)),
    "large list": lists(pa.large_list(F4)),
    "list of fixed size": lists(pa.list_(F4, 3)),
    "list of doubles": lists(pa.list_(pa.float64())),
    "list of halves": lists(pa.list_(pa.float16())),
    "list of integers": lists(pa.list_(pa.int64())),
    "list of bytes": lists(pa.list_(pa.uint8(), 3)),
    "part of a longer one": lists(pa.list_(F4)).take([0, 0, 1]).slice(1),
    "tensors": tensors(np.array([[1, 2, 3], [4, 5, 6]], np.float32)),
    "tensors of doubles": tensors(np.array([[1, 2, 3], [4, 5, 6]], np.float64)),
}


@pytest.mark.parametrize("media", [FILE, STREAM])
@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_list_is_a_row_of_numbers(planes: Planes, kind: str, media: str) -> None:
    table = pa.table({"x": COLUMNS[kind]})
    answer = sent(planes["vector"], packed(table, media), media)
    assert answer.headers["Content-Type"] == JSON
    assert answer.out() == [[2, 4, 6], [8, 10, 12]]
    assert [row["in"]["x"] for row in answer.json] == [[1, 2, 3], [4, 5, 6]]


TYPES = ["float16", "float32", "float64", *(f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32))]


@pytest.mark.parametrize("kind", [*TYPES, "mixed", "another order", "in batches", "nulls"])
def test_scalar_columns_are_stacked(planes: Planes, kind: str) -> None:
    names, types = ["p", "q", "r"], [kind if kind in TYPES else "float32"] * 3
    columns = {
        n: pa.array([i, i + 10], t) for i, (n, t) in enumerate(zip(names, types, strict=True))
    }
    if kind == "mixed":
        columns["q"] = pa.array([1.0, 11.0], "float64")
        columns["r"] = pa.array([2, 12], "int32")
    if kind == "another order":
        columns = {"r": columns["r"], "more": pa.array(["a", "b"]), **columns}
    if kind == "nulls":
        columns["q"] = pa.array([None, 11], "int16")
    table = pa.table(columns)
    if kind == "in batches":
        table = pa.concat_tables([table.slice(0, 1), table.slice(1), table.slice(2)])
    found = sent(planes["numbers"], packed(table)).out()
    assert found == [[0, None if kind == "nulls" else 1, 2], [10, 11, 12]]


def test_images_come_nested_flat_or_as_tensors(planes: Planes) -> None:
    values = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    flat = pa.array(values.reshape(2, 6).tolist(), pa.list_(F4))
    told = pa.field("x", flat.type, metadata={"tensor_type": json.dumps({"shape": [2, 3]})})
    tables = [
        pa.table({"x": pa.array(values.tolist(), pa.list_(pa.list_(F4)))}),
        pa.table({"x": pa.array(values.tolist(), pa.list_(pa.list_(F4, 3), 2))}),
        pa.table({"x": tensors(values)}),
        pa.table([flat], pa.schema([told])),
    ]
    for table in tables:
        assert sent(planes["image"], packed(table)).out() == (values * 2).tolist()
        answer = answered(planes["image"], table)
        assert answer["out"].to_pylist() == [{"y": one} for one in (values * 2).tolist()]


@pytest.mark.parametrize("told", [b"no JSON", b'{"\xff": [3]}', b"[" * 100_000, b'{"shape": [-3]}'])
def test_a_shape_that_nobody_can_read_is_passed_over(planes: Planes, told: bytes) -> None:
    rows = pa.array([[1, 2, 3]], pa.list_(F4))
    table = pa.table([rows], pa.schema([pa.field("x", rows.type, metadata={b"tensor_type": told})]))
    assert sent(planes["vector"], packed(table)).out() == [[2, 4, 6]]


def test_rows_may_differ_in_length_where_the_model_takes_any(planes: Planes) -> None:
    rows = pa.array([[1, 2], [], [3]], pa.list_(F4))
    assert sent(planes["any length"], packed({"x": rows})).out() == [[3], [0], [3]]


@pytest.mark.parametrize("kind", [F4, pa.float64(), pa.int8(), pa.list_(F4), pa.list_(F4, 1)])
def test_one_number_a_row_comes_plain_or_in_a_list(planes: Planes, kind: object) -> None:
    rows = [1, 2] if pa.types.is_primitive(kind) else [[1], [2]]
    assert sent(planes["one"], packed({"x": pa.array(rows, kind)})).out() == [[1], [2]]


def test_nulls_are_nan_for_floats(planes: Planes) -> None:
    columns = {"x": pa.array([1, None], F4)}
    answer = answered(planes["one"], columns)
    assert answer["in"].to_pylist() == [{"x": 1}, {"x": None}]
    first, second = (row["y"][0] for row in answer["out"].to_pylist())
    assert first == 1
    assert np.isnan(second)
    inside = {"x": pa.array([[1, None, 3]], pa.list_(F4))}
    assert sent(planes["vector"], packed(inside)).out() == [[2, None, 6]]


def test_what_json_cannot_say_goes_in_and_out_as_it_is(planes: Planes) -> None:
    given = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    found = answered(planes["one"], {"x": given})["out"].combine_chunks().field("y").flatten()
    assert found.to_numpy().tobytes() == given.tobytes()
    logs = answered(planes["log"], {"x": np.array([0.0, -1.0], np.float32)})["out"].to_pylist()
    assert logs[0]["y"] == [-np.inf]
    assert np.isnan(logs[1]["y"][0])


def test_every_type_reaches_its_model(planes: Planes) -> None:
    columns = {
        "a": pa.array([0.5, 1.5], F4),
        "b": pa.array([1, 2], pa.int64()),
        "c": pa.array([True, False]),
        "d": pa.array(["é", ""], pa.large_string()),
    }
    out = answered(planes["kinds"], columns)["out"].to_pylist()
    assert out == [
        {"total": 1.5, "flag": True, "label": "é"},
        {"total": 3.5, "flag": False, "label": ""},
    ]
    whole = columns | {"b": pa.array([1.0, 2.0])}
    assert answered(planes["kinds"], whole)["out"].to_pylist() == out


def test_columns_that_no_step_uses_come_back_as_they_are(planes: Planes) -> None:
    when = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    columns = {
        "note": pa.array(["hello"]),
        "x": pa.array([1.0]),
        "when": pa.array([when], pa.timestamp("ms", "UTC")),
        "inner": pa.array([{"a": [1, 2], "b": None}]),
        "nothing": pa.nulls(1),
    }
    table = answered(planes["one"], columns)
    sent_back = table["in"].combine_chunks()
    for name, column in columns.items():
        assert sent_back.field(name).equals(column), name
    (row,) = sent(planes["one"], packed(columns)).json
    assert row["in"] == {
        "note": "hello",
        "x": 1.0,
        "when": "2026-01-02T03:04:00+00:00",
        "inner": {"a": [1, 2], "b": None},
        "nothing": None,
    }


def test_the_schema_of_answers(planes: Planes) -> None:
    table = answered(planes["vector"], {"x": lists(pa.list_(F4))})
    names = ["time", "in", "out", "anomaly", "metadata"]
    assert table.schema.names == names
    assert table.schema.field("time").equals(pa.field("time", pa.int64(), nullable=False))
    assert table.schema.field("out").type == pa.struct([("y", pa.list_(F4))])
    assert table.schema.field("anomaly").type == pa.struct([("count", pa.uint32())])
    told = [table.schema.field(g).type.field(n).metadata for g, n in (("in", "x"), ("out", "y"))]
    assert told == [{b"tensor_type": b'{"shape":[3]}'}] * 2
    assert table.schema.field("anomaly").type.field("count").metadata == {
        b"tensor_type": b'{"shape":[]}'
    }
    metadata = table.schema.field("metadata").type
    assert {metadata.field(n).name: metadata.field(n).type for n in range(6)} == {
        "last_model": pa.string(),
        "pipeline_version": pa.string(),
        "elapsed": pa.list_(pa.uint64()),
        "dropped": pa.list_(pa.string()),
        "partition": pa.string(),
        "inference_id": pa.string(),
    }


def steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give rows less what differs from one answer to the next, and what JSON alone has."""
    for row in rows:
        row.pop("time")
        for name in ("elapsed", "inference_id"):
            row["metadata"].pop(name)
        if not row["metadata"].get("variants"):
            row["metadata"].pop("variants", None)
    return rows


CASES = {
    "numbers": [{"p": 1.5, "q": -2.0, "r": 3.0}, {"p": 0.1, "q": 0.0, "r": 1e30}],
    "vector": [{"x": [0.1, 2.0, 3.0], "id": 7}, {"x": [1.0, 2.0, 4.0], "id": 8}],
    "image": [{"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}],
    "boxes": [{"x": [1.0, -1.0, 2.0, 0.0]}, {"x": [-1.0, -1.0, 2.0, 0.0]}],
    "kinds": [{"a": 0.5, "b": 2, "c": True, "d": "text"}],
    "split": [{"x": 1.0, "k": "ann"}, {"x": 2.0, "k": "bob"}, {"x": 3.0, "k": "eve"}],
    "beside": [{"x": 1.0}, {"x": 2.0}],
    "unseen": [{"x": 1.0}],
}


@pytest.mark.parametrize("name", CASES)
def test_every_format_in_gives_the_same_rows_in_every_format_out(planes: Planes, name: str) -> None:
    plane, rows = planes[name], CASES[name]
    wanted = steady(plane.ask(rows).json)
    for row in wanted:  # what was sent as float32 is echoed with its own digits
        row["in"] = {
            c: np.float64(v).tolist() if isinstance(v, float) else v for c, v in row["in"].items()
        }
    as_json = json.dumps(rows).encode()
    table = pa.Table.from_pylist(rows)
    bodies = {JSON: as_json, FILE: packed(table), STREAM: packed(table, STREAM)}
    for media, body in bodies.items():
        for accepted in (JSON, FILE, STREAM):
            answer = sent(plane, body, media, accepted)
            assert answer.status == 200, answer.body
            found = answer.json if accepted == JSON else unpacked(answer.body, accepted).to_pylist()
            assert [same_floats(r) for r in steady(found)] == [same_floats(r) for r in wanted]


def same_floats(value: Any) -> Any:
    """Give values with all floats as float32: records tell fewer digits of the same number."""
    if isinstance(value, dict):
        return {key: same_floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [same_floats(one) for one in value]
    return float(np.float32(value)) if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("dataset.separator=.", ["time", "in.x", "out.y", "anomaly.count"]),
        ("dataset.separator=.&dataset[]=out", ["out.y"]),
        ("dataset[]=out&dataset[]=time", ["time", "out"]),
        ("dataset.exclude[]=in", ["time", "out", "anomaly"]),
        ("dataset[]=anomaly.count", ["anomaly"]),
        ("dataset.exclude[]=out.y", ["time", "in", "anomaly"]),
    ],
)
def test_the_dataset_parameters_choose_columns(
    planes: Planes, query: str, names: list[str]
) -> None:
    table = answered(planes["one"], {"x": [1.0]}, f"{query}&dataset.exclude[]=metadata")
    assert table.schema.names == names


def test_an_answer_larger_than_a_page(planes: Planes) -> None:
    rows = pa.array(np.arange(1500.0))
    columns = {"x": rows, "note": pa.array(["n" * 400] * 1500)}
    table = answered(planes["one"], columns)
    assert table.num_rows == 1500
    assert table["in"].combine_chunks().field("note").equals(columns["note"])


def test_a_divided_batch_is_told_row_by_row(planes: Planes) -> None:
    columns = {"x": [1.0] * 20, "k": [f"user-{n}" for n in range(20)]}
    rows = answered(planes["split"], columns).to_pylist()
    factor = {"a": 2.0, "b": 3.0}
    assert {row["metadata"]["variants"]["price"] for row in rows} == {"a", "b"}
    assert len({row["metadata"]["inference_id"] for row in rows}) == 20
    for row in rows:
        variant = row["metadata"]["variants"]["price"]
        assert row["out"]["y"] == [factor[variant]]
        assert json.loads(row["out"]["_model_split"][0])["name"] == variant


ACCEPTS = {
    "": JSON,
    "*/*": JSON,
    f"{FILE}, */*": FILE,
    f"*/*;q=1, {FILE};q=0.5": JSON,
    f"{JSON};q=0.5, {FILE}": FILE,
    f"{JSON};q=0, */*": FILE,
    f"{STREAM}, {FILE}": STREAM,
    "text/html, application/*;q=0.1": JSON,
    f"{FILE};q=high": FILE,
}


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_answer_has_the_form_that_the_client_likes_best(planes: Planes, accept: str) -> None:
    answer = sent(planes["one"], packed({"x": [1.0]}), FILE, accept)
    assert (answer.status, answer.headers["Content-Type"]) == (200, ACCEPTS[accept])


def test_without_the_extra_arrow_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tiltyard_engine.codecs.arrow.codec", None)
    with opened(tmp_path, {"m": graphs.identity()}) as plane:
        for media, wanted in ((FILE, ""), (JSON, FILE)):
            answer = sent(plane, b'[{"x": 1}]', media, wanted)
            assert answer.status == 415
            assert "tiltyard[arrow]" in answer.json["error"]
        assert plane.ask([{"x": 1}]).status == 200
