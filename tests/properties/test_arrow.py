"""Whatever a table holds, it meets the answer that the same rows meet as records."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphs
from planes import Plane, opened
from tables import FILE, STREAM, packed

ENTRY = {
    "inputs": [{"name": "x", "type": "float32", "shape": [3], "columns": ["p", "q", "r"]}],
    "outputs": [{"name": "y", "type": "float32", "shape": [3]}],
}
BOUNDED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = {
    **{
        f"{u}int{n}": st.integers(0 if u else -(2 ** (n - 1)), 2 ** (n - (not u)) - 1)
        for u in ("", "u")
        for n in (8, 16, 32, 64)
    },
    "float16": st.floats(width=16, allow_nan=False, allow_infinity=False),
    "float32": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "string": st.text(max_size=5),
}


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Plane]]:
    folders = [tmp_path_factory.mktemp("plane") for _ in range(3)]
    with (
        opened(folders[0], {"m": graphs.scaled(1, 3)}, entries={"m": ENTRY}) as columns,
        opened(folders[1], {"m": graphs.image(2, 2)}) as image,
        opened(folders[2], {"m": graphs.identity("int64", ("N",))}) as whole,
    ):
        yield {"columns": columns, "image": image, "whole": whole}


def arrays(kind: str, rows: int) -> st.SearchStrategy[Any]:
    values = st.one_of(NUMBERS[kind], NUMBERS[kind], NUMBERS[kind], st.none())
    return st.lists(values, min_size=rows, max_size=rows).map(lambda v: pa.array(v, kind))


def nested(kind: str, rows: int) -> st.SearchStrategy[Any]:
    inner = st.lists(st.lists(NUMBERS[kind], min_size=1, max_size=3), min_size=1, max_size=2)
    even = st.lists(st.lists(NUMBERS[kind], min_size=2, max_size=2), min_size=2, max_size=2)
    return st.lists(even | even | inner | st.none(), min_size=rows, max_size=rows).map(
        lambda v: pa.array(v, pa.list_(pa.list_(pa.type_for_alias(kind))))
    )


kinds = st.sampled_from(sorted(NUMBERS))
usual = st.sampled_from(["float32", "float64", "int64"])


@st.composite
def three_columns(draw: st.DrawFn) -> Any:
    rows = draw(st.integers(1, 4))
    return pa.table({name: draw(arrays(draw(usual | kinds), rows)) for name in "pqr"})


@st.composite
def one_column(draw: st.DrawFn, made: Any) -> Any:
    return pa.table({"x": draw(made(draw(usual | kinds), draw(st.integers(1, 4))))})


def compare(plane: Plane, table: Any, media: str) -> None:
    by_table = plane.ask(packed(table, media), "", {"Content-Type": media})
    by_record = plane.ask(json.dumps(table.to_pylist()).encode())
    assert by_table.status == by_record.status, (by_table.body, by_record.body)
    if by_table.status == 200:
        assert by_table.out() == by_record.out()
    else:
        told = [
            {k: a.json.get(k) for k in ("reason", "field", "row")} for a in (by_table, by_record)
        ]
        assert told[0] == told[1]


@BOUNDED
@given(table=three_columns(), media=st.sampled_from([FILE, STREAM]))
def test_scalar_columns(planes: dict[str, Plane], table: Any, media: str) -> None:
    compare(planes["columns"], table, media)


@BOUNDED
@given(table=one_column(nested), media=st.sampled_from([FILE, STREAM]))
def test_nested_lists(planes: dict[str, Plane], table: Any, media: str) -> None:
    compare(planes["image"], table, media)


@BOUNDED
@given(table=one_column(arrays), media=st.sampled_from([FILE, STREAM]))
def test_integers(planes: dict[str, Plane], table: Any, media: str) -> None:
    compare(planes["whole"], table, media)


@BOUNDED
@given(
    table=three_columns(),
    places=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=6),
    end=st.integers(0),
    media=st.sampled_from([FILE, STREAM]),
)
def test_damage_is_refused_or_does_no_harm(
    planes: dict[str, Plane],
    table: Any,
    places: list[tuple[int, int]],
    end: int,
    media: str,
) -> None:
    body = bytearray(packed(table, media))
    for place, byte in places:
        body[place % len(body)] = byte
    cut = bytes(body[: len(body) - end % len(body)]) if end % 2 else bytes(body)
    answer = planes["columns"].ask(cut, "", {"Content-Type": media, "Accept": FILE})
    assert answer.status in (200, 400, 413), answer.body
