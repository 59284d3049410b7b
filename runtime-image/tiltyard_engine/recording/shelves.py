"""Where the rows of one stream go, and what is counted of them. The recorder alone counts here."""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from tiltyard_api.recordfiles import CLOSED
from tiltyard_engine.codecs.arrow.kinds import ArrowBatch, ArrowSchema
from tiltyard_engine.counters import Block
from tiltyard_engine.log import log
from tiltyard_engine.recording.results import KEPT, WRITTEN
from tiltyard_engine.recording.segments import (
    Position,
    Segment,
    abandoned,
    last_position,
    settle,
)

SEGMENT_BYTES = 64 << 20
"""Largest segment: what is read at once to make a Parquet file of it."""


class Tally:
    """Numbers of one stream, in rows; each is set by one thread of the recorder."""

    def __init__(self, block: Block, labels: tuple[str, str]) -> None:
        self._words = block.words
        self._kept = block.offset(KEPT, *labels)
        self._places = {
            name: block.offset("tiltyard_records_total", *labels, name)
            for name in (WRITTEN, "lost", "full", "failed")
        }

    def add(self, result: str, rows: int) -> None:
        """Count rows that came to an end."""
        self._words[self._places[result]] += rows

    @property
    def kept(self) -> int:
        """Rows in files of this machine, ever."""
        return int(self._words[self._kept])

    @kept.setter
    def kept(self, rows: int) -> None:
        self._words[self._kept] = rows

    @property
    def written(self) -> int:
        """Rows where they were to go."""
        return int(self._words[self._places[WRITTEN]])

    @written.setter
    def written(self, rows: int) -> None:
        self._words[self._places[WRITTEN]] = rows


class Shelf(Protocol):
    """Takes the rows of one stream."""

    def taken(self, ring: int) -> int:
        """How many records of a ring were dealt with by a recorder before us."""

    def put(self, batches: Sequence[ArrowBatch], upto: Mapping[int, int]) -> None:
        """Write rows, or count why not.

        Args:
            batches: of the stream's schema.
            upto: of each ring, how many records are dealt with then.

        """

    def turn(self, now: float) -> None:
        """Do what time brings."""

    def close(self) -> None:
        """Finish what is open."""


class Lines:
    """Rows as JSON lines on standard output. What is cut off there by a kill may come twice."""

    def __init__(self, tally: Tally, pipeline: str, stream: str) -> None:
        self._tally = tally
        self._head = {"pipeline": pipeline, "stream": stream}

    def taken(self, ring: int) -> int:
        """Nothing is known of what was before."""
        del ring
        return 0

    def put(self, batches: Sequence[ArrowBatch], upto: Mapping[int, int]) -> None:
        """Write a line a row; a reader that went away is like a full disk."""
        del upto
        for batch in batches:
            rows = batch.to_pylist()
            lines = (json.dumps({**self._head, **_nested(row)}, default=_plain) for row in rows)
            text = "".join(f"{line}\n" for line in lines)
            try:
                _write_all(1, text.encode())
            except OSError:
                self._tally.add("full", batch.num_rows)
                continue
            self._tally.kept += batch.num_rows
            self._tally.written = self._tally.kept

    def turn(self, now: float) -> None:
        """Nothing is ever open."""

    def close(self) -> None:
        """Nothing is ever open."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What files of a stream are kept where."""

    folder: Path
    period: float
    """Seconds after which a file is closed."""

    stay: bool
    """Whether they stay here; else they wait for a store."""

    size: int
    """Most bytes of all files of the Pipeline: what is beyond goes, or is not taken."""

    age: float = math.inf
    """Seconds after which files that stay go."""


class Files:
    """Rows in files of a folder."""

    def __init__(self, keeping: "Keeping", schema: ArrowSchema, tally: Tally, writer: str) -> None:
        self._keeping = keeping
        self._folder = keeping.folder
        self._schema = schema
        self._tally = tally
        self._writer = writer
        self._segment: Segment | None = None
        self._count = 0
        self._told = False
        self._upto: Mapping[int, int] = {}

    def recover(self) -> None:
        """Go on from where a recorder before us was killed."""
        for path in abandoned(self._folder):
            position = last_position(path)
            if position and _counters(position.writer) == _counters(self._writer):
                self._tally.kept = max(self._tally.kept, position.total)
                self._note()
            if position and position.writer == self._writer:
                self._upto = position.upto
            settle(path)
        self._retire()

    def taken(self, ring: int) -> int:
        """How many records of a ring are in files already."""
        return self._upto.get(ring, 0)

    def put(self, batches: Sequence[ArrowBatch], upto: Mapping[int, int]) -> None:
        """Append rows to the open file; where there is no room they are counted as `full`."""
        (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        total = self._tally.kept + batch.num_rows
        try:
            self._find_room(batch.nbytes)
            segment = self._segment = self._segment or self._fresh()
            segment.append(batch, Position(total, dict(upto), self._writer))
        except OSError as error:
            self._full(batch.num_rows, error)
            return
        self._told = False
        self._tally.kept = total
        self._note()

    def turn(self, now: float) -> None:
        """Close what is large or has been open for long.

        Not before the rings have their records back: what is in them is told by the open file.
        """
        segment = self._segment
        old = segment and now - segment.began >= self._keeping.period
        if segment and (old or segment.size >= SEGMENT_BYTES):
            self.close()

    def close(self) -> None:
        """Close the open file."""
        segment, self._segment = self._segment, None
        if segment:
            segment.close()
            self._retire()

    def _retire(self) -> None:
        """Remove what is old or beyond the bound, where files stay."""
        if self._keeping.stay:
            retire(self._folder.parent, self._keeping, time.time())

    def _fresh(self) -> Segment:
        self._count += 1
        name = f"{self._writer.rpartition('/')[2]}-{os.getpid()}-{self._count}"
        return Segment(self._folder, name, self._schema, time.time())

    def _note(self) -> None:
        if self._keeping.stay:
            self._tally.written = self._tally.kept

    def _find_room(self, size: int) -> None:
        """Keep no more than a bound of what cannot go on its way."""
        room = self._keeping.size
        if not self._keeping.stay and folder_bytes(self._folder.parent) + size > room:
            raise OSError(f"{room} bytes wait for the store already")

    def _full(self, rows: int, error: OSError) -> None:
        self._tally.add("full", rows)
        if not self._told:
            self._told = True
            log("records are dropped", folder=str(self._folder), why=error.strerror or str(error))


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(_size(path) for path in folder.rglob("*.*"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _counters(writer: str) -> str:
    return writer.partition("/")[0]


def _nested(row: Mapping[str, object]) -> dict[str, object]:
    """Dotted names as objects within objects, as the data port answers."""
    made: dict[str, object] = {}
    for name, value in row.items():
        group, _, rest = name.partition(".")
        if rest:
            members = made.setdefault(group, {})
            assert isinstance(members, dict)  # noqa: S101 - no column is named like a group
            members[rest] = value
        else:
            made[name] = value
    return made


def _plain(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def retire(folder: Path, keeping: Keeping, now: float) -> None:
    """Remove the oldest files beyond what is to be kept; what is open stays."""
    total = 0
    for moment, length, path in sorted(_closed(folder), reverse=True):
        total += length
        if total > keeping.size or now - moment > keeping.age:
            with suppress(OSError):
                path.unlink()
                path.parent.rmdir()  # if it was the last of its hour


def _closed(folder: Path) -> Iterator[tuple[float, int, Path]]:
    for path in folder.rglob(f"*{CLOSED}"):
        with suppress(FileNotFoundError):
            known = path.stat()
            yield known.st_mtime, known.st_size, path
