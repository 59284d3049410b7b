"""Tables of callers, to and from the wire: what kind comes in goes out. Each library is theirs."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from tiltyard.failure import Failure
from tiltyard.transport import Answer

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.file"

TIME = "datetime64[ms]"
INTEGERS = {"int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}
"""Types of columns, and what the integers hold."""

Row = Mapping[str, Any]

Table = Any
"""A table of a library that is the caller's; none of them is ours."""

Cell = Any
"""Whatever a cell may hold."""


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of table."""

    content: str
    """Media type of requests and answers."""

    write: Callable[[Table], bytes]
    read: Callable[[Answer], Table]
    rows: Callable[[Table], int]
    cut: Callable[[Table, int, int], Table]
    """Rows from the first number to before the second."""

    join: Callable[[Sequence[Table]], Table]
    failed: Callable[[int, str], Table]
    """So many rows of which there is no more than why there is nothing."""


def form_of(data: object) -> Form | None:
    """How a table is written and read; None for what is none."""
    library = type(data).__module__.partition(".")[0]
    form = FORMS.get((library, type(data).__name__))
    if form is None and library in {"pandas", "polars", "pyarrow"}:
        raise Failure(f"a {type(data).__name__} is no table: give a DataFrame or a Table")
    return form


def as_json(rows: Sequence[Row]) -> bytes:
    """Write rows as the engine takes them: what is not a number becomes null.

    Raises:
        Failure: a value is nothing that JSON has.

    """
    try:
        return STRICT.encode(rows).encode()
    except ValueError:
        return json.dumps(_finite(rows), default=_plain).encode()


def _plain(value: Cell) -> object:
    if hasattr(value, "tolist"):  # an array or a number of numpy's
        return _finite(value.tolist())
    name = type(value).__name__
    if name in ("NAType", "NaTType"):  # pandas' own; the second is a date to Python
        return None
    if isinstance(value, date):
        return value.isoformat()
    raise Failure(f"a cell holds a {name}, which no model takes: use numbers, texts, lists")


STRICT = json.JSONEncoder(default=_plain, allow_nan=False)
"""Made once: `dumps` makes one for each call."""


def _finite(value: Cell) -> Cell:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return _finite(value.tolist()) if hasattr(value, "tolist") else value


def columns_of(answer: Answer) -> dict[str, list[Any]]:
    """Columns of an answer of flat rows."""
    rows = answer.json()
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def _write_pandas(frame: Table) -> bytes:
    names = [str(name) for name in frame.columns.tolist()]
    rows = frame.to_numpy(dtype=object).tolist()  # several times as quick as `to_dict`
    return as_json([dict(zip(names, row, strict=True)) for row in rows])


def _read_pandas(answer: Answer) -> Table:
    import pandas as pd

    columns = columns_of(answer)
    rows = pd.RangeIndex(len(next(iter(columns.values()), ())))
    try:
        from pandas.api.internals import (  # type: ignore[import-untyped] # ships none
            create_dataframe_from_blocks,
        )
    except ImportError:  # of pandas 2, which takes longer to find out what it is given
        times = columns.keys() & {"time"}
        return pd.DataFrame(columns, index=rows).astype(dict.fromkeys(times, TIME))
    blocks = list(_blocks(columns))
    return create_dataframe_from_blocks(blocks, index=rows, columns=_names(tuple(columns)))


@lru_cache(maxsize=64)
def _names(columns: tuple[str, ...]) -> Table:
    import pandas as pd

    return pd.Index(columns, dtype="str" if columns else object)


def _blocks(columns: Mapping[str, list[Cell]]) -> Iterator[tuple[Table, Table]]:
    """Columns of one type together, as pandas keeps them, and their positions."""
    import numpy as np
    import pandas as pd

    together: dict[str, list[int]] = {}
    values = list(columns.values())
    for position, (name, one) in enumerate(columns.items()):
        together.setdefault(_kind(name, one), []).append(position)
    for position in together.pop("str", ()):
        yield pd.array(values[position], dtype="str"), np.array([position])
    for kind, positions in together.items():
        block = np.empty((len(positions), len(values[0])), kind)
        block[:] = [values[one] for one in positions]
        yield block, np.array(positions)


def _kind(name: str, values: Sequence[Cell]) -> str:
    """Type that pandas would keep a column as: told what it is, it need not find out."""
    if name == "time":
        return TIME
    kinds = set(map(type, values))
    if kinds == {int}:
        low, high = min(values), max(values)
        fits = (kind for kind, (least, most) in INTEGERS.items() if least <= low <= high <= most)
        return next(fits, "object")
    if kinds <= {int, float}:
        return "float64"
    if kinds == {bool}:
        return "bool"
    return "str" if str in kinds and kinds <= {str, type(None)} else "object"


def _join_pandas(parts: Sequence[Table]) -> Table:
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def _failed_pandas(rows: int, why: str) -> Table:
    import pandas as pd

    return pd.DataFrame({"error": [why] * rows})


def _read_polars(answer: Answer) -> Table:
    import polars as pl

    frame = pl.read_json(answer.body, infer_schema_length=None)
    if "time" in frame.columns:
        position = frame.get_column_index("time")
        frame.replace_column(position, frame["time"].cast(pl.Datetime("ms")))
    return frame


def _join_polars(parts: Sequence[Table]) -> Table:
    import polars as pl

    return pl.concat(parts, how="diagonal_relaxed")


def _failed_polars(rows: int, why: str) -> Table:
    import polars as pl

    return pl.DataFrame({"error": [why] * rows})


def _write_arrow(table: Table) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _read_arrow(answer: Answer) -> Table:
    import pyarrow as pa

    table = pa.ipc.open_file(answer.body).read_all()
    if "time" not in table.column_names:
        return table
    position = table.column_names.index("time")
    return table.set_column(position, "time", table["time"].cast(pa.timestamp("ms")))


def _join_arrow(parts: Sequence[Table]) -> Table:
    import pyarrow as pa

    return pa.concat_tables(parts, promote_options="default")


def _failed_arrow(rows: int, why: str) -> Table:
    import pyarrow as pa

    return pa.table({"error": pa.array([why] * rows, pa.string())})


PANDAS = Form(
    JSON,
    _write_pandas,
    _read_pandas,
    len,
    lambda frame, first, end: frame.iloc[first:end],
    _join_pandas,
    _failed_pandas,
)
POLARS = Form(
    JSON,
    lambda frame: as_json(frame.to_dicts()),
    _read_polars,
    len,
    lambda frame, first, end: frame[first:end],
    _join_polars,
    _failed_polars,
)
TABLE = Form(
    ARROW,
    _write_arrow,
    _read_arrow,
    len,
    lambda table, first, end: table.slice(first, end - first),
    _join_arrow,
    _failed_arrow,
)

FORMS = {
    ("pandas", "DataFrame"): PANDAS,
    ("polars", "DataFrame"): POLARS,
    ("pyarrow", "Table"): TABLE,
}
"""By library and class: a library is never imported to find out."""
