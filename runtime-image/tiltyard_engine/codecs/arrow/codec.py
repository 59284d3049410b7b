"""The codecs of Arrow IPC: a file, or the stream that it wraps."""

from typing import ClassVar

import pyarrow as pa

from tiltyard_api.plan import Plan
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.arrow.answers import AnswerTables
from tiltyard_engine.codecs.arrow.tables import TableReader, malformed
from tiltyard_engine.codecs.arrow.tensors import ArrowSent, make_tensor
from tiltyard_engine.codecs.base import Sent, Taken
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.codecs.values import read_keys
from tiltyard_engine.sizes import Sizes

MAGIC = b"ARROW1"
HEAD = 8
"""Bytes before the messages of a file: the magic and its padding."""

TAIL = 10
"""Bytes after the footer of a file: its length and the magic."""

PAGE = 1 << 20
"""Bytes that most answers fit into. Written over each time: memory that grows costs as much again
as all the rest of an answer."""

pa.set_cpu_count(1)  # a pool of threads would take the cores of other workers

_WRITING = pa.ipc.IpcWriteOptions(use_threads=False)


class ArrowStreamCodec:
    """Tables in the stream format, for one plan."""

    header: ClassVar[bytes] = b"Content-Type: application/vnd.apache.arrow.stream\r\n"

    def __init__(self, plan: Plan, partition: str, sizes: Sizes) -> None:
        self._request = plan.request
        self._page = pa.allocate_buffer(PAGE)
        self._answers = AnswerTables(plan, partition)
        needed = list(dict.fromkeys(c for t in plan.request for c in t.columns))
        self._tables = TableReader(needed, sizes, self._answers.repeat)
        self._keys = plan.key_fields

    def read(self, body: bytes) -> Taken:
        """Decode a table.

        Raises:
            Refusal: with the reason, and the column and the row where they are known.

        """
        table = self._tables.read(self._messages(pa.py_buffer(body)))
        batch = table.batch
        tensors = {tensor.key: make_tensor(tensor, batch) for tensor in self._request}
        names = batch.schema.names
        fields = {
            key: read_keys(key, batch.column(key).to_pylist()) for key in self._keys if key in names
        }
        return Taken(batch.num_rows, tensors, fields, ArrowSent(table))

    def write(self, call: Call, sent: Sent, now: int, chosen: Selection) -> bytes:
        """Encode a table."""
        batch = self._answers.make(call, sent, now, chosen)
        try:
            sink = pa.FixedSizeBufferWriter(self._page)
            self._write_into(sink, batch)
            written = self._page.slice(0, sink.tell())
        except OSError:  # it does not fit
            sink = pa.BufferOutputStream()
            self._write_into(sink, batch)
            written = sink.getvalue()
        body: bytes = written.to_pybytes()
        return body

    def _write_into(self, sink: pa.NativeFile, batch: pa.RecordBatch) -> None:
        with self._writer(sink, batch.schema) as writer:
            writer.write_batch(batch)

    def _messages(self, body: pa.Buffer) -> pa.Buffer:
        """The part of a body that is messages, one behind the other."""
        return body

    def _writer(self, sink: pa.NativeFile, schema: pa.Schema) -> pa.ipc.RecordBatchStreamWriter:
        return pa.ipc.new_stream(sink, schema, options=_WRITING)


class ArrowFileCodec(ArrowStreamCodec):
    """Tables in the file format: a stream between magic and footer.

    The footer only repeats where the messages are; not to follow it keeps a file from naming the
    same one many times.
    """

    header = b"Content-Type: application/vnd.apache.arrow.file\r\n"

    def _messages(self, body: pa.Buffer) -> pa.Buffer:
        data = memoryview(body)
        if data[: len(MAGIC)] != MAGIC:
            raise malformed(f"it does not begin with {MAGIC.decode()}")
        if len(data) < HEAD + TAIL or data[-len(MAGIC) :] != MAGIC:
            raise malformed(f"it does not end with {MAGIC.decode()}: it was cut off")
        footer = int.from_bytes(data[-TAIL : -len(MAGIC)], "little")
        if footer > len(data) - HEAD - TAIL:
            raise malformed("its footer is longer than the file")
        return body.slice(HEAD, len(data) - HEAD - TAIL - footer)

    def _writer(self, sink: pa.NativeFile, schema: pa.Schema) -> pa.ipc.RecordBatchFileWriter:
        return pa.ipc.new_file(sink, schema, options=_WRITING)
