"""Arrow tables as bytes, and back."""

from typing import Any

import pyarrow as pa

FILE = "application/vnd.apache.arrow.file"
STREAM = "application/vnd.apache.arrow.stream"
JSON = "application/json"


def packed(table: Any, media: str = FILE, **options: Any) -> bytes:
    """Write a table, or one made of a dictionary of columns."""
    if isinstance(table, dict):
        table = pa.table(table)
    sink = pa.BufferOutputStream()
    opened = pa.ipc.new_stream if media == STREAM else pa.ipc.new_file
    with opened(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def unpacked(body: bytes, media: str = FILE) -> Any:
    """Read a table and hold it against the format."""
    opened = pa.ipc.open_stream if media == STREAM else pa.ipc.open_file
    table = opened(body).read_all()
    table.validate(full=True)
    return table


def tensors(values: Any) -> Any:
    """A column of tensors of one shape."""
    return pa.FixedShapeTensorArray.from_numpy_ndarray(values)
