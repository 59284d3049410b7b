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
    make = _maker()
    if make is None:
        times = columns.keys() & {"time"}
        return pd.DataFrame(columns, index=rows).astype(dict.fromkeys(times, TIME))
    names = _names(tuple(columns)).view()  # callers may give it a name
    return make(list(_blocks(columns)), index=rows, columns=names)


@lru_cache
def _maker() -> Callable[..., Table] | None:
    """What makes a frame of blocks; None in pandas 2, which finds out what it is given."""
    try:
        from pandas.api.internals import (  # type: ignore[import-untyped] # ships none
            create_dataframe_from_blocks,
        )
    except ImportError:
        return None
    return create_dataframe_from_blocks  # type: ignore[no-any-return] # likewise


@lru_cache(maxsize=64)
def _names(columns: tuple[str, ...]) -> Table:
    import pandas as pd

    return pd.Index(columns, dtype="str" if columns else object)


def _blocks(columns: Mapping[str, list[Cell]]) -> Iterator[tuple[Table, Table]]:
    """Columns of one type together, as pandas keeps them, and their positions."""
    import numpy as np
    import pandas as pd

    values = list(columns.values())
    types = tuple([frozenset(map(type, one)) for one in values])
    for kind, positions in _kinds(tuple(columns), types):
        mine = [values[one] for one in positions]
        if kind == "str":
            for position, one in zip(positions, mine, strict=True):
                yield pd.array(one, dtype="str"), np.array([position])
            continue
        block = np.empty((len(mine), len(values[0])), kind)
        try:
            block[:] = mine
        except OverflowError:
            for position, one in zip(positions, mine, strict=True):
                yield np.array([one], _that_holds(one)), np.array([position])
        else:
            yield block, np.array(positions)


@lru_cache(maxsize=64)
def _kinds(
    columns: tuple[str, ...], types: tuple[frozenset[type], ...]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Types that pandas would keep columns as: told what they are, it need not find out."""
    together: dict[str, tuple[int, ...]] = {}
    for position, (name, kinds) in enumerate(zip(columns, types, strict=True)):
        kind = TIME if name == "time" else _kind(kinds)
        together[kind] = (*together.get(kind, ()), position)
    return tuple(together.items())


def _kind(kinds: frozenset[type]) -> str:
    if kinds == {int}:
        return "int64"
    if kinds <= {int, float}:
        return "float64"
    if kinds == {bool}:
        return "bool"
    return "str" if str in kinds and kinds <= {str, type(None)} else "object"


def _that_holds(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    fits = (kind for kind, (least, most) in INTEGERS.items() if least <= low <= high <= most)
    return next(fits, "object")


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
