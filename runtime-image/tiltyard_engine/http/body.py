"""The body of a request: gathered as it comes, counted before it is kept, unpacked within limits.

Chunks are decoded here and not by httptools, which cannot say where in the bytes it was given a
chunked body ended, and therefore not where the next request begins.
"""

import re
import zlib
from collections.abc import Callable
from typing import Final, Protocol

from tiltyard_engine.http.head import CHUNKED
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.refusals import (
    body_too_large,
    damaged_gzip,
    framing_too_large,
    malformed,
    unknown_encoding,
)

_MAX_SIZE_LINE: Final = 1024  # a chunk's size and extensions; real ones have under 20 bytes
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_GZIP_ONLY: Final = zlib.MAX_WBITS | 16
_SLICE: Final = 1 << 14  # zlib copies what is left of a slice behind the end of each member
_FREE_MEMBERS: Final = 16  # of a body of any size, and one more for each of these bytes that it
_LEAST_MEMBER: Final = 1 << 12  # may have: programs that write many make them of 64 KiB


class Body(Protocol):
    """A body that is on its way."""

    complete: bool
    """Whether the last byte has come."""

    def take(self, data: bytes, at: int) -> int:
        """Take what belongs to the body from `data[at:]`; give back where it stopped.

        What it leaves although it is not complete, it wants to see again with more behind it.
        """

    def joined(self) -> bytes:
        """All of it, in one piece."""


def body_of(length: int, limits: Limits) -> Body:
    """Start a body of the length that its head announces."""
    return ChunkedBody(limits) if length == CHUNKED else SizedBody(length)


class SizedBody:
    """A body whose length the head announced, and whose length was held against the limit there."""

    __slots__ = ("_missing", "_pieces", "complete")

    def __init__(self, length: int) -> None:
        self._missing = length
        self._pieces: list[bytes] = []
        self.complete = length == 0

    def take(self, data: bytes, at: int) -> int:
        """Take what belongs to the body from `data[at:]`; give back where it stopped."""
        piece = data[at : at + self._missing]
        self._pieces.append(piece)
        self._missing -= len(piece)
        self.complete = self._missing == 0
        return at + len(piece)

    def joined(self) -> bytes:
        """All of it, in one piece."""
        return b"".join(self._pieces)


class ChunkedBody:
    """A body in chunks, whose framing is bounded as well as its content.

    Each of the `_take_...` methods takes one element of the framing and sets which comes next. One
    that gives back where it began needs more bytes.
    """

    __slots__ = ("_limits", "_missing", "_overhead", "_pieces", "_room", "_take_next", "complete")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._room = limits.max_body
        self._overhead = limits.max_header_bytes  # what extensions and trailers may use in all
        self._missing = 0  # bytes of the present chunk that have not come
        self._pieces: list[bytes] = []
        self._take_next: Callable[[bytes, int], int] = self._take_size
        self.complete = False

    def take(self, data: bytes, at: int) -> int:
        """Take what belongs to the body from `data[at:]`; give back where it stopped."""
        while not self.complete:
            stop = self._take_next(data, at)
            if stop == at:
                break
            at = stop
        return at

    def joined(self) -> bytes:
        """All of it, in one piece."""
        return b"".join(self._pieces)

    def _take_size(self, data: bytes, at: int) -> int:
        line = _SIZE_LINE.match(data, at, at + _MAX_SIZE_LINE)
        if line is None:
            if data.find(b"\n", at) >= 0 or len(data) - at >= _MAX_SIZE_LINE:
                raise malformed("a chunk of the body does not begin with its size in hexadecimal")
            return at
        self._missing = int(line[1], 16)
        self._room -= self._missing
        if self._room < 0:
            raise body_too_large(self._limits)
        self._spend(len(line[2] or b""))
        self._take_next = self._take_content if self._missing else self._take_trailer
        return line.end()

    def _take_content(self, data: bytes, at: int) -> int:
        piece = data[at : at + self._missing]
        self._pieces.append(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._take_next = self._take_line_end
        return at + len(piece)

    def _take_line_end(self, data: bytes, at: int) -> int:
        found = data[at : at + 2]
        if found == b"\r\n":
            self._take_next = self._take_size
            return at + 2
        if found not in (b"", b"\r"):
            raise malformed("a chunk of the body is longer than its size says")
        return at

    def _take_trailer(self, data: bytes, at: int) -> int:
        """Trailers are read past: nothing in them may change what the head said."""
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > self._overhead:
                self._spend(len(data) - at)
            if data.find(b"\n", at) >= 0:
                raise malformed("a trailer of the body ends without CR LF")
            return at
        if end == at:
            self.complete = True
            return at + 2
        self._spend(end + 2 - at)
        if not _TRAILER.fullmatch(data, at, end):
            raise malformed("a trailer of the body is not 'name: value'")
        return end + 2

    def _spend(self, count: int) -> None:
        self._overhead -= count
        if self._overhead < 0:
            raise framing_too_large(self._limits)


def unpack(encoding: bytes, body: bytes, limits: Limits) -> bytes:
    """Undo the Content-Encoding of a body.

    Raises:
        Refusal: when the encoding is unknown, or the body is damaged or unpacks to too much.

    """
    if encoding in (b"gzip", b"x-gzip"):
        return _gunzip(body, limits)
    if encoding == b"identity":
        return body
    raise unknown_encoding(encoding)


def _gunzip(packed: bytes, limits: Limits) -> bytes:
    """Unpack all members: several in a row are one body (RFC 1952, 2.2)."""
    pieces: list[bytes] = []
    room, rest = limits.max_body, memoryview(packed)
    for _ in range(limits.max_body // _LEAST_MEMBER + _FREE_MEMBERS):
        if not rest:
            return b"".join(pieces)
        piece, rest = _member(rest, room, limits)
        pieces.append(piece)
        room -= len(piece)
    raise damaged_gzip("it has too many members")


def _member(packed: memoryview, room: int, limits: Limits) -> tuple[bytes, memoryview]:
    """Unpack the first member; gives what stands behind it too."""
    pieces: list[bytes] = []
    member = zlib.decompressobj(_GZIP_ONLY)
    at = 0
    while not member.eof:
        if at >= len(packed):
            raise damaged_gzip("it ends too early")
        try:
            piece = member.decompress(packed[at : at + _SLICE], room + 1)
        except zlib.error as error:
            raise damaged_gzip(str(error)) from error
        room -= len(piece)
        if room < 0:
            raise body_too_large(limits)
        pieces.append(piece)
        at = min(at + _SLICE, len(packed))
    return b"".join(pieces), packed[at - len(member.unused_data) :]
