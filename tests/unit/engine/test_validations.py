"""Validations as an engine runs them: what answers say, and that none of them harms an answer."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphs
from makers import Document
from planes import Plane, opened
from tables import FILE, unpacked
from tiltyard_engine.validations.judge import NotRunnableError, check
from waiting import await_that

DEAR = {"name": "dear", "expression": "out.y[0] > 10.0"}
ODD = {"name": "odd", "expression": "inputs.x[0] != 0.0 && out.y.exists(v, v < 0.0)"}
BROKEN = {"name": "broken", "expression": "out.y[int(inputs.x[0])] > 0.0"}
"""Simple; not simple; and one that fails where x is not 0."""

THREE = [DEAR, ODD, BROKEN]
ROWS = [{"x": 0.0}, {"x": 8.0}, {"x": -3.0}]
FOUND = [
    {"count": 0, "dear": False, "odd": False, "broken": False},
    {"count": 1, "dear": True, "odd": False, "broken": None},
    {"count": 1, "dear": False, "odd": True, "broken": None},
]


def validations(*validations: Document) -> Document:
    return {"validations": list(validations)}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("validated")
    with opened(folder, {"a": graphs.scaled(2)}, spec=validations(*THREE)) as plane:
        yield plane


def test_answers_say_of_each_row_what_was_found(plane: Plane) -> None:
    assert [row["anomaly"] for row in plane.ask(ROWS).json] == FOUND
    for row, found in zip(ROWS, FOUND, strict=True):
        assert plane.ask([row]).json[0]["anomaly"] == found


def test_answers_are_the_same_with_and_without(plane: Plane, tmp_path: Path) -> None:
    with opened(tmp_path, {"a": graphs.scaled(2)}) as bare:
        assert bare.ask(ROWS).out() == plane.ask(ROWS).out() == [[0], [16], [-6]]
        assert [row["anomaly"] for row in bare.ask(ROWS).json] == [{"count": 0}] * 3


@pytest.mark.parametrize(
    ("query", "keys"),
    {
        "dataset.separator=.&dataset[]=anomaly": [f"anomaly.{name}" for name in FOUND[0]],
        "dataset.separator=.&dataset[]=anomaly.count": ["anomaly.count"],
        "dataset.flatten=true&dataset[]=time&dataset[]=anomaly.odd": ["time", "anomaly.odd"],
        "dataset[]=anomaly&dataset.exclude[]=anomaly.dear": ["anomaly"],
        "dataset[]=out": ["out"],
        "dataset.exclude[]=anomaly&dataset.exclude[]=metadata": ["time", "in", "out"],
    }.items(),
)
def test_anomalies_are_selected_like_other_columns(
    plane: Plane, query: str, keys: list[str]
) -> None:
    rows = plane.ask(ROWS, query).json
    assert [list(row) for row in rows] == [keys] * 3
    if keys == ["anomaly"]:
        assert [list(row["anomaly"]) for row in rows] == [["count", "odd", "broken"]] * 3


@pytest.mark.parametrize("query", ["", "dataset.separator=.&dataset[]=anomaly"])
def test_tables_hold_the_same(plane: Plane, query: str) -> None:
    answer = plane.ask(ROWS, query, {"Accept": FILE})
    table = unpacked(answer.body)
    if query:
        assert [str(field.type) for field in table.schema] == ["uint32", "bool", "bool", "bool"]
        assert table.to_pylist() == [{f"anomaly.{k}": v for k, v in one.items()} for one in FOUND]
    else:
        assert table.column("anomaly").to_pylist() == FOUND


def test_rows_are_counted_by_what_was_said_of_them(tmp_path: Path) -> None:
    with opened(tmp_path, {"a": graphs.scaled(2)}, spec=validations(*THREE)) as plane:
        plane.ask(ROWS)
        plane.ask(ROWS[1:2])
        found = {
            name: (
                plane.count("tiltyard_validation_failures_total", name),
                plane.count("tiltyard_validation_errors_total", name, "failed"),
                plane.count("tiltyard_validation_errors_total", name, "late"),
            )
            for name in ("dear", "odd", "broken")
        }
    assert found == {"dear": (2, 0, 0), "odd": (1, 0, 0), "broken": (0, 3, 0)}


def test_other_protocols_name_what_found_anything(plane: Plane) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [3, 1], "data": [0, 8, 9]}
    body = json.dumps({"inputs": [tensor]}).encode()
    answer = plane.send("/v2/models/tested/infer", body)
    assert answer.json["parameters"]["anomalies"] == "dear=2"
    assert [one["name"] for one in answer.json["outputs"]] == ["y"]
    assert answer.headers["X-Tiltyard-Anomalies"] == "dear=2"
    lines = plane.send("/endpoints/tested/invocations", b"8\n-3\n", {"Content-Type": "text/csv"})
    assert lines.body == b"16.0\n-6.0\n"
    assert lines.headers["X-Tiltyard-Anomalies"] == "dear=1,odd=1"
    fine = plane.send("/invocations", b"0\n", {"Content-Type": "text/csv"})
    assert "X-Tiltyard-Anomalies" not in fine.headers


@pytest.mark.parametrize(
    ("kind", "shape", "values", "expression", "found"),
    [
        ("float32", (), [1.5, None], "out.y == 1.5", [True, False]),
        ("float32", (), [1.5, None], "!(out.y == 1.5)", [False, True]),
        ("float32", (), [0.1], "out.y != 0.1", [True]),
        ("float16", (1,), [[0.5]], "out.y[0] >= 0.5", [True]),
        ("float64", (1,), [[1e300]], "out.y[0] > 1e299", [True]),
        ("int64", (1,), [[2**62 + 1]], f"out.y[0] == {2**62 + 1} && out.y[0] > 1", [True]),
        ("int64", (1,), [[2**62 + 1]], f"out.y[0] - 1 == {2**62}", [True]),
        ("uint64", (1,), [[2**64 - 1]], "out.y[0] > 1", [True]),
        ("uint8", (2,), [[7, 255]], "out.y[1] > 254.5", [True]),
        ("int8", (1,), [[-5]], "out.y[0] < -300 || out.y[0] == -5", [True]),
        ("bool", (1,), [[True]], "out.y[0]", [True]),
        ("bool", (), [False], "!out.y", [True]),
        ("string", (), ["spam", "ham"], "out.y.matches('^s.*m$')", [True, False]),
        ("string", (1,), [["é!"]], "size(out.y[0]) == 2", [True]),
        ("float32", (-1,), [[1], [1, 2], []], "size(out.y) > 1", [False, True, False]),
        ("int32", (-1, 2), [[[1, 2]], []], "out.y.all(p, p[0] < p[1])", [True, True]),
        ("float32", (2, 2), [[[1, 2], [3, 4]]], "out.y[1][0] == 3.0", [True]),
        ("float32", (1,), [[3]], "size(out) == 1 && inputs['x'] == out['y']", [True]),
        ("float32", (1,), [[3]], "out.y", [None]),
    ],
)
def test_every_type_is_what_its_json_says(
    tmp_path: Path,
    kind: str,
    shape: tuple[int, ...],
    values: list[object],
    expression: str,
    found: list[object],
) -> None:
    graph = graphs.identity(kind, ("N", *("ABC"[i] if n < 0 else n for i, n in enumerate(shape))))
    spec = validations({"name": "v", "expression": expression})
    with opened(tmp_path, {"a": graph}, spec=spec) as plane:
        rows = plane.ask([{"x": value} for value in values]).json
    assert [row["anomaly"]["v"] for row in rows] == found


def test_columns_that_are_stacked_are_named_one_by_one(tmp_path: Path) -> None:
    entries = {"a": {"inputs": [{"name": "x", "type": "float32", "columns": ["area", "a b"]}]}}
    spec = validations(
        {"name": "small", "expression": "inputs.area < 2.0"},
        {"name": "odd", "expression": "inputs['a b'] + inputs.area == 7.0"},
    )
    with opened(tmp_path, {"a": graphs.linear(2)}, entries=entries, spec=spec) as plane:
        rows = plane.ask([{"area": 1, "a b": 6}, {"area": 3, "a b": 6}]).json
    assert [row["anomaly"] for row in rows] == [
        {"count": 2, "small": True, "odd": True},
        {"count": 0, "small": False, "odd": False},
    ]


def test_a_batch_goes_over_in_parts_that_are_not_large(tmp_path: Path) -> None:
    spec = validations({"name": "v", "expression": "!(out.y[999] < inputs.x[0])"})
    with opened(tmp_path, {"a": graphs.scaled(1, 1000)}, spec=spec) as plane:
        rows = [{"x": [n % 2, *[0] * 999]} for n in range(150)]
        answer = plane.ask(rows, "dataset[]=anomaly").json
    assert [row["anomaly"]["v"] for row in answer] == [n % 2 == 0 for n in range(150)]


DOUBLING = "[[1]]" + ".map(x, x + x)" * 24 + "[0].size() > 0"
HOSTILE = {
    "lists that double": DOUBLING,
    "texts that double": "['a']" + ".map(s, s + s)" * 27 + "[0].size() > 0",
    "nested loops": "out.y.all(a, out.y.all(b, out.y.all(c, a + b + c >= 0.0)))",
    "a long regular expression": "('a' + string(out.y[0])).matches('((((a{1,30}){1,30})+)+)+$')",
    "deep lists": "[[[[[[out.y]]]]]].map(x, [x, x, x]).map(x, [x, x, x]).size() == 0",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_expressions_cost_an_answer_no_more_than_their_time(
    tmp_path: Path, name: str
) -> None:
    spec = validations(DEAR, {"name": "bad", "expression": HOSTILE[name]})
    with opened(tmp_path, {"a": graphs.scaled(2, 1000)}, spec=spec, budget=0.5) as plane:
        for _ in range(2):
            (row,) = plane.ask([{"x": [8.0] * 1000}]).json
            assert row["out"]["y"] == [16.0] * 1000
            assert row["anomaly"]["dear"] is True
        errors = [
            plane.count("tiltyard_validation_errors_total", "bad", reason)
            for reason in ("failed", "late")
        ]
    assert sum(errors) == 2 or name not in ("lists that double", "nested loops")


def test_what_ended_begins_again(tmp_path: Path) -> None:
    """A row ends the process; later rows are judged, once it is there again."""
    bad = {"name": "bad", "expression": f"inputs.x[0] > 0.0 && {DOUBLING} || inputs.x[0] < -1.0"}
    with opened(tmp_path, {"a": graphs.scaled(2)}, spec=validations(bad), budget=5.0) as plane:
        assert plane.ask([{"x": 1.0}]).json[0]["anomaly"]["bad"] is None
        said = {plane.ask([{"x": -2.0}]).json[0]["anomaly"]["bad"] for _ in range(3)}
        await_that(lambda: plane.ask([{"x": -2.0}]).json[0]["anomaly"]["bad"] is True)
    assert said <= {True, None}


def test_without_the_library_simple_validations_run_and_others_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, {"a": graphs.scaled(2)}, spec=validations(DEAR)) as simple:
        monkeypatch.setitem(sys.modules, "cel_expr_python", None)
        check(simple.plan)
        assert simple.ask([{"x": 8.0}]).json[0]["anomaly"] == {"count": 1, "dear": True}
        bad = simple.plan.model_copy(update={"validations": (simple.plan.validations or ())})
        odd = bad.model_validate(
            bad.model_dump() | {"validations": [DEAR, ODD]},
        )
        with pytest.raises(NotRunnableError) as refused:
            check(odd)
    said = str(refused.value)
    assert said.startswith("validation 'odd' needs CEL, which this engine does not have")
