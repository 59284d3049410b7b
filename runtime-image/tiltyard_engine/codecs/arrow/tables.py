"""Makes one batch of rows of an Arrow body from a stranger, or says what is wrong with it.

Messages are looked at by `guard` before they are unpacked, and the whole is validated after. Only
types whose elements take their room in the body are let in: what may name the same bytes many
times over (views, dictionaries, run ends) could be small here and without bound once it is read.
"""

from collections.abc import Callable

import msgspec
import pyarrow as pa

from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.arrow import guard
from tiltyard_engine.codecs.arrow.kinds import (
    ArrowArray,
    ArrowBatch,
    ArrowField,
    ArrowSchema,
    ArrowType,
    is_empty,
    is_list,
    is_plain,
    is_tensor,
)
from tiltyard_engine.codecs.values import missing_column, shown
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

MAX_BATCHES = 1024
MAX_COLUMNS = 4096
"""More than a plan can name; each costs time before anything is known of it."""

KEPT_LAYOUTS = 64
KEPT_BYTES = 1 << 16
"""Schemas that are remembered, and the longest: clients send the same one with every request."""


class Layout(msgspec.Struct):
    """A schema that has been found good."""

    schema: ArrowSchema
    """With its fields as answers repeat them."""

    nested: list[int]
    """Places of columns that hold more values than rows."""


class Table(msgspec.Struct):
    """All rows of a body."""

    batch: ArrowBatch
    layout: Layout


class TableReader:
    """Reads the tables of one plan.

    Args:
        needed: columns that have to be there.
        sizes: bounds.
        repeat: gives a field the form in which answers repeat it.

    """

    def __init__(
        self, needed: list[str], sizes: Sizes, repeat: Callable[[ArrowField], ArrowField]
    ) -> None:
        self._needed = needed
        self._sizes = sizes
        self._repeat = repeat
        self._layouts: dict[bytes, Layout] = {}

    def read(self, messages: pa.Buffer) -> Table:
        """Read messages that follow each other: a schema, then batches.

        Raises:
            Refusal: with the reason, and the column where it is known.

        """
        try:
            table = self._read(messages)
            table.batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError, guard.DamagedError) as error:
            raise malformed(str(error)) from error
        self._check_elements(table)
        return table

    def _read(self, messages: pa.Buffer) -> Table:
        layout: Layout | None = None
        batches: list[ArrowBatch] = []
        rows = size = 0
        for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(messages)):
            metadata = memoryview(message.metadata)
            if layout is None:
                layout = self._layout(message, metadata)
                continue
            if message.type != "record batch":
                raise malformed(f"a message of type {message.type!r} stands among the batches")
            rows += guard.rows_of(metadata)
            size += guard.unpacked_size(metadata, memoryview(message.body or b""))
            self._check_size(rows, size)
            if len(batches) == MAX_BATCHES:
                raise malformed(f"it has more than {MAX_BATCHES} batches: combine them")
            batches.append(pa.ipc.read_record_batch(message, layout.schema))
        if layout is None:
            raise malformed("it has no schema")
        if not rows:
            raise Refusal(Reason.EMPTY_BATCH, "the table has no rows: send at least one")
        if len(batches) > 1:
            whole = pa.Table.from_batches(batches, layout.schema).combine_chunks()
            batches = whole.to_batches()
        return Table(batches[0], layout)

    def _check_size(self, rows: int, size: int) -> None:
        if not 0 <= rows <= self._sizes.rows:
            raise Refusal(
                Reason.TOO_MANY_ROWS,
                f"{rows} rows, at most {self._sizes.rows} are taken: split the batch or raise"
                " --max-rows",
            )
        if size > self._sizes.bytes:
            raise self._too_large(f"{size} bytes once unpacked")

    def _check_elements(self, table: Table) -> None:
        """Refuse lists of what takes no room, such as nulls: there may be any number of them."""
        batch = table.batch
        elements = batch.num_rows * batch.num_columns
        elements += sum(_elements(batch.column(place)) for place in table.layout.nested)
        if elements > self._sizes.bytes:
            raise self._too_large(f"{elements} elements")

    def _too_large(self, what: str) -> Refusal:
        limit = self._sizes.bytes
        message = f"the table has {what}, at most {limit} are taken: split it or raise --max-body"
        return Refusal(Reason.BODY_TOO_LARGE, message)

    def _layout(self, message: pa.ipc.Message, metadata: memoryview) -> Layout:
        if message.type != "schema":
            raise malformed("it does not begin with a schema")
        key = bytes(metadata)
        layout = self._layouts.get(key)
        if layout is None:
            if guard.big_endian(metadata):
                raise malformed("its numbers are big-endian: write them little-endian")
            layout = self._check_schema(pa.ipc.read_schema(message))
            if len(key) <= KEPT_BYTES:
                if len(self._layouts) == KEPT_LAYOUTS:
                    self._layouts.clear()
                self._layouts[key] = layout
        return layout

    def _check_schema(self, schema: ArrowSchema) -> Layout:
        if len(schema) > MAX_COLUMNS:
            raise malformed(f"it has {len(schema)} columns, at most {MAX_COLUMNS} are taken")
        names = set()
        for field in schema:
            name = shown(field.name)
            if field.name in names:
                message = f"column {name!r} stands twice: keep one"
                raise Refusal(Reason.MALFORMED_BODY, message, field=name)
            names.add(field.name)
            self._check_type(name, field.type, 0)
        for column in self._needed:
            if column not in names:
                raise missing_column(column, schema.names)
        nested = [n for n, field in enumerate(schema) if field.type.num_fields or _wraps(field)]
        return Layout(pa.schema([self._repeat(field) for field in schema]), nested)

    def _check_type(self, name: str, type_: ArrowType, depth: int) -> None:
        if depth > self._sizes.depth:
            raise Refusal(
                Reason.BODY_TOO_DEEP,
                f"column {name!r} is nested more than {self._sizes.depth} deep: flatten it or"
                " raise --max-depth",
                field=name,
            )
        if is_tensor(type_) and depth == 0:
            type_ = type_.storage_type
        if is_list(type_) and not is_empty(type_):
            self._check_type(name, type_.value_type, depth + 1)
        elif pa.types.is_struct(type_):
            for number in range(type_.num_fields):
                self._check_type(name, type_.field(number).type, depth + 1)
        elif not is_plain(type_):
            message = f"column {name!r} is {str(type_)[:64]}, which is not taken: cast it to"
            raise Refusal(
                Reason.WRONG_TYPE, f"{message} plain numbers, texts or lists of them", field=name
            )


def malformed(what: str) -> Refusal:
    """Refuse a body that is not what it is said to be."""
    message = f"the body is not Arrow IPC as it should be: {what[:300]}"
    return Refusal(Reason.MALFORMED_BODY, message)


def _wraps(field: ArrowField) -> bool:
    return isinstance(field.type, pa.BaseExtensionType)


def _elements(array: ArrowArray) -> int:
    """How many values lie in the lists of an array."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if is_list(array.type):
        return len(array.values) + _elements(array.values)
    if pa.types.is_struct(array.type):
        fields = (array.field(number) for number in range(array.type.num_fields))
        return sum(len(field) + _elements(field) for field in fields)
    return 0
