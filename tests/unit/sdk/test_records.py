"""Records are found by time, variant, id and anomaly, whatever files they lie in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiltyard.failure import Failure
from tiltyard.records import read
from tiltyard_api.recordfiles import CLOSED, FEEDBACK, INFERENCES, OPEN, STAMP

START = datetime(2026, 11, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def table(begin: int, count: int = 5, **columns: list[Any]) -> pa.Table:
    """Give a row a minute, numbered; odd rows are of `b` and look wrong, every fifth failed."""
    numbers = list(range(begin, begin + count))
    times = pa.array([START + n * MINUTE for n in numbers], pa.timestamp("us", "UTC"))
    errors = [None if n % 5 else "ModelFailed" for n in numbers]
    made: dict[str, Any] = {
        "time": times,
        "in.x": pa.array([float(n) for n in numbers], pa.float32()),
        "out.y": [[2.0 * n] for n in numbers],
        "anomaly.count": [n % 2 for n in numbers],
        "anomaly.odd": [bool(n % 2) for n in numbers],
        "metadata.inference_id": [f"id{n}" for n in numbers],
        "metadata.request": [f"id{n}" for n in numbers],
        "metadata.row": pa.array([0] * count, pa.int32()),
        "metadata.variants.score": ["b" if n % 2 else "a" for n in numbers],
        "metadata.error": pa.array(errors, pa.string()),
    }
    return pa.table({**made, **columns})


def path_of(root: Path, begin: int, ending: str, stream: str = INFERENCES) -> Path:
    moment = START + begin * MINUTE
    place = root / "p" / stream / f"date={moment:%Y-%m-%d}" / f"hour={moment:%H}"
    place.mkdir(parents=True, exist_ok=True)
    return place / f"{moment.strftime(STAMP)}-x{ending}"


def write_open(path: Path, rows: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, rows.schema) as stream:
        stream.write_table(rows)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A day of files of 5 minutes; the last is still open."""
    for begin in range(0, 1435, 5):
        pq.write_table(table(begin), path_of(tmp_path, begin, CLOSED))
    write_open(path_of(tmp_path, 1435, OPEN), table(1435))
    return tmp_path


def found(root: Path, **wanted: Any) -> list[int]:
    return [int(x) for x in read(root, "p", **wanted)["in.x"].to_pylist()]


HOUR = {"since": START + 90 * MINUTE, "until": START + 150 * MINUTE}


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({}, range(1440)),
        (HOUR, range(90, 150)),
        ({"since": START + 1430 * MINUTE}, range(1430, 1440)),
        ({"until": START + 7 * MINUTE}, range(7)),
        ({"limit": 8}, range(1432, 1440)),
        ({**HOUR, "limit": 4}, range(90, 94)),
        ({"since": START + 90 * MINUTE, "limit": 4}, range(1436, 1440)),
        ({**HOUR, "variant": "b"}, range(91, 150, 2)),
        ({**HOUR, "variant": "score=a"}, range(90, 150, 2)),
        ({**HOUR, "variant": "other=a"}, ()),
        ({"inference_id": "id77"}, (77,)),
        ({**HOUR, "anomaly": "*"}, range(91, 150, 2)),
        ({**HOUR, "anomaly": "odd"}, range(91, 150, 2)),
        ({**HOUR, "anomaly": "even"}, ()),
        ({**HOUR, "valid": False}, range(90, 150, 5)),
        ({"since": START + 86 * 60 * MINUTE}, ()),
    ],
    ids=str,
)
def test_rows_are_those_that_were_asked_for(
    root: Path, wanted: dict[str, Any], rows: range
) -> None:
    assert found(root, **wanted) == list(rows) if rows else read(root, "p", **wanted).num_rows == 0


@pytest.mark.parametrize(
    ("dataset", "exclude", "columns"),
    [
        (["*"], ["metadata"], ["time", "in.x", "out.y", "anomaly.count", "anomaly.odd"]),
        (["time", "out"], [], ["time", "out.y"]),
        (["time", "anomaly.odd"], ["anomaly"], ["time", "anomaly.odd"]),
        (["*"], ["anomaly", "metadata", "in.x"], ["time", "out.y"]),
    ],
)
def test_columns_are_those_that_were_asked_for(
    root: Path, dataset: list[str], exclude: list[str], columns: list[str]
) -> None:
    got = read(root, "p", **HOUR, dataset=dataset, dataset_exclude=exclude, variant="a", valid=True)
    assert got.column_names == columns
    assert got.num_rows == 24


def test_a_file_that_is_there_twice_counts_once_and_a_cut_one_as_far_as_it_is_whole(
    tmp_path: Path,
) -> None:
    pq.write_table(table(0), path_of(tmp_path, 0, CLOSED))
    write_open(path_of(tmp_path, 0, OPEN), table(0))
    path = path_of(tmp_path, 5, OPEN)
    whole = table(5)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, whole.schema) as stream:
        stream.write_table(whole)
        stream.write_table(table(10))
        stream.close()
    path.write_bytes(path.read_bytes()[:-100])
    assert found(tmp_path) == list(range(10))


def test_what_several_plans_recorded_stands_in_one_table(tmp_path: Path) -> None:
    pq.write_table(table(0), path_of(tmp_path, 0, CLOSED))
    more = table(5, **{"in.new": [1, 2, 3, 4, 5]})
    pq.write_table(more, path_of(tmp_path, 5, CLOSED))
    assert read(tmp_path, "p")["in.new"].to_pylist() == [None] * 5 + [1, 2, 3, 4, 5]


def test_challengers_and_feedback_stand_beside_their_rows(tmp_path: Path) -> None:
    pq.write_table(table(0), path_of(tmp_path, 0, CLOSED))
    seen = table(1, 3).select(["time", "metadata.request", "metadata.row"])
    seen = seen.append_column("out_c.y", pa.array([[1.0], [2.0], [3.0]]))
    pq.write_table(seen, path_of(tmp_path, 1, CLOSED, "score.c"))
    told = pa.table(
        {
            "time": table(0, 3)["time"],
            "metadata.inference_id": ["id2", "id3", "id2"],
            "metric": ["paid", "paid", "paid"],
            "value": [0.0, 1.0, 1.0],
            "row": pa.array([None, 0, 0], pa.int32()),
            "item": pa.nulls(3, pa.int32()),
        }
    )
    pq.write_table(told, path_of(tmp_path, 9999, CLOSED, FEEDBACK))
    got = read(tmp_path, "p")
    assert got["out_c.y"].to_pylist() == [None, [1.0], [2.0], [3.0], None]
    assert got["feedback.paid"].to_pylist() == [None, None, 1.0, 1.0, None]


@pytest.mark.parametrize(
    ("pipeline", "wanted", "says"),
    [
        ("q", {}, "there are no records of 'q' in"),
        ("p", {"since": datetime(2026, 1, 1)}, "since has no time zone"),  # noqa: DTZ001 - the fault
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, pipeline: str, wanted: dict[str, Any], says: str
) -> None:
    pq.write_table(table(0), path_of(tmp_path, 0, CLOSED))
    with pytest.raises(Failure, match=says):
        read(tmp_path, pipeline, **wanted)
