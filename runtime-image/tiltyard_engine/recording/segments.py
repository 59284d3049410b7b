"""Files of records on this machine: tables that grow, and what becomes of them.

An open segment is a stream of Arrow IPC: each batch is one write, so that a process may be killed
at any moment and only a batch that nobody has counted is cut off. A segment that is full or old
becomes a Parquet file of the same name, with statistics; then it goes. Where there is no
room for that it stays as it is: readers take both.
"""

import fcntl
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tiltyard_api.recordfiles import CLOSED, OPEN, STAMP
from tiltyard_engine.codecs.arrow.kinds import ArrowBatch, ArrowSchema

MAKING = ".making"

ROW_GROUP = 1 << 16
"""Rows whose times and other bounds a reader can tell without reading them."""

UNREADABLE = (pa.ArrowException, OSError, StopIteration)
"""How a stream of batches ends: as it should, or cut off."""


@dataclass(slots=True)
class Position:
    """What the last batch of a segment says of how far its writer was."""

    total: int = 0
    """Rows of its stream that were kept, ever."""

    upto: dict[int, int] = field(default_factory=dict)
    """Of each ring, how many records had been taken."""

    writer: str = ""
    """Name of the engine, whose rings these are, and of the counters."""

    def said(self) -> dict[str, str]:
        """As the metadata of a batch."""
        upto = " ".join(f"{ring}:{count}" for ring, count in self.upto.items())
        return {"total": str(self.total), "upto": upto, "writer": self.writer}

    @classmethod
    def of(cls, said: Mapping[bytes, bytes]) -> "Position":
        """Read it back."""
        pairs = (one.split(":") for one in said[b"upto"].decode().split())
        upto = {int(ring): int(count) for ring, count in pairs}
        return cls(int(said[b"total"]), upto, said[b"writer"].decode())


class Segment:
    """A file that grows."""

    def __init__(self, folder: Path, name: str, schema: ArrowSchema, now: float) -> None:
        when = datetime.fromtimestamp(now, UTC)
        self.began = now
        self.rows = 0
        self.size = 0
        place = folder / f"date={when:%Y-%m-%d}" / f"hour={when:%H}"
        place.mkdir(parents=True, exist_ok=True)
        self.path = place / f"{when.strftime(STAMP)}-{name}{OPEN}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o640)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._schema = schema
        self._begin()

    def _begin(self) -> None:
        self._sink = io.BytesIO()
        self._writer = pa.ipc.new_stream(self._sink, self._schema)

    def append(self, batch: ArrowBatch, position: Position) -> None:
        """Write a batch, all of it or nothing.

        Raises:
            OSError: there is no room for it.

        """
        self._writer.write_batch(batch, custom_metadata=position.said())
        data = self._sink.getvalue()
        try:
            _write(self._file, data)
        except OSError:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            self._empty()
            if not self.size:  # the schema goes with the first batch
                self._begin()
            raise
        self._empty()
        self.size += len(data)
        self.rows += batch.num_rows

    def _empty(self) -> None:
        self._sink.seek(0)
        self._sink.truncate()

    def close(self) -> Path:
        """Make a Parquet file of it, if there is room; gives the file that there is now."""
        try:
            return settle(self.path)
        finally:
            os.close(self._file)


def settle(path: Path) -> Path:
    """Make a Parquet file of a segment, and remove the segment; without room it stays."""
    made = path.with_suffix(CLOSED)
    if not made.exists():
        fresh = path.with_suffix(MAKING)
        batches = [batch for batch, _ in read_batches(path)]
        try:
            if batches:
                table = pa.Table.from_batches(batches)
                pq.write_table(table, fresh, compression="zstd", row_group_size=ROW_GROUP)
                fresh.replace(made)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            return path
    path.unlink()
    return made


def read_batches(path: Path) -> Iterator[tuple[ArrowBatch, Position]]:
    """Every whole batch of a segment, with how far its writer was."""
    with pa.OSFile(str(path)) as file, suppress(*UNREADABLE):
        stream = pa.ipc.open_stream(file)
        while True:
            batch, said = stream.read_next_batch_with_custom_metadata()
            yield batch, Position.of(said)


def abandoned(folder: Path) -> Iterator[Path]:
    """Segments whose writers are gone."""
    for path in sorted(folder.rglob(f"*{OPEN}")):
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError:
            continue
        finally:
            os.close(file)


def last_position(path: Path) -> Position | None:
    """How far the writer of a segment was; None where it wrote nothing whole."""
    position = None
    for _, position in read_batches(path):  # noqa: B007 - the last one
        pass
    return position


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
