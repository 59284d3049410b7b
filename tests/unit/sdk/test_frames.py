"""Tables in, tables out: what is sent for what is given, and what comes of an answer."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tiltyard
from tiltyard.failure import Failure
from tiltyard.frames import PANDAS, POLARS, TABLE, Form, Table, form_of
from tiltyard.results import InferenceResult, records_of
from tiltyard.schemas import tensors
from tiltyard.transport import Answer

FLAT = [
    {"time": 1721686245906, "in.x": 1, "out.y": [0.5], "out.label": "a", "anomaly.count": 0},
    {"time": 1721686245906, "in.x": 2, "out.y": None, "out.label": "b", "anomaly.count": 1},
]
ANSWER = Answer(200, {}, json.dumps(FLAT).encode())
INSTANT = datetime(2024, 7, 22, 22, 10, 45, 906000)  # noqa: DTZ001 - as tables keep it


@pytest.mark.parametrize(
    ("values", "sent"),
    [
        ([1, 2], [1, 2]),
        ([0.5, float("nan")], [0.5, None]),
        ([float("inf"), 1.0], [None, 1.0]),
        (["a", "b"], ["a", "b"]),
        (["a", None], ["a", None]),
        ([True, False], [True, False]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ([np.array([0.5, np.nan]), np.array([[1]])], [[0.5, None], [[1]]]),
        ([np.float32(0.5), np.int64(3)], [0.5, 3]),
        ([pd.Timestamp("2024-01-02"), pd.NaT], ["2024-01-02T00:00:00", None]),
        (pd.array([1, None], dtype="Int64"), [1, None]),
    ],
)
def test_cells_of_pandas_become_what_json_has(values: Table, sent: list[object]) -> None:
    frame = pd.DataFrame({"x": values, "n": [7, 8]}, index=[5, 9])
    assert json.loads(PANDAS.write(frame)) == [
        {"x": one, "n": n} for one, n in zip(sent, (7, 8), strict=True)
    ]


def test_cells_of_polars_become_what_json_has() -> None:
    frame = pl.DataFrame({"x": [1, 2], "y": [0.5, float("nan")], "z": [[1], [2, 3]]})
    assert json.loads(POLARS.write(frame)) == [
        {"x": 1, "y": 0.5, "z": [1]},
        {"x": 2, "y": None, "z": [2, 3]},
    ]


def test_a_cell_that_no_model_takes_is_named_by_its_kind() -> None:
    with pytest.raises(Failure, match="a cell holds a object, which no model takes"):
        PANDAS.write(pd.DataFrame({"x": [object()]}))


def test_an_answer_is_a_table_of_the_library_that_asked() -> None:
    frame = PANDAS.read(ANSWER)
    assert list(frame.columns) == list(FLAT[0])
    assert frame["time"].dtype == "datetime64[ms]"
    assert frame.loc[0, "time"] == INSTANT
    assert frame["in.x"].dtype == "int64"
    assert frame.loc[0, "out.y"] == [0.5]
    assert frame.loc[1, "out.y"] is None
    other = POLARS.read(ANSWER)
    assert other.columns == list(FLAT[0])
    assert other["time"].dtype == pl.Datetime("ms")
    assert other.row(0)[0] == INSTANT
    assert other["out.y"].to_list() == [[0.5], None]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, -2], "int64"),
        ([1, 2**63], "uint64"),
        ([-1, 2**63], "object"),
        ([1, 0.5], "float64"),
        ([0.5, 2**63], "float64"),
        ([True, False], "bool"),
        ([True, 1], "object"),
        (["a", None], "str"),
        ([None, None], "object"),
        ([[1], [2, 3]], "object"),
        ([[1], [2]], "object"),
        ([0.5, None], "object"),
    ],
)
def test_a_column_of_pandas_is_of_the_narrowest_type_that_keeps_its_values(
    values: list[object], kind: str
) -> None:
    rows = [{"in.k": 3, "out.first": one, "out.n": 0.5, "out.second": one} for one in values]
    frame = PANDAS.read(Answer(200, {}, json.dumps(rows).encode()))
    assert frame.dtypes.tolist() == ["int64", kind, "float64", kind]
    assert frame["in.k"].tolist() == [3] * len(values)
    for name in ("out.first", "out.second"):
        kept = frame[name].astype(object)
        assert kept.where(kept.notna(), None).tolist() == values


def test_what_a_caller_calls_an_index_is_his_own() -> None:
    PANDAS.read(ANSWER).columns.name = "mine"
    assert PANDAS.read(ANSWER).columns.name is None


def test_a_column_of_polars_is_of_the_type_that_its_last_value_needs() -> None:
    rows = [{"x": 1}] * 200 + [{"x": 0.5}]
    frame = POLARS.read(Answer(200, {}, json.dumps(rows).encode()))
    assert frame["x"].dtype == pl.Float64
    assert frame["x"][-1] == 0.5


def test_no_rows_are_an_empty_table() -> None:
    for form in (PANDAS, POLARS):
        assert len(form.read(Answer(200, {}, b"[]"))) == 0


def test_arrow_goes_there_and_back_as_it_is() -> None:
    table = pa.table({"time": pa.array([1721686245906], pa.int64()), "out.y": [[0.5]]})
    back = TABLE.read(Answer(200, {}, TABLE.write(table)))
    assert back["time"].to_pylist() == [INSTANT]
    assert back["out.y"].to_pylist() == [[0.5]]


@pytest.mark.parametrize(
    ("form", "table"),
    [
        (PANDAS, pd.DataFrame({"x": range(5)})),
        (POLARS, pl.DataFrame({"x": range(5)})),
        (TABLE, pa.table({"x": range(5)})),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_tables_are_cut_and_joined_and_what_failed_keeps_its_place(
    form: Form, table: Table
) -> None:
    assert form_of(table) is form
    parts = [form.cut(table, first, min(first + 2, 5)) for first in range(0, 5, 2)]
    assert [form.rows(part) for part in parts] == [2, 2, 1]
    joined = form.join([parts[0], form.failed(2, "why"), parts[2]])
    assert form.rows(joined) == 5
    rows = joined.to_pylist() if form is TABLE else json.loads(form.write(joined))
    assert [row["error"] for row in rows] == [None, None, "why", "why", None]
    assert [row["x"] for row in rows] == [0, 1, None, None, 4]


def test_what_is_no_table_is_said() -> None:
    assert form_of([{"x": 1}]) is None
    with pytest.raises(Failure, match="a Series is no table: give a DataFrame or a Table"):
        form_of(pd.Series([1]))


NESTED = {
    "time": 1721686245906,
    "in": {"tensor": [1.0, 2.0]},
    "out": {"dense_1": [0.25], "top": [[1, 2], [3, 4]]},
    "out_rf": {"variable": [1.0]},
    "anomaly": {"count": 0},
    "metadata": {
        "last_model": '{"model_name":"ccfraud","model_sha":"bc"}',
        "pipeline_version": "v-1",
        "elapsed": [55835, 405277],
    },
}


def test_lists_and_dicts_are_answered_by_one_object_a_request() -> None:
    result = InferenceResult("p", [NESTED, NESTED])
    assert result.model() == ("ccfraud", "v-1")
    dense, top = result.data()
    assert dense.shape == (2, 1)
    assert top.shape == (2, 2, 2)
    assert result.raw["outputs"][0] == {"Float": {"data": [0.25, 0.25], "dim": [2, 1], "v": 1}}
    assert result.input_data() == {"tensor": [[1.0, 2.0], [1.0, 2.0]]}
    assert result.shadow_data()["rf"][0].tolist() == [[1.0], [1.0]]
    assert result.time_elapsed().microseconds == 461
    assert result.timestamp() == INSTANT.replace(tzinfo=UTC)


def test_the_model_of_a_split_is_told_by_the_answer() -> None:
    split = json.dumps({"name": "b", "version": "v-7"})
    row = NESTED | {"out": {"_model_split": [split], "y": [True]}}
    result = InferenceResult("p", [row])
    assert result.model() == ("b", "v-7")
    assert result.raw["outputs"] == [{"Bool": {"data": [True], "dim": [1, 1], "v": 1}}]


def test_columns_become_rows() -> None:
    assert records_of({"x": [1, 2], "y": ["a", "b"]}) == [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]
    assert records_of([{"x": 1}]) == [{"x": 1}]


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (pa.float32(), {"type": "float32"}),
        (pa.float64(), {"type": "float64"}),
        (pa.float16(), {"type": "float16"}),
        (pa.int32(), {"type": "int32"}),
        (pa.bool_(), {"type": "bool"}),
        (pa.string(), {"type": "string"}),
        (pa.list_(pa.int32()), {"type": "int32", "shape": [-1]}),
        (pa.list_(pa.float32(), 29), {"type": "float32", "shape": [29]}),
        (pa.list_(pa.list_(pa.float32(), 4)), {"type": "float32", "shape": [-1, 4]}),
    ],
    ids=str,
)
def test_an_arrow_schema_says_what_a_manifest_says(kind: Table, entry: dict[str, object]) -> None:
    assert tensors(pa.schema([pa.field("x", kind)])) == [{"name": "x"} | entry]
    assert tensors([{"name": "x"} | entry]) == [{"name": "x"} | entry]


def test_a_schema_that_no_tensor_has_is_refused_by_its_column() -> None:
    with pytest.raises(Failure, match="column 'x' of the schema is timestamp"):
        tensors(pa.schema([pa.field("x", pa.timestamp("ms"))]))
    with pytest.raises(Failure, match="int is no schema"):
        tensors(7)


def test_every_public_name_is_there_and_importing_costs_nobody_a_library_of_tables() -> None:
    for name in tiltyard.__all__:
        assert getattr(tiltyard, name).__name__ == name
    assert dir(tiltyard) == tiltyard.__all__
    code = (
        "import sys, tiltyard; [getattr(tiltyard, n) for n in tiltyard.__all__];"
        "print({*sys.modules} & {'pandas', 'polars', 'pyarrow', 'numpy', 'kubernetes', 'obstore'})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == "set()\n"
