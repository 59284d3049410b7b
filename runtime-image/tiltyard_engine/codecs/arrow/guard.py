"""Looks at the messages of Arrow IPC before anything is made of them.

The library trusts what a message says of its own size: it unpacks compressed buffers to whatever
length they claim, and believes the number of rows. So these are read here first, straight from the
message's flatbuffer. Field numbers are those of the format's own schema files, Message.fbs and
Schema.fbs.
"""

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = 2  # of Message
_ENDIANNESS = 0  # of Schema
_LENGTH, _BUFFERS, _COMPRESSION = 0, 2, 3  # of RecordBatch
_AS_IT_IS = -1  # in front of a buffer that was not worth compressing


Lengths = NDArray[np.int64]


class DamagedError(ValueError):
    """The message contradicts itself."""


class _Table:
    """A table of a flatbuffer: a list of fields, each of which may be absent."""

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - _read(data, "<i", at)

    def field(self, number: int) -> int | None:
        """Where a field's value stands; None where it has its default."""
        slot = 4 + 2 * number
        if slot >= _read(self._data, "<H", self._fields):
            return None
        offset = _read(self._data, "<H", self._fields + slot)
        return self._at + offset if offset else None

    def number(self, number: int, form: str) -> int:
        """Value of a field that is a number."""
        at = self.field(number)
        return 0 if at is None else _read(self._data, form, at)

    def follow(self, number: int) -> int | None:
        """Where that stands which a field points to."""
        at = self.field(number)
        return None if at is None else at + _read(self._data, "<I", at)

    def table(self, number: int) -> "_Table | None":
        """A field that is a table."""
        at = self.follow(number)
        return None if at is None else _Table(self._data, at)


def big_endian(metadata: memoryview) -> bool:
    """Whether the message of a schema says that numbers have their large end first."""
    return _header(metadata).number(_ENDIANNESS, "<h") != 0


def rows_of(metadata: memoryview) -> int:
    """Rows that the message of a batch says it has."""
    return _header(metadata).number(_LENGTH, "<q")


def unpacked_size(metadata: memoryview, body: memoryview) -> int:
    """Bytes that the buffers of a batch will take once they are unpacked.

    Raises:
        DamagedError: a buffer lies outside of the message, or claims less than nothing.

    """
    batch = _header(metadata)
    offsets, lengths = _buffers(metadata, batch)
    most = len(body)
    if ((offsets < 0) | (lengths < 0) | (offsets > most) | (lengths > most - offsets)).any():
        raise DamagedError("a buffer lies outside of its message")
    total = int(lengths.sum())
    if batch.field(_COMPRESSION) is None:
        return total
    for offset, length in zip(offsets.tolist(), lengths.tolist(), strict=True):
        claimed = _read(body, "<q", offset) if length else _AS_IT_IS
        if claimed < _AS_IT_IS:
            raise DamagedError("a compressed buffer has a negative length")
        total += max(claimed - length, 0)
    return total


def _header(metadata: memoryview) -> _Table:
    header = _Table(metadata, _read(metadata, "<I", 0)).table(_HEADER)
    if header is None:
        raise DamagedError("a message has no header")
    return header


def _buffers(metadata: memoryview, batch: _Table) -> tuple[Lengths, Lengths]:
    """Offset and length of each buffer, in the body of the message."""
    at = batch.follow(_BUFFERS)
    count = 0 if at is None else _read(metadata, "<I", at)
    if at is None or at + 4 + count * 16 > len(metadata):
        if count:
            raise DamagedError("a message lists more buffers than it holds")
        return np.empty(0, np.int64), np.empty(0, np.int64)
    pairs = np.frombuffer(metadata, "<i8", 2 * count, at + 4)
    return pairs[::2], pairs[1::2]


def _read(data: memoryview, form: str, at: int) -> int:
    try:
        value: int = struct.unpack_from(form, data, at)[0] if at >= 0 else -1
    except struct.error as error:
        raise DamagedError("a message ends before what it points to") from error
    if at < 0:
        raise DamagedError("a message points before its begin")
    return value
