"""Frames: the bytes of a connection cut into them, and written (RFC 9113, 4 and 6)."""

import enum
import struct
from typing import Final

from tiltyard_engine.http2.faults import Code, ConnectionFault

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends before its first frame."""

MAX_FRAME: Final = 16_384
"""Bytes of content that a frame may have, for lack of other settings on either side."""

MAX_WINDOW: Final = 2**31 - 1
FIRST_WINDOW: Final = 65_535
"""Bytes that may be sent before anybody has widened a window."""


class Kind(enum.IntEnum):
    """What a frame is."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(enum.IntEnum):
    """What a side says of itself."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


# Plain numbers: looking a member up in its class costs more than the comparison.
DATA: Final = int(Kind.DATA)
HEADERS: Final = int(Kind.HEADERS)
CONTINUATION: Final = int(Kind.CONTINUATION)

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

Frame = tuple[int, int, int, bytes]
"""Kind, flags, stream, content."""

_HEADER: Final = struct.Struct(">HBBBL")
_PAIR: Final = struct.Struct(">HL")
_NUMBER: Final = struct.Struct(">L")
_GOAWAY: Final = struct.Struct(">LL")
_NO_RESERVED_BIT: Final = 0x7FFFFFFF


class FrameReader:
    """Keeps what has come of a frame until it is whole."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def amid(self) -> bool:
        """Whether a part of a frame has come."""
        return bool(self._rest)

    def cut(self, data: bytes) -> list[Frame]:
        """Take what has come, and give the frames that are whole.

        Raises:
            ConnectionFault: a frame is longer than we said we take.

        """
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        at, end = 0, len(data)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
            length = high << 8 | low
            if length > MAX_FRAME:
                message = f"a frame of {length} bytes: send at most {MAX_FRAME}"
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, message)
            stop = at + 9 + length
            if stop > end:
                break
            frames.append((kind, flags, stream & _NO_RESERVED_BIT, data[at + 9 : stop]))
            at = stop
        self._rest = data[at:] if at < end else b""
        return frames


def frame(kind: int, flags: int, stream: int, content: bytes | memoryview = b"") -> bytes:
    """Write one frame, whose content is not longer than a frame may be."""
    length = len(content)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream) + content


def headers(stream: int, block: bytes, *, end: bool) -> bytes:
    """Write a header block, in as many frames as it takes."""
    flags = END_STREAM if end else 0
    if len(block) <= MAX_FRAME:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    written = [frame(HEADERS, flags, stream, block[:MAX_FRAME])]
    for at in range(MAX_FRAME, len(block), MAX_FRAME):
        last = END_HEADERS if at + MAX_FRAME >= len(block) else 0
        written.append(frame(CONTINUATION, last, stream, block[at : at + MAX_FRAME]))
    return b"".join(written)


def settings(values: dict[Setting, int]) -> bytes:
    """Write what we say of ourselves."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_PAIR.pack(*pair) for pair in values.items()))


def read_settings(content: bytes) -> list[tuple[int, int]]:
    """Read what the client says of itself.

    Raises:
        ConnectionFault: that is no list of settings, or one has a value that it cannot have.

    """
    if len(content) % _PAIR.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "settings of six bytes each are wanted")
    pairs = [_PAIR.unpack_from(content, at) for at in range(0, len(content), _PAIR.size)]
    for name, value in pairs:
        low, high, code = _RANGES.get(name, (0, 2**32, Code.PROTOCOL_ERROR))
        if not low <= value <= high:
            raise ConnectionFault(code, f"setting {name} cannot be {value}")
    return pairs


_RANGES: Final = {
    int(Setting.ENABLE_PUSH): (0, 1, Code.PROTOCOL_ERROR),
    int(Setting.INITIAL_WINDOW_SIZE): (0, MAX_WINDOW, Code.FLOW_CONTROL_ERROR),
    int(Setting.MAX_FRAME_SIZE): (MAX_FRAME, 2**24 - 1, Code.PROTOCOL_ERROR),
}


def window_update(stream: int, count: int) -> bytes:
    """Let the client send so many bytes more."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, _NUMBER.pack(count))


def reset(stream: int, code: Code) -> bytes:
    """Write the end of a stream before its time."""
    return frame(Kind.RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(last: int, code: Code, message: str = "") -> bytes:
    """Write the end of a connection: streams after the last are not begun."""
    return frame(Kind.GOAWAY, 0, 0, _GOAWAY.pack(last, code) + message.encode())


def number(content: bytes) -> int:
    """Read the only number of a frame, without its reserved bit.

    Raises:
        ConnectionFault: the frame has another length.

    """
    if len(content) != _NUMBER.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame of four bytes is wanted")
    found: int = _NUMBER.unpack(content)[0]
    return found & _NO_RESERVED_BIT


def unpadded(flags: int, content: bytes) -> bytes:
    """Take the padding off a frame that may have some.

    Raises:
        ConnectionFault: there is more padding than frame.

    """
    if not flags & PADDED:
        return content
    if not content or content[0] >= len(content):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the padding is longer than its frame")
    return content[1 : len(content) - content[0]]
