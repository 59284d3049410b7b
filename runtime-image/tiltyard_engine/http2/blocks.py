"""Header blocks: gathered from their frames, and turned into heads."""

from typing import Final

from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http2.faults import Code, ConnectionFault, StreamFault
from tiltyard_engine.http2.fields import Head, read_head
from tiltyard_engine.http2.frames import PRIORITY, unpadded
from tiltyard_engine.http2.hpack import Decoder, Field

_REMEMBERED: Final = 16  # of a connection, of which there may be ten thousand
_REMEMBERED_BYTES: Final = 2048  # longer blocks, and what says more, are decoded each time
_PRIORITY_SIZE: Final = 5
_PSEUDO: Final = 4


class Block:
    """A header block of which the last frame has not come."""

    __slots__ = ("_most", "_pieces", "_size", "flags", "stream")

    def __init__(self, stream: int, flags: int, most: int) -> None:
        self.stream = stream
        self.flags = flags
        self._pieces: list[bytes] = []
        self._size = 0
        self._most = most

    def add(self, piece: bytes) -> None:
        """Add what one frame brought.

        Raises:
            ConnectionFault: it is too much in all.

        """
        self._size += len(piece)
        if self._size > self._most:
            message = f"a header block of more than {self._most} bytes: send less"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, message)
        self._pieces.append(piece)

    def joined(self) -> bytes:
        """All of it."""
        return b"".join(self._pieces)


def fragment(flags: int, stream: int, content: bytes) -> bytes:
    """Take off a frame of headers what is not header block.

    Raises:
        ConnectionFault: the frame is shorter than it says, or the stream shall wait for itself.

    """
    content = unpadded(flags, content)
    if not flags & PRIORITY:
        return content
    if len(content) < _PRIORITY_SIZE:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a priority has five bytes")
    if _depends_on(content) == stream:
        # Its block would have to be decoded all the same, for the sake of those behind it.
        raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {stream} waits for itself")
    return content[_PRIORITY_SIZE:]


def check_priority(stream: int, content: bytes) -> None:
    """Judge a priority, which we do not heed.

    Raises:
        StreamFault: it is none, or the stream shall wait for itself.

    """
    if len(content) != _PRIORITY_SIZE:
        raise StreamFault(stream, Code.FRAME_SIZE_ERROR)
    if _depends_on(content) == stream:
        raise StreamFault(stream, Code.PROTOCOL_ERROR)


def _depends_on(content: bytes) -> int:
    return int.from_bytes(content[:4], "big") & 0x7FFFFFFF


class Heads:
    """Turns the header blocks of one connection into heads, in their order.

    A client that asks again says so in few bytes, all of which refer to the table. While that has
    not changed the same bytes are the same head: it is decoded and judged once, not once a request.
    """

    __slots__ = ("_changes", "_decoder", "_known", "_limits")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._decoder = Decoder(limits.max_header_bytes)
        self._changes = 0
        self._known: dict[bytes, Head] = {}

    def read(self, stream: int, block: bytes) -> Head:
        """Give what a block says at the beginning of a request.

        Raises:
            ConnectionFault: the block is damaged.
            StreamFault: it is no beginning of a request.

        """
        head = self._known.get(block)
        if head is None:
            decoder = self._decoder
            fields = decoder.decode(block)
            fixed = self._settled()
            count = len(fields) - _PSEUDO
            too_large = decoder.too_large or count > self._limits.max_header_count
            head = read_head(stream, fields, too_large=too_large)
            if fixed and not too_large and _short(block, fields):
                self._known[block] = head
        return head

    def skip(self, block: bytes) -> list[Field]:
        """Give what a block says that is no beginning, for the sake of those behind it.

        Raises:
            ConnectionFault: the block is damaged.

        """
        fields = self._decoder.decode(block)
        self._settled()
        return fields

    def _settled(self) -> bool:
        """Whether the last block left the table as it was; forget what no longer holds."""
        changed = self._decoder.changes != self._changes
        if changed or len(self._known) >= _REMEMBERED:
            self._known.clear()
            self._changes = self._decoder.changes
        return not changed


def _short(block: bytes, fields: list[Field]) -> bool:
    """Whether a block may be remembered: a few bytes can refer to long fields of the table."""
    said = sum(len(name) + len(value) for name, value in fields)
    return max(len(block), said) <= _REMEMBERED_BYTES
