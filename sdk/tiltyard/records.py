"""Reads records back as one table: what was asked and answered, by time, variant, id or anomaly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, BinaryIO

from tiltyard.failure import Failure
from tiltyard.recordstore import Place, begun, files_by_stream, in_time, place_of
from tiltyard_api.recordfiles import FEEDBACK, INFERENCES, OPEN_SECONDS

Table = Any
"""pyarrow has no types of its own."""

LATE = timedelta(minutes=15)
"""How long after a request its challengers may have run."""

OVERLAP = timedelta(seconds=2 * OPEN_SECONDS)
"""How long after it was begun a file may get rows."""

PARQUET = b"PAR1"
ALL = "*"
REQUEST, ROW = "metadata.request", "metadata.row"
VARIANTS = "metadata.variants."


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows."""

    since: datetime | None = None
    until: datetime | None = None
    variant: str | None = None
    inference_id: str | None = None
    anomaly: str | None = None
    valid: bool | None = None
    limit: int | None = None

    dataset: frozenset[str] = frozenset({ALL})
    exclude: frozenset[str] = frozenset()

    def keeps(self, name: str) -> bool:
        """Whether a column is asked for: what is named itself beats what is said of its group."""
        group = _group(name)
        if name in self.dataset:
            return True
        if name in self.exclude or group in self.exclude:
            return False
        return group in self.dataset or ALL in self.dataset

    def needs(self, name: str) -> bool:
        """Whether a column is read: for those who asked, or to find their rows."""
        found = ("time", REQUEST, ROW, "metadata.inference_id", "metadata.error", "anomaly.count")
        asked = name.startswith(VARIANTS) and self.variant is not None
        by_name = name == f"anomaly.{self.anomaly}"
        return self.keeps(name) or name in found or asked or by_name or "." not in name

    @property
    def newest(self) -> bool:
        """Whether a limit keeps the newest rows: where there is no whole range to begin at."""
        return self.since is None or self.until is None


ANY = Wanted()


def read(  # noqa: PLR0913 - each is a filter of its own
    place: str | Path,
    pipeline: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    variant: str | None = None,
    inference_id: str | None = None,
    anomaly: str | None = None,
    valid: bool | None = None,
    limit: int | None = None,
    dataset: Sequence[str] = (ALL,),
    dataset_exclude: Sequence[str] = ("metadata",),
) -> Table:
    """Read records of a Pipeline, oldest first.

    Args:
        place: folder or uri of a store, as `records.sink.uri` says.
        pipeline: its name.
        since: rows from this moment on; with a time zone.
        until: rows before this moment.
        variant: rows that it served: `MODEL` or `STEP=MODEL`.
        inference_id: rows of this id.
        anomaly: rows that this validation objected to; `*`: that any did.
        valid: True: rows that were answered, False: rows that failed.
        limit: so many rows: the newest, or the first of a whole range.
        dataset: columns and groups of columns, as the data port takes them.
        dataset_exclude: those to leave out.

    Raises:
        Failure: they cannot be read, or make no sense so.

    """
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise Failure(f"{name} has no time zone: give one, such as datetime.now(UTC)")
    columns = frozenset(dataset), frozenset(dataset_exclude)
    wanted = Wanted(since, until, variant, inference_id, anomaly, valid, limit, *columns)
    opened = place_of(place)
    streams = files_by_stream(opened.names(pipeline))
    if not streams:
        raise Failure(f"there are no records of {pipeline!r} in {place}: correct the place or name")
    table = _inferences(opened, in_time(streams.pop(INFERENCES, ()), since, until), wanted)
    table = _with_feedback(table, opened, streams.pop(FEEDBACK, ()), wanted)
    for files in streams.values():
        table = _beside(table, opened, files, wanted)
    return table.select([name for name in _ordered(table.column_names) if wanted.keeps(name)])


def _inferences(place: Place, files: Sequence[str], wanted: Wanted) -> Table:
    """Rows that callers were answered."""
    backwards = wanted.limit is not None and wanted.newest
    tables: list[Table] = []
    rows, enough = 0, None
    for name in reversed(files) if backwards else files:
        if enough is not None and begun(name) + OVERLAP < enough:
            break  # all that is left is older
        found = _rows(place, name, wanted)
        if found is not None:
            tables.append(found)
            rows += found.num_rows
        if backwards and enough is None and rows >= (wanted.limit or 0):
            enough = begun(name)
    table = _together(tables).sort_by("time")
    if wanted.limit is None:
        return table
    return table.slice(max(table.num_rows - wanted.limit, 0) if backwards else 0, wanted.limit)


def _together(tables: Sequence[Table]) -> Table:
    """One table of what several plans have recorded; a column that one lacks is null there."""
    import pyarrow as pa

    if not tables:
        facts = {"time": pa.timestamp("us", "UTC"), REQUEST: pa.string(), ROW: pa.int32()}
        return pa.schema(facts.items()).empty_table()
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        said = str(error).partition("\n")[0]
        message = f"plans of this time recorded columns of other types: {said}"
        raise Failure(f"{message}: narrow since and until") from error


def _rows(place: Place, name: str, wanted: Wanted) -> Table | None:
    """Wanted rows of a file; None where there are none, or it has gone meanwhile."""
    file = place.open(name)
    if file is None:
        return None
    with file:
        table = _read(file, wanted)
    if table is None:
        return None
    for condition in _conditions(table, wanted):
        table = table.filter(condition)
    return table if table.num_rows else None


def _read(file: BinaryIO, wanted: Wanted) -> Table | None:
    """Rows of a file, those of other times left out where it says which they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    magic = file.read(len(PARQUET))
    file.seek(0)
    if magic != PARQUET:
        batches = list(_batches(file))
        return pa.Table.from_batches(batches) if batches else None
    parquet = pq.ParquetFile(file)
    groups = [n for n in range(parquet.num_row_groups) if _overlaps(parquet, n, wanted)]
    columns = [name for name in parquet.schema_arrow.names if wanted.needs(name)]
    return parquet.read_row_groups(groups, columns=columns) if groups else None


def _batches(file: BinaryIO) -> Iterator[Any]:
    """Whole batches of a file that is still written to."""
    import pyarrow as pa

    try:
        yield from pa.ipc.open_stream(file)
    except (pa.ArrowException, OSError):
        return


def _overlaps(parquet: Any, group: int, wanted: Wanted) -> bool:  # noqa: ANN401 - pyarrow's
    """Whether a part of a file has rows of the time, by what it says of itself."""
    told = parquet.metadata.row_group(group).column(0).statistics  # of `time`, the first column
    if told is None or not told.has_min_max:
        return True
    early = wanted.until is not None and told.min >= wanted.until
    return not early and (wanted.since is None or told.max >= wanted.since)


def _conditions(table: Table, wanted: Wanted) -> Iterator[Any]:
    """What wanted rows fulfil."""
    import pyarrow as pa
    import pyarrow.compute as pc

    field = pc.field
    if wanted.since is not None:
        yield field("time") >= pa.scalar(wanted.since, pa.timestamp("us", "UTC"))
    if wanted.until is not None:
        yield field("time") < pa.scalar(wanted.until, pa.timestamp("us", "UTC"))
    if wanted.inference_id is not None:
        mine = field("metadata.inference_id") == wanted.inference_id
        yield mine | (field(REQUEST) == wanted.inference_id)
    if wanted.variant is not None:
        step, _, model = wanted.variant.rpartition("=")
        columns = [n for n in table.column_names if n.startswith(VARIANTS + step)]
        served = [field(name) == model for name in columns]
        yield reduce(or_, served, pc.scalar(False))
    if wanted.anomaly == ALL:
        yield field("anomaly.count") > 0
    elif wanted.anomaly is not None:
        column = f"anomaly.{wanted.anomaly}"
        yield field(column) if column in table.column_names else pc.scalar(False)
    if wanted.valid is not None:
        answered = field("metadata.error").is_null()
        yield answered if wanted.valid else ~answered


def _beside(table: Table, place: Place, files: Sequence[str], wanted: Wanted) -> Table:
    """Add what a challenger gave, by request and row; null where it gave nothing."""
    import pyarrow.compute as pc

    if not table.num_rows:
        return table
    span = pc.min_max(table.column("time")).as_py()
    time = Wanted(since=span["min"], until=span["max"] + LATE)
    chosen = in_time(files, time.since, time.until)
    parts = [part for name in chosen if (part := _rows(place, name, time)) is not None]
    if not parts:
        return table
    other = _together(parts)
    places = pc.index_in(_key(table), value_set=_key(other).combine_chunks())
    for name in other.column_names:
        if name.startswith("out_") and wanted.needs(name) and name not in table.column_names:
            table = table.append_column(name, other.column(name).take(places))
    return table


def _with_feedback(table: Table, place: Place, files: Sequence[str], wanted: Wanted) -> Table:
    """Add what callers told of rows, the newest of each metric; days may lie between."""
    import pyarrow as pa

    if not table.num_rows or not files:
        return table
    parts = [part for name in in_time(files, None, None) if (part := _rows(place, name, ANY))]
    ids, requests = table.column("metadata.inference_id"), table.column(REQUEST)
    rows = zip(ids.to_pylist(), requests.to_pylist(), table.column(ROW).to_pylist(), strict=True)
    keys = [(one, row if one == request else 0) for one, request, row in rows]
    told: dict[str, dict[tuple[str, int], float]] = {}
    for one in _together(parts).sort_by("time").to_pylist() if parts else ():
        key = one["metadata.inference_id"], one["row"] or 0
        told.setdefault(one["metric"], {})[key] = one["value"]
    for metric, values in told.items():
        name = f"feedback.{metric}"
        if wanted.keeps(name):
            column = pa.array([values.get(key) for key in keys], pa.float64())
            table = table.append_column(name, column)
    return table


def _key(table: Table) -> Any:  # noqa: ANN401 - pyarrow's
    """What tells rows apart, as one text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    row = table.column(ROW).cast(pa.string())
    return pc.binary_join_element_wise(table.column(REQUEST), row, "#")


def _group(name: str) -> str:
    return name.partition(".")[0]


def _ordered(names: Sequence[str]) -> list[str]:
    """Columns as the data port orders its groups."""
    order = {"time": 0, "in": 1, "out": 2, "anomaly": 4, "feedback": 5, "metadata": 6}
    return sorted(names, key=lambda name: order.get(_group(name), 3))
