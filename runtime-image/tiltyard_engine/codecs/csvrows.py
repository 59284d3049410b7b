r"""Rows as comma-separated values (RFC 4180), in and out.

In: one line a row. A first line that names every column which is needed is a header, whatever
order they stand in; without one, cells stand in the order of the plan, and hash keys that are no
inputs may follow. `header=present` or `header=absent` of the media type settles it. An input of
several cells has the columns `NAME.0`, `NAME.1`, and so on. An empty cell is a missing number.
Out: likewise, in the order of the outputs; a header only where it is asked for.
"""

import csv
import io
import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from tiltyard_api.plan import Plan, RequestTensor
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_engine.codecs.answers import array_text
from tiltyard_engine.codecs.records import Decoded
from tiltyard_engine.codecs.values import missing_column, read_tensor, shown
from tiltyard_engine.columns import DTYPES, Array, Column, Columns, bounds, rows_of
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

MOST_CELLS: Final = 65536
"""Cells of a line beyond what the plan takes; a line of commas alone would take eight times its
size."""

_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class CsvReader:
    """Decodes lines for one plan."""

    def __init__(self, plan: Plan, sizes: Sizes) -> None:
        self._request = plan.request
        self._cells = {tensor.key: _cell_names(tensor) for tensor in plan.request}
        self._needed = [name for names in self._cells.values() for name in names]
        self._keys = list(plan.key_fields)
        self._more_keys = [key for key in self._keys if key not in self._needed]
        self._max_rows = sizes.rows
        self._most_cells = MOST_CELLS + 2 * len(self._needed)

    def read(self, body: bytes, *, header: bool | None) -> Decoded:
        """Decode a body.

        Args:
            body: UTF-8.
            header: whether the first line names columns; None: if it looks like it.

        Raises:
            Refusal: with the reason, the column and the row.

        """
        for tensor in self._request:
            if ANY_LENGTH in tensor.shape:
                message = f"input {tensor.key!r} has no fixed length: send JSON instead of CSV"
                raise Refusal(Reason.UNSUPPORTED_MEDIA_TYPE, message, field=tensor.key)
        lines = self._lines(body)
        first = next(lines, None)
        if first is None:
            raise Refusal(Reason.EMPTY_BATCH, "the body has no lines: send at least one row")
        if header is None:
            header = bool(set(self._needed) & set(first))
        names = first if header else self._expected(first)
        rows = _Rows(self._request, self._cells, self._keys, names)
        if not header:
            rows.add(first)
        for line in lines:
            if rows.count >= self._max_rows:
                message = f"more than {self._max_rows} rows: split the batch or raise --max-rows"
                raise Refusal(Reason.TOO_MANY_ROWS, message)
            rows.add(line)
        if not rows.count:
            raise Refusal(Reason.EMPTY_BATCH, "there is nothing below the header: send a row")
        return Decoded(rows.count, rows.tensors(), rows.keys)

    def _expected(self, first: Sequence[str]) -> list[str]:
        """Names of the cells of lines without a header."""
        full = [*self._needed, *self._more_keys]
        return full if len(first) == len(full) else self._needed

    def _lines(self, body: bytes) -> Iterator[list[str]]:
        """Cells of every line that is not empty."""
        try:
            text = io.StringIO(body.decode("utf-8-sig"), newline="")
            for cells in csv.reader(self._bounded(text), strict=True):
                if cells:
                    yield cells
        except UnicodeDecodeError as error:
            message = f"the body is not UTF-8 at byte {error.start}: encode it so"
            raise Refusal(Reason.MALFORMED_BODY, message) from error
        except csv.Error as error:
            message = f"the body is not CSV: {error}"
            raise Refusal(Reason.MALFORMED_BODY, message) from error

    def _bounded(self, text: io.StringIO) -> Iterator[str]:
        for line in text:
            if line.count(",") > self._most_cells:
                message = f"a line has more than {self._most_cells} cells: send what is needed"
                raise Refusal(Reason.MALFORMED_BODY, message)
            yield line


class _Rows:
    """Collects lines; numbers as eight bytes each, so that they take no multiple of the body."""

    def __init__(
        self,
        request: Sequence[RequestTensor],
        cells: dict[str, list[str]],
        keys: Sequence[str],
        names: list[str],
    ) -> None:
        if len(set(names)) != len(names):
            message = "a column stands twice in the header: name each once"
            raise Refusal(Reason.MALFORMED_BODY, message)
        place = {name: index for index, name in enumerate(names)}
        for name in (name for mine in cells.values() for name in mine):
            if name not in place:
                raise missing_column(name, names)
        self.count = 0
        self.keys: dict[str, list[object]] = {key: [] for key in keys if key in place}
        self._names = names
        self._places = [(tensor, [place[n] for n in cells[tensor.key]]) for tensor in request]
        self._key_places = [(values, place[key]) for key, values in self.keys.items()]
        self._found: list[array[float] | list[object]] = [
            array("d") if DTYPES[tensor.type].kind == "f" else [] for tensor in request
        ]

    def add(self, line: list[str]) -> None:
        """Take one line."""
        if len(line) != len(self._names):
            want = f"{len(line)} cells where {len(self._names)} are due"
            message = f"row {self.count} has {want} ({', '.join(map(shown, self._names[:8]))}, …)"
            raise Refusal(Reason.RAGGED_ROWS, f"{message}: correct it", row=self.count)
        for (tensor, places), found in zip(self._places, self._found, strict=True):
            read = _READERS[DTYPES[tensor.type].kind]
            for place in places:
                try:
                    found.append(read(line[place]))  # type: ignore[arg-type]  # by its kind
                except ValueError as error:
                    name, cell = self._names[place], line[place][:32]
                    message = f"column {name!r} is {cell!r}, a {tensor.type} is due: correct it"
                    raise Refusal(Reason.WRONG_TYPE, message, field=name, row=self.count) from error
        for values, place in self._key_places:
            values.append(line[place] or None)
        self.count += 1

    def tensors(self) -> Columns:
        """What has been collected, in the plan's types."""
        return {
            tensor.key: self._tensor(tensor, [self._names[place] for place in places], found)
            for (tensor, places), found in zip(self._places, self._found, strict=True)
        }

    def _tensor(
        self, tensor: RequestTensor, names: list[str], found: "array[float] | list[object]"
    ) -> Array:
        shape = (self.count, *tensor.shape)
        if isinstance(found, array):
            wide = np.frombuffer(found, np.float64)
            low, high = bounds(tensor.type)
            beyond = np.isfinite(wide) & ((wide < low) | (wide > high))
            if beyond.any():
                row, cell = divmod(int(beyond.argmax()), len(names))
                message = f"column {names[cell]!r} is {wide[beyond.argmax()]!r}, beyond a"
                raise Refusal(
                    Reason.OUT_OF_RANGE,
                    f"{message} {tensor.type}: scale it",
                    field=names[cell],
                    row=row,
                )
            with np.errstate(over="ignore"):
                return wide.astype(DTYPES[tensor.type]).reshape(shape)
        columns = [
            read_tensor(_one_cell(tensor, name), [found[at :: len(names)]])
            for at, name in enumerate(names)
        ]
        return np.stack([np.asarray(c) for c in columns], axis=1).reshape(shape)


def _one_cell(tensor: RequestTensor, name: str) -> RequestTensor:
    return tensor.model_copy(update={"shape": (), "columns": (name,), "stacked": False})


def _cell_names(tensor: RequestTensor) -> list[str]:
    """Columns that a tensor is read from."""
    width = math.prod(tensor.shape)
    if tensor.stacked or tensor.shape in ((), (1,)):
        return list(tensor.columns)
    return [f"{tensor.key}.{index}" for index in range(width)]


def _float(cell: str) -> float:
    if "_" in cell:
        raise ValueError(cell)
    return float(cell) if cell.strip() else math.nan


def _whole(cell: str) -> float:
    if "_" in cell or len(cell) > 64:
        raise ValueError(cell)
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def _flag(cell: str) -> bool:
    flag = _FLAGS.get(cell.strip().lower())
    if flag is None:
        raise ValueError(cell)
    return flag


_READERS: dict[str, Callable[[str], object]] = {
    "f": _float,
    "i": _whole,
    "u": _whole,
    "b": _flag,
    "O": str,
}


def write_csv(columns: Mapping[str, Column | int], rows: int, *, header: bool) -> bytes:
    """Lines of outputs, with empty cells for NaN, infinities and what is not there.

    Args:
        columns: by name; a number stands for so many cells that are not there.
        rows: how many lines.
        header: whether names go first.

    """
    cells = {name: _column_cells(column, rows) for name, column in columns.items()}
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(
            name if len(mine[0]) == 1 else f"{name}.{index}"
            for name, mine in cells.items()
            for index in range(len(mine[0]))
        )
    writer.writerows([cell for mine in cells.values() for cell in mine[row]] for row in range(rows))
    return out.getvalue().encode()


def _column_cells(column: Column | int, rows: int) -> list[list[str]]:
    if isinstance(column, int):
        return [[""] * column] * rows
    return [_cells(row) for row in rows_of(column)]


def _cells(row: Array) -> list[str]:
    flat = row.reshape(-1)
    if row.dtype.kind == "O":
        return [str(value) for value in flat.tolist()]
    text = array_text(flat).decode()[1:-1]
    return ["" if cell == "null" else cell for cell in text.split(",")] if text else []
